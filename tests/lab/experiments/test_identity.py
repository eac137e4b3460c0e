"""Runs and their data by name and content: what continues, what is refused, and what is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mixwright.checkpoint import load_checkpoint, save_checkpoint
from mixwright.lab.analysis.store import read_findings
from mixwright.lab.cli import main

COLOURS = {"a": 0, "b": 1, "c": 2}
SHORT = ["--model", "smallconv", "--epochs", "3", "--batch-size", "6", "--flip", "false"]


def paint(root: Path, part: str, **channels: int) -> Path:
    """Class folders whose images are bright in one channel."""
    for name, channel in channels.items():
        folder = root / part / name
        folder.mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng((channel, number, len(part))).integers(0, 60, (8, 8, 3))
            pixels[..., channel % 3] += 150 if channel < 3 else 0
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return root


def folders(root: Path, **channels: int) -> Path:
    paint(root, "train", **channels)
    return paint(root, "test", **channels)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of images ``abc``, and a run that tells them apart, in ``run``."""
    home = tmp_path_factory.mktemp("trained")
    folders(home / "abc", **COLOURS)
    words = ["train", "none", "--data", f"folder:{home / 'abc'}", *SHORT]
    assert main([*words, "--out", str(home / "run")]) == 0
    return home


@pytest.fixture
def evaluated(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Evaluate the run on other data: exit code, top-1, words on standard error."""

    def evaluate(data: str | None, *runs: Path) -> tuple[int, float | None, str]:
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        words = [*map(str, runs or [trained / "run"]), "--weights", "raw", "--only", "accuracy"]
        named = [] if data is None else ["--data", data]
        capsys.readouterr()
        code = main(["evaluate", *words, *named, "--out", str(out)])
        found = read_findings(out).parts["accuracy"].groups[0].first if code == 0 else {}
        return code, found.get("top1"), capsys.readouterr().err

    return evaluate


def parquet(path: Path, root: Path, names: list[str], *, with_names: bool = True) -> str:
    """The test images of folders as parquet files whose classes are numbered in another order."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path.mkdir()
    for part in ("train", "test"):
        files = [(file, names.index(name)) for name in names
                 for file in sorted((root / part / name).iterdir())]  # fmt: skip
        cells = [{"bytes": file.read_bytes(), "path": None} for file, _ in files]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        labels = [label for _, label in files]
        table = pa.table({"image": pa.array(cells, kind), "label": labels})
        if with_names:
            features = {"label": {"names": names, "_type": "ClassLabel"}}
            told = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": told})
        pq.write_table(table, path / f"{part}.parquet")
    return f"parquet:{path}"


def test_a_run_is_judged_on_its_own_classes(evaluated: Any) -> None:
    assert evaluated(None)[:2] == (0, 1.0)


def test_other_classes_are_refused_and_named(evaluated: Any, tmp_path: Path) -> None:
    other = folders(tmp_path / "bcd", b=1, c=2, d=5)
    code, _, words = evaluated(f"folder:{other}")
    assert code == 2
    assert "has 1 of 3 classes that none-s0 has not: 'd'; none-s0 has the 3 classes 'a'" in words
    assert "Traceback" not in words


def test_other_numbers_of_the_same_classes_change_nothing(
    evaluated: Any, trained: Path, tmp_path: Path
) -> None:
    turned = parquet(tmp_path / "turned", trained / "abc", ["c", "a", "b"])
    assert evaluated(turned)[:2] == (0, 1.0)
    numbers = parquet(tmp_path / "numbers", trained / "abc", ["a", "b", "c"], with_names=False)
    code, top1, words = evaluated(numbers)
    assert (code, top1) == (0, 1.0)
    assert "has no class names, so only the number of classes could be compared" in words


def test_some_of_the_classes_are_enough(evaluated: Any, tmp_path: Path) -> None:
    code, top1, _ = evaluated(f"folder:{folders(tmp_path / 'bc', b=1, c=2)}")
    assert (code, top1) == (0, 1.0)


def test_a_run_and_its_copy_are_one(evaluated: Any, trained: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(trained / "run", tmp_path / "copy")
    code, _, words = evaluated(None, trained / "run", copy, trained / "run")
    assert code == 0
    (group,) = read_findings(tmp_path / "out").parts["accuracy"].groups
    assert group.seeds == (0,)
    assert words.count(f"{copy} is the same run as {trained / 'run'}") == 1
    assert "it counts once" in words


def test_two_runs_of_one_seed_are_refused(evaluated: Any, trained: Path, tmp_path: Path) -> None:
    rival = shutil.copytree(trained / "run", tmp_path / "rival")
    state = load_checkpoint(rival / "last.pt")
    name = next(iter(state["weights"]["raw"]))
    state["weights"]["raw"][name] = state["weights"]["raw"][name] + 1
    save_checkpoint(rival / "last.pt", state)
    code, _, words = evaluated(None, trained / "run", rival)
    assert code == 2
    assert "are two runs of No mixing with seed 0 and other weights" in words


def test_data_that_changed_since_are_told(evaluated: Any, trained: Path) -> None:
    abc = trained / "abc" / "train" / "a" / "0.png"
    kept = abc.read_bytes()
    abc.write_bytes((trained / "abc" / "train" / "b" / "0.png").read_bytes())
    try:
        code, _, words = evaluated(None)
    finally:
        abc.write_bytes(kept)
    assert code == 0
    assert "is not what none-s0 was trained on (train: class 'a' has other images" in words


@pytest.mark.parametrize("command", ["gallery", "theory"])
def test_a_model_to_look_through_knows_the_classes(
    command: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders(tmp_path / "bcd", b=1, c=2, d=5)
    words = [command, "mixup", "--run", str(trained / "run"), "--out", str(tmp_path / "out")]
    assert main([*words, "--data", f"folder:{tmp_path / 'bcd'}"]) == 2
    error = capsys.readouterr().err
    assert f"that --run {trained / 'run'} has not: 'd'" in error
    (tmp_path / "empty").mkdir()
    words[3] = str(tmp_path / "empty")
    assert main([*words, "--data", f"folder:{trained / 'abc'}"]) == 2
    assert "holds no last.pt, so it is no run folder" in capsys.readouterr().err


@pytest.fixture
def compared(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of the images, a finished comparison on them, and how to compare again there."""
    from mixwright.lab.cli import forecast
    from mixwright.lab.experiments import grid
    from mixwright.lab.experiments.run import run
    from mixwright.lab.reports import page

    shutil.copytree(trained / "abc", tmp_path / "abc")

    def here(jobs: Any, place: Any, *, pool: Any, on_event: Any) -> list[Any]:
        del pool, on_event  # in this process: a worker takes seconds to start
        missing = [job for job in jobs if not job.finished]
        for job in missing:
            known = place.identity_for(job.recipe)
            run(job.recipe, job.folder, data_name=place.data, identity=known)
        return []

    monkeypatch.setattr(grid, "run_parallel", here)
    monkeypatch.setattr(forecast, "forecast", lambda *runs, **where: None)
    monkeypatch.setattr(page, "write_report", lambda record: record)  # pages are tested elsewhere
    short = [*SHORT[:3], "1", *SHORT[4:], "--seeds", "1", "--out", str(tmp_path / "out")]

    def compare(*words: str, data: Path | None = None) -> int:
        where = f"folder:{data or tmp_path / 'abc'}"
        return main(["compare", *words, "--data", where, *short])

    assert compare("none") == 0
    return compare


Compare = Callable[..., int]


def swap(root: Path) -> None:
    for part in ("train", "test"):
        (root / part / "a").rename(root / part / "x")
        (root / part / "b").rename(root / part / "a")
        (root / part / "x").rename(root / part / "b")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (swap, "train: class 'a' has the images that class 'b' had"),
        (lambda root: folders(root, d=4), "new is the class 'd'"),
        (
            lambda root: shutil.copy(root / "test/a/0.png", root / "test/a/9.png"),
            "test: 6 images of class 'a' there, 7 now",
        ),
    ],
    ids=["swapped", "class", "image"],
)
def test_one_table_is_never_of_two_data_sets(
    compared: Compare,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], Any],
    named: str,
) -> None:
    record = (tmp_path / "out" / "comparison.json").read_bytes()
    change(tmp_path / "abc")
    capsys.readouterr()
    assert compared("none", "mixup") == 2
    error = capsys.readouterr().err
    assert named in error
    assert "was trained on other data than folder:" in error
    assert "Give --out another folder" in error
    assert (tmp_path / "out" / "comparison.json").read_bytes() == record
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 1


def test_a_finished_run_without_its_recipe_is_asked_for_its_data_too(
    compared: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = (tmp_path / "out" / "runs").iterdir()
    (run / "recipe.json").unlink()
    swap(tmp_path / "abc")
    assert compared("none", "mixup") == 2
    assert "was trained on other data than folder:" in capsys.readouterr().err


def test_data_that_moved_are_the_same(
    compared: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "abc").rename(tmp_path / "moved")
    capsys.readouterr()
    assert compared("none", data=tmp_path / "moved") == 0
    assert "the run is there already" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 1
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    kept = json.loads(next((tmp_path / "out" / "runs").glob("*/result.json")).read_text())
    assert record["about"]["data"]["digest"] == kept["data"] != ""


def test_runs_without_a_digest_are_taken_with_a_sentence(
    compared: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = (tmp_path / "out" / "runs").iterdir()
    (run / "data.json").unlink()
    swap(tmp_path / "abc")
    capsys.readouterr()
    assert compared("none") == 0
    assert f"{run}: an older mixwright kept no digest of the data" in capsys.readouterr().err


def test_seeds_that_draw_their_own_images_continue_too(
    compared: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["none", "--subset-seeds", "true", "--train-size", "9", "--out", str(tmp_path / "two")]
    words = ["compare", *short, "--data", f"folder:{tmp_path / 'abc'}", *SHORT[:3], "1"]
    words += [*SHORT[4:], "--seeds", "2"]
    assert main(words) == 0
    runs = sorted((tmp_path / "two" / "runs").iterdir())
    first, second = (json.loads((run / "data.json").read_text())["parts"] for run in runs)
    assert first["train"] != second["train"]
    assert first["test"] == second["test"]
    capsys.readouterr()
    assert main(words) == 0
    assert "2 of 2 runs are there already" in capsys.readouterr().out
    both = ["evaluate", str(tmp_path / "two"), "--only", "accuracy", "--out", str(tmp_path / "e")]
    assert main(both) == 0
    shutil.rmtree(runs[0])  # what is left drew other images than those that are looked at first
    shutil.copy(tmp_path / "abc/test/a/0.png", tmp_path / "abc/test/a/9.png")
    assert main(words) == 2
    assert "test: 6 images of class 'a' there, 7 now" in capsys.readouterr().err
