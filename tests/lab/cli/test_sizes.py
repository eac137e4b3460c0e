"""What the size of the user's own images decides where nothing else was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.data.pictures import picture, write
from mixwright.lab.cli import main
from mixwright.lab.cli.options import CompareOptions
from mixwright.lab.cli.prepare import Plan, prepare_runs, recipe_settings
from mixwright.lab.experiments.defaults import recipe_defaults
from mixwright.lab.experiments.grid import Planned, plan_runs
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.training.recipe import Recipe


def photographs(root: Path, *sizes: tuple[int, int]) -> str:
    """Two classes of three images; the sizes go round."""
    for number in range(6):
        path = root / "cat" / f"{number}.png" if number % 2 else root / "dog" / f"{number}.png"
        write(path, picture(number, sizes[number % len(sizes)]))
    return f"folder:{root}"


def planner(out: Path) -> Plan:
    return lambda settings: plan_runs(parse_methods(["none"]), settings, seeds=1, out=out)


def planned(out: Path, **given: object) -> tuple[Recipe, int]:
    options = CompareOptions(**given)  # type: ignore[arg-type]
    (run,), data, _ = prepare_runs(planner(out), options, device="cpu")
    return run.recipe, data.image_size


@pytest.mark.parametrize(
    ("sizes", "given", "expected"),
    [
        # of different sizes, or one size that is larger: brought to 64
        (((40, 30), (20, 20)), {}, (64, "resnet20", 64)),
        (((96, 96),), {}, (64, "resnet20", 64)),
        (((96, 96),), {"model": "resnet8"}, (64, "resnet8", 64)),
        # small squares stay as they are, and what is not asked for is not in the recipe
        (((16, 16),), {}, (None, "resnet18_cifar", 16)),
        (((48, 48),), {}, (None, "resnet20", 48)),
        # what was asked for counts
        (((96, 96),), {"image_size": 24}, (24, "resnet18_cifar", 24)),
        (((20, 20),), {"image_size": 72}, (72, "efficientnet_lite0", 72)),
        (((96, 96),), {"image_size": 96, "model": "resnet8"}, (96, "resnet8", 96)),
    ],
)
def test_the_size_of_photographs_decides(
    tmp_path: Path,
    sizes: tuple[tuple[int, int], ...],
    given: dict[str, object],
    expected: tuple[int | None, str, int],
) -> None:
    data = photographs(tmp_path / "images", *sizes)
    recipe, side = planned(tmp_path / "out", data=data, **given)
    assert (recipe.image_size, recipe.model, side) == expected


def test_what_was_chosen_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = photographs(tmp_path / "images", (40, 30))
    planned(tmp_path / "out", data=data)
    assert (
        "images are taken at 64x64 pixels, the network for this size is resnet20; "
        "--image-size and --model would change that\n"
    ) in capsys.readouterr().err
    planned(tmp_path / "out", data=data, image_size=16)
    assert "would change" not in capsys.readouterr().err


def test_a_table_of_photographs_is_treated_as_a_folder_is(tmp_path: Path) -> None:
    photographs(tmp_path, (40, 30))
    lines = [f"{kind}/{n}.png,{kind}" for kind, n in (("cat", 1), ("cat", 3), ("dog", 0))]
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *lines, "dog/2.png,dog"]))
    recipe, _ = planned(tmp_path / "out", data=f"csv:{tmp_path / 'list.csv'}")
    assert (recipe.image_size, recipe.model) == (64, "resnet20")


@pytest.mark.parametrize("data", ["cub200", "imagenet", "tiny-imagenet", "cifar10"])
def test_sets_with_recipes_of_their_own_keep_them(data: str) -> None:
    assert recipe_defaults(data, image_size=224) == recipe_defaults(data)


def test_runs_that_began_before_sizes_decided_go_on(tmp_path: Path) -> None:
    """They hold no size, which meant 224 for photographs of different sizes."""
    data = photographs(tmp_path / "images", (12, 12), (40, 30))
    options = CompareOptions(data=data, model="smallconv")
    (before,) = planner(tmp_path / "out")(recipe_settings(options))
    assert before.recipe.image_size is None
    before.folder.mkdir(parents=True)
    (before.folder / "recipe.json").write_text(before.recipe.to_json())
    (run,), found, _ = prepare_runs(planner(tmp_path / "out"), options, device="cpu")
    assert (run, found.image_size) == (before, 224)
    (run,), found, _ = prepare_runs(planner(tmp_path / "other"), options, device="cpu")
    assert (run.recipe.image_size, found.image_size) == (64, 64)


def test_the_size_is_stored_and_the_same_command_finds_its_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photographs(tmp_path / "images", (40, 30))
    command = ["train", "none", "--data", data, "--model", "smallconv", "--epochs", "1"]
    command += ["--out", str(tmp_path / "run")]
    assert main(command) == 0
    there = Recipe.from_json((tmp_path / "run" / "recipe.json").read_bytes())
    assert there.image_size == 64
    result = (tmp_path / "run" / "result.json").read_bytes()
    assert main(command) == 0
    assert (tmp_path / "run" / "result.json").read_bytes() == result
    capsys.readouterr()


def test_weights_of_a_run_need_not_be_of_the_old_default(tmp_path: Path) -> None:
    """The network of the weights is that for the size, not the one for CIFAR."""
    data = photographs(tmp_path / "images", (40, 30))
    command = ["train", "none", "--data", data, "--epochs", "1", "--batch-size", "4"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    recipe, _ = planned(tmp_path / "out", data=data, init=str(tmp_path / "run"))
    assert recipe.model == "resnet20"


def test_planned_runs_differ_in_what_decides_them(tmp_path: Path) -> None:
    """A run of another network is none that began."""
    data = photographs(tmp_path / "images", (40, 30))
    options = CompareOptions(data=data, model="resnet8")
    (other,) = planner(tmp_path / "out")(recipe_settings(options))
    run = Planned(other.method, other.recipe, other.folder)
    run.folder.mkdir(parents=True)
    (run.folder / "recipe.json").write_text(run.recipe.to_json())
    recipe, _ = planned(tmp_path / "out", data=data, model="smallconv")
    assert (recipe.image_size, recipe.model) == (64, "smallconv")
