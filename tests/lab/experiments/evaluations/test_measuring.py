"""Several models through several evaluations: once each, resumed after an interruption."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from mixwright.lab.analysis.store import read_findings, write_findings
from mixwright.lab.data.load import load_data
from mixwright.lab.evaluation.corruption import corruption
from mixwright.lab.evaluation.corruption.corruption import Corruption
from mixwright.lab.evaluation.subject import Measurement, NotApplicableError, Subject
from mixwright.lab.experiments.evaluations import measuring
from mixwright.lab.experiments.evaluations.cache import FolderCache, read_arrays, write_arrays
from mixwright.lab.experiments.evaluations.measuring import Measured, Setting, measure_all, setting
from mixwright.lab.experiments.evaluations.models_to_evaluate import ModelToEvaluate
from mixwright.lab.experiments.evaluations.recording import evaluation_findings

CALLS: list[str] = []


@dataclass(frozen=True, kw_only=True)
class Count:
    """Counts test images; stops like a killed process where it is told to."""

    name: ClassVar[str] = "count"
    about: ClassVar[str] = "counts"
    pictures: ClassVar[tuple[str, ...]] = ()
    stop: bool = False
    least: int = 0

    def measure(self, subject: Subject) -> Measurement:
        CALLS.append("count")
        pieces = [
            subject.cache.get_or_compute(f"piece-{k}", lambda k=k: self.piece(subject, k))
            for k in range(3)
        ]
        whole = sum(int(piece["n"]) for piece in pieces)
        return Measurement(summary={"count": whole, "share": 0.5}, arrays={"ids": subject.ids})

    def piece(self, subject: Subject, k: int) -> dict[str, torch.Tensor]:
        CALLS.append(f"piece {k}")
        if self.stop and k == 2:
            raise KeyboardInterrupt
        return {"n": torch.tensor(sum(len(labels) for _, labels in subject.batches()))}


@dataclass(frozen=True, kw_only=True)
class Never:
    """Has nothing to measure."""

    name: ClassVar[str] = "never"
    about: ClassVar[str] = "never"
    pictures: ClassVar[tuple[str, ...]] = ()

    def measure(self, subject: Subject) -> Measurement:
        raise NotApplicableError("there is no mixer")


def candidate(seed: int = 0) -> ModelToEvaluate:
    def load(data: object) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))

    return ModelToEvaluate(
        group="own",
        label="Own",
        method_label="Own",
        name=f"own-{seed}",
        seed=seed,
        weights="",
        load=load,
    )


def common(test_size: int | None = 30) -> Setting:
    data = load_data("digits")
    return setting(data, test_size=test_size, device="cpu", batch_size=20, seed=0)


def run(
    folder: Path, *parts: object, models: int = 1, test_size: int = 30, first: int = 0
) -> list[Measured]:
    CALLS.clear()
    many = [candidate(seed) for seed in range(first, first + models)]
    told = lambda *_: None  # noqa: E731
    return list(measure_all(many, parts, common(test_size), folder, on_progress=told))  # pyright: ignore


def test_each_part_is_measured_once_and_read_back(tmp_path: Path) -> None:
    first = run(tmp_path, Count(), Never())
    assert [one.found and one.found.summary["count"] for one in first] == [90, None]
    assert first[1].reason == "there is no mixer"
    again = run(tmp_path, Count(), Never())
    assert CALLS == []
    assert again[0].found is not None
    assert again[0].found.summary == first[0].found.summary  # pyright: ignore
    assert torch.equal(again[0].found.arrays["ids"], common().ids)


def test_an_interrupted_part_goes_on_at_its_last_piece(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Count(stop=True))
    assert CALLS == ["count", "piece 0", "piece 1", "piece 2"]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Count(stop=True))
    assert CALLS == ["count", "piece 2"]


def test_other_weights_options_or_images_are_measured_anew(tmp_path: Path) -> None:
    run(tmp_path, Count())
    run(tmp_path, Count(), models=2)
    assert CALLS.count("count") == 1  # the second model alone
    run(tmp_path, Count(least=1))
    assert CALLS.count("count") == 1
    run(tmp_path, Count(least=1), test_size=20)
    assert CALLS.count("count") == 1
    run(tmp_path, Count(least=1), test_size=20)
    assert CALLS == []


@pytest.mark.parametrize(("held", "times"), [(measuring._HELD, 1), (0, 3)])
def test_what_is_shown_to_all_models_is_made_once_within_memory(
    held: int, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Corruption(types=("fog", "contrast"), severities=(1, 3))
    made = list[str]()
    block_corruption = corruption.block_corruption

    def counted(shape: Any, name: str, severity: int, **given: Any) -> Any:
        made.append(name)
        return block_corruption(shape, name, severity, **given)

    monkeypatch.setattr(corruption, "block_corruption", counted)
    monkeypatch.setattr(measuring, "_HELD", held)
    (first,) = run(tmp_path / "a", part)
    assert len(made) == 4
    apart = [first] + [run(tmp_path / f"only {k}", part, first=k)[0] for k in (1, 2)]
    made.clear()
    together = run(tmp_path / "all", part, models=3)
    assert len(made) == 4 * times
    for one, other in zip(together, apart, strict=True):
        assert one.candidate.name == other.candidate.name
        assert one.found is not None
        assert other.found is not None
        assert torch.equal(one.found.arrays["correct"], other.found.arrays["correct"])
        assert one.found.summary == other.found.summary
    made.clear()
    grown = run(tmp_path / "a", part, models=3)  # two are new
    assert len(made) == 4 * min(times, 2)
    for one, other in zip(grown, together, strict=True):
        assert one.found is not None
        assert other.found is not None
        assert torch.equal(one.found.arrays["correct"], other.found.arrays["correct"])


def test_findings_keep_everything_and_null_for_nan(tmp_path: Path) -> None:
    measured = run(tmp_path, Count(), Never(), models=2)
    first = measured[0].found
    assert first is not None
    first.summary["share"] = float("nan")
    findings, _ = evaluation_findings(
        measured, [Count(least=3), Never()], common(), command="mixwright", seconds=2.5
    )
    assert [*findings.parts] == ["count"]
    part = findings.parts["count"]
    (group,) = part.groups
    assert (group.key, group.name, group.weights, group.seeds) == ("own", "Own", "", (0, 1))
    assert [summary["count"] for summary in group.summaries] == [90, 90]
    assert group.intervals["count"].mean == 90
    assert math.isnan(group.intervals["share"].mean)
    assert part.options == {"stop": False, "least": 3}
    about = findings.about
    assert about.skipped == ("Own: never, because there is no mixer",)
    assert (about.data.name, about.data.test, about.seconds) == ("digits", 30, 2.5)
    path = write_findings(tmp_path / "out", findings, {})
    assert '"share": null' in path.read_text()
    (again,) = read_findings(path).parts["count"].groups
    assert again.intervals["count"] == group.intervals["count"]


def test_test_images_are_a_fair_part(tmp_path: Path) -> None:
    part = common()
    whole = load_data("digits")
    assert torch.equal(part.data.test.labels, whole.test.labels[part.ids])
    assert part.data.test.labels.bincount().tolist() == [3] * 10
    with pytest.raises(ValueError, match="test size is 900; expected 1 to 797"):
        common(900)


def test_damaged_pieces_are_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    write_arrays(file, {"x": torch.arange(3)})
    assert read_arrays(file)["x"].tolist() == [0, 1, 2]  # pyright: ignore
    file.write_bytes(file.read_bytes()[:-30])
    assert read_arrays(file) is None
    cache = FolderCache(tmp_path, tmp_path / "shared")
    made = cache.get_or_compute("a", lambda: {"x": torch.ones(1)})
    assert made["x"].tolist() == [1.0]
    assert read_arrays(file)["x"].tolist() == [1.0]  # pyright: ignore


def test_what_hangs_on_the_model_alone_is_made_once_for_all_evaluations(tmp_path: Path) -> None:
    def of(part: str) -> FolderCache:
        return FolderCache(tmp_path / part, tmp_path / "shared")

    of("first").get_or_compute("clean", lambda: {"x": torch.ones(1)}, shared=True)
    assert of("second").get_or_compute("clean", dict, shared=True)["x"].tolist() == [1.0]
    assert of("second").get_or_compute("clean", dict) == {}


def test_other_pixels_and_other_training_images_are_seen() -> None:
    import dataclasses

    from mixwright.lab.experiments.evaluations.measuring import _images_identity

    plain = common()
    changed = plain.data.test.images.clone()
    changed[-1, 0, 0, 0] ^= 1
    test = dataclasses.replace(plain.data.test, images=changed)
    fewer = plain.data.train.subset(torch.arange(50))
    for data in (
        dataclasses.replace(plain.data, test=test),
        dataclasses.replace(plain.data, train=fewer),
    ):
        other = dataclasses.replace(plain, data=data)
        assert _images_identity(other) != _images_identity(plain)
    assert _images_identity(common()) == _images_identity(plain)
