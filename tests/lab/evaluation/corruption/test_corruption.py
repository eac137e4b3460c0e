"""The evaluation: what it counts, what it keeps, what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lab.evaluation.judged import images_and_labels, small, subject
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.evaluation.corruption import corruption, generate
from mixwright.lab.evaluation.corruption.constants import TYPES
from mixwright.lab.evaluation.corruption.corruption import Corruption
from mixwright.lab.evaluation.corruption.generate import corrupt
from mixwright.lab.evaluation.subject import NotApplicableError


class Kept:
    """A cache that counts what it has made."""

    def __init__(self) -> None:
        self.there: dict[str, object] = {}
        self.made: list[str] = []

    def get_or_compute(self, key, make, *, shared=False):
        if key not in self.there:
            self.made.append(key)
            self.there[key] = make()
        return self.there[key]

    def kept(self, key):
        return self.there.get(key)


def right(model, images, labels) -> list[int]:
    with torch.no_grad():
        return (model.eval()(images.float() / 255).argmax(dim=1) == labels).int().tolist()


def test_generated_counts_what_the_model_gets_right() -> None:
    model = small()
    given = subject(model, seed=4)
    found = Corruption(types=("fog", "gaussian_noise"), severities=(2, 5)).measure(given)
    images, labels = images_and_labels()
    for place, name in enumerate(("fog", "gaussian_noise")):
        for row, severity in enumerate((2, 5)):
            expected = right(model, corrupt(images, name, severity, seed=4), labels)
            assert found.arrays["correct"][place, row].tolist() == expected
            assert found.summary["accuracy"][name][row] == sum(expected) / len(expected)
    assert found.arrays["clean"].tolist() == right(model, images, labels)
    assert found.arrays["correct"].dtype == torch.uint8
    summary = found.summary
    assert summary["clean"] == pytest.approx(sum(found.arrays["clean"].tolist()) / 20)
    assert summary["mean"] == pytest.approx(float(found.arrays["correct"].double().mean()))
    assert summary["mce"] == pytest.approx(1 - summary["mean"])
    assert summary["relative_drop"] == pytest.approx(summary["clean"] - summary["mean"])
    assert summary["by_severity"] == pytest.approx(
        found.arrays["correct"].double().mean(dim=(0, 2)).tolist()
    )
    assert summary["regenerated"] is True
    assert summary["constants"] == "cifar"
    assert summary["frost"] is None
    assert summary["mean_benchmark"] is None
    assert summary["families"] == {}
    assert torch.equal(found.arrays["sample"], images[0])
    json.dumps(summary, allow_nan=False)


def test_all_types_at_all_severities_and_the_model_is_left_as_it_was() -> None:
    model = small().train()
    told: list[tuple[float, str]] = []
    given = subject(model, count=4, progress=lambda share, note: told.append((share, note)))
    found = Corruption().measure(given)
    assert found.arrays["correct"].shape == (19, 5, 4)
    assert found.summary["types"] == list(TYPES)
    assert set(found.summary["families"]) == {"noise", "blur", "weather", "digital", "extra"}
    assert found.summary["frost"] == "noise"
    others = [place for place, name in enumerate(TYPES) if name != "frost"]
    mean = float(found.arrays["correct"][others].double().mean())
    assert found.summary["mean_without_frost"] == pytest.approx(mean)
    assert found.summary["mean"] != pytest.approx(mean)
    assert found.summary["mean_benchmark"] == pytest.approx(
        float(found.arrays["correct"][:15].double().mean())
    )
    assert "imagenet" not in found.summary
    assert model.training
    shares = [share for share, note in told if note != "clean test images"]
    assert shares == sorted(shares)
    assert len(shares) == 19
    assert all(0 <= share < 1 for share in shares)


def test_the_same_seed_gives_the_same_and_another_does_not() -> None:
    part = Corruption(types=("gaussian_noise",), severities=(5,))
    first, again, other = (
        part.measure(subject(small(), count=200, seed=seed)).arrays["correct"] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("side", "unchanged"), [(8, {"zoom_blur": [1]}), (9, {})])
def test_what_changes_nothing_is_named(side: int, unchanged: dict[str, list[int]]) -> None:
    """The largest zoom, 1.06, makes 8 pixels 8.48, which is 8; and 9 pixels 9.54, which is 10."""
    images, _ = images_and_labels(20, side)
    given = subject(small(), side=side)
    part = Corruption(types=("zoom_blur", "brightness"), severities=(1, 2))
    assert part.measure(given).summary["unchanged"] == unchanged
    zoomed = [corrupt(images, "zoom_blur", 1, seed=0), corrupt(images, "zoom_blur", 2, seed=0)]
    assert torch.equal(zoomed[0], images) is bool(unchanged)
    assert not torch.equal(zoomed[1], images)


@pytest.mark.parametrize("name", ["snow", "fog", "gaussian_noise"])
def test_parts_of_a_block_are_those_of_the_whole_block(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of large images a part is worked on at a time; numbers are drawn as for all of them."""
    monkeypatch.setattr(generate, "_MEBIBYTES", 3.5 * 3 * 12 * 12 / 2**20)  # drawn together: three
    monkeypatch.setattr(corruption, "_MEBIBYTES", 7.5 * 3 * 12 * 12 / 2**20)  # in hand: six
    sizes = list[int]()
    stream = ImageSet.stream

    def watched(images: ImageSet, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        sizes.extend(map(len, parts))
        return stream(images, parts)

    model, (images, labels) = small(), images_and_labels()
    given = subject(model, seed=4, cache=Kept())
    wanted = right(model, corrupt(images, name, 3, seed=4), labels)
    given.clean_logits()
    monkeypatch.setattr(ImageSet, "stream", watched)
    found = Corruption(types=(name,), severities=(3,)).measure(given)
    assert found.arrays["correct"][0, 0].tolist() == wanted
    assert sizes[:4] == [6, 6, 6, 2]
    made = generate.block_corruption((3, 12, 12), name, 3, seed=4, block=0)
    parts = [torch.from_numpy(made(part.numpy())) for part in images.split(6)]
    assert torch.equal(torch.cat(parts), corrupt(images, name, 3, seed=4))


def test_batches_do_not_matter() -> None:
    part = Corruption(types=("snow", "glass_blur"), severities=(3,))
    one, other = (
        part.measure(subject(small(), batch_size=size)).arrays["correct"] for size in (3, 20)
    )
    assert torch.equal(one, other)


def test_finished_types_are_not_made_again() -> None:
    cache = Kept()
    given = subject(small(), cache=cache)
    part = Corruption(types=("fog", "snow"), severities=(1,))
    first = part.measure(given)
    assert cache.made == ["clean", "fog", "snow"]
    del cache.there["snow"]
    second = part.measure(given)
    assert cache.made == ["clean", "fog", "snow", "snow"]
    assert torch.equal(first.arrays["correct"], second.arrays["correct"])


def other(seed: int):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 12 * 12, 4))


def test_models_are_shown_the_same_images_made_once(monkeypatch) -> None:
    part = Corruption(types=("fog", "glass_blur"), severities=(1, 4))
    models = [other(seed) for seed in range(3)]
    alone = [part.measure(subject(model, seed=4)).arrays["correct"] for model in models]
    assert not torch.equal(alone[0], alone[1])
    made, told = list[str](), list[tuple[float, str]]()
    block_corruption = corruption.block_corruption

    def counted(shape, name, severity, **given):
        made.append(f"{name} {severity}")
        return block_corruption(shape, name, severity, **given)

    monkeypatch.setattr(corruption, "block_corruption", counted)
    caches = [Kept() for _ in models]
    caches[1].there["fog"] = {"correct": torch.ones(2, 20, dtype=torch.uint8)}  # of an earlier run
    given = [
        subject(model, seed=4, cache=cache) for model, cache in zip(models, caches, strict=True)
    ]
    part.measure_pieces([replace(given[0], progress=lambda *now: told.append(now)), *given[1:]])
    assert made == ["fog 1", "fog 4", "glass_blur 1", "glass_blur 4"]
    assert told == [(0.0, "fog, 2 models"), (0.5, "glass blur, 3 models")]
    found = [part.measure(one).arrays["correct"] for one in given]
    assert len(made) == 4
    assert torch.equal(found[0], alone[0])
    assert torch.equal(found[2], alone[2])
    assert torch.equal(found[1][1], alone[1][1])
    assert bool(found[1][0].all())  # what was kept stays
    part.measure_pieces(given)
    assert len(made) == 4


def test_a_broken_model_among_others_is_left_to_its_own_measurement() -> None:
    part = Corruption(types=("fog", "snow"), severities=(1,))
    broken = small()
    broken.fc.weight.data.fill_(float("nan"))
    given = [subject(model, cache=Kept()) for model in (broken, other(0))]
    part.measure_pieces(given)
    assert given[0].cache.made == []
    assert given[1].cache.made == ["fog", "snow"]
    with pytest.raises(ValueError, match="NaN"):
        part.measure(given[0])


def write_official(folder: Path, images, labels, types) -> None:
    np.save(folder / "labels.npy", np.tile(labels.numpy(), 5).astype(np.uint8))
    for name in types:
        blocks = [corrupt(images, name, severity, seed=9) for severity in range(1, 6)]
        np.save(folder / f"{name}.npy", torch.cat(blocks).permute(0, 2, 3, 1).numpy())


def test_the_sheet_shows_the_first_image_in_all_ways() -> None:
    found = Corruption(types=("fog",), severities=(1,)).measure(subject(small(), seed=3)).arrays
    first = images_and_labels()[0][:1]
    assert torch.equal(found["sample"], first[0])
    assert found["sheet"].shape == (19, 5, 3, 12, 12)
    assert found["sheet"].dtype == torch.uint8
    for name, severity in (("gaussian_noise", 1), ("frost", 5), ("saturate", 4)):
        shown = found["sheet"][TYPES.index(name), severity - 1]
        assert torch.equal(shown, corrupt(first, name, severity, seed=3)[0])


def test_official_files_are_judged_at_their_places(tmp_path: Path) -> None:
    model = small()
    images, labels = images_and_labels()
    write_official(tmp_path, images, labels, ("fog", "pixelate"))
    part = Corruption(source="official", path=str(tmp_path), types=("pixelate", "fog"))
    whole = part.measure(subject(model))
    for place, name in enumerate(("pixelate", "fog")):
        for row in range(5):
            expected = right(model, corrupt(images, name, row + 1, seed=9), labels)
            assert whole.arrays["correct"][place, row].tolist() == expected
    assert whole.summary["regenerated"] is False
    assert whole.summary["source"] == "official"
    assert whole.summary["seed"] is None
    assert not {"sample", "sheet"} & set(whole.arrays)
    rows = torch.tensor([7, 2, 19])
    given = subject(model)
    some = replace(
        given, ids=rows, data=replace(given.data, test=ImageSet(images[rows], labels[rows]))
    )
    found = part.measure(some)
    assert torch.equal(found.arrays["correct"], whole.arrays["correct"][:, :, rows])


def test_official_files_of_other_images_are_refused(tmp_path: Path) -> None:
    images, labels = images_and_labels()
    write_official(tmp_path, images, labels.flip(0), ("fog",))
    with pytest.raises(ValueError, match="another label"):
        Corruption(source="official", path=str(tmp_path), types=("fog",)).measure(subject(small()))
    write_official(tmp_path, images, images_and_labels(20, 14)[1], ("fog",))
    with pytest.raises(ValueError, match="of 14 x 14 x 3"):
        Corruption(source="official", path=str(tmp_path), types=("fog",)).measure(
            subject(small(), side=14)
        )


def test_images_without_three_channels_do_not_apply() -> None:
    given = subject(small())
    grey = ImageSet(given.data.test.images[:, :1], given.data.test.labels)
    with pytest.raises(NotApplicableError, match="1 x 12 x 12"):
        Corruption().measure(replace(given, data=replace(given.data, test=grey)))


def test_without_opencv_spatter_is_refused_before_the_work(monkeypatch) -> None:
    monkeypatch.setattr("mixwright.lab.evaluation.corruption.corruption.find_spec", lambda _: None)
    cache = Kept()
    with pytest.raises(ValueError, match="spatter needs OpenCV"):
        Corruption(types=("fog", "spatter")).measure(subject(small(), cache=cache))
    assert cache.made == []
    Corruption(types=("fog",), severities=(1,)).measure(subject(small()))


def test_broken_models_are_refused() -> None:
    model = small()
    model.fc.weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN"):
        Corruption(types=("fog",)).measure(subject(model))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "made"}, "source is 'made'"),
        ({"types": ("rain",)}, "types is 'rain'"),
        ({"types": ()}, "at least one"),
        ({"types": ("fog", "fog")}, "none twice"),
        ({"severities": (0,)}, "severities is 0"),
        ({"source": "official"}, "path is ''"),
        ({"path": "somewhere"}, "none for 'generated'"),
        ({"source": "official", "path": "x", "frost": "y"}, "hold their frost"),
    ],
)
def test_options_are_checked(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Corruption(**options)
