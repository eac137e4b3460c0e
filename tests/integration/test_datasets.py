"""Sets of the package ``datasets``, in its own format, read by two real processes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lab.data.pictures import picture, png
from lab.data.two_ranks import read_by_two
from mixwright.lab.data import LazyImages, load_data
from mixwright.lab.data import memory as memory_module
from mixwright.lab.data.sources import hub

datasets = pytest.importorskip("datasets")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Ten images to train on in three parquet files, four to test on, as the hub has them."""
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )

    def rows(seeds: range) -> Any:
        cells = [{"bytes": png(picture(seed)), "path": None} for seed in seeds]
        return datasets.Dataset.from_dict(
            {"image": cells, "label": [seed % 2 for seed in seeds]}, features=features
        )

    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    for number, seeds in enumerate([range(4), range(4, 8), range(8, 10)]):
        rows(seeds).to_parquet(folder / f"train-{number:05}-of-00003.parquet")
    rows(range(10, 14)).to_parquet(folder / "test-00000-of-00001.parquet")
    return tmp_path / "set"


def test_two_processes_read_their_own_rows_alone(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory_module, "WHOLE_SET_BYTES", 1)
    read = hub._Cells.__getitem__
    number_of = {png(picture(seed)): seed for seed in range(14)}
    seen: list[int] = []

    def noted(self: Any, row: int) -> Any:
        cell = read(self, row)
        seen.append(number_of[cell])
        return cell

    monkeypatch.setattr(hub._Cells, "__getitem__", noted)
    epochs = read_by_two(
        lambda rank: load_data(f"hub:{shards}", data_dir=tmp_path / f"cache{rank}", image_size=8),
        seen,
        tmp_path,
    )
    for epoch, parts in enumerate(epochs):
        order = torch.randperm(10, generator=torch.Generator().manual_seed(epoch)).tolist()
        assert [len(part) for part in parts] == [5, 5]
        assert parts == [order[0::2], order[1::2]]  # all of them, each once


def test_a_part_of_a_set_stays_in_its_files(shards: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory_module, "WHOLE_SET_BYTES", 1)
    data = load_data(f"hub:{shards}", data_dir=shards / "cache", image_size=8, val_share=0.2)
    assert isinstance(data.train, LazyImages)
    assert isinstance(data.train.stored.encoded, hub._Cells)
    assert len(data.train) == 8
    assert isinstance(data.validation, LazyImages)
    assert isinstance(data.validation.stored.encoded, hub._Cells)
