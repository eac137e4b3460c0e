"""Sets of the package ``datasets``, in its own format, read by two real processes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.data.pictures import picture, png
from mixwright.lab.data import Batches, LazyImages, load_data
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
    seen: list[bytes] = []

    def noted(self: Any, row: int) -> Any:
        seen.append(read(self, row))
        return seen[-1]

    monkeypatch.setattr(hub._Cells, "__getitem__", noted)
    number_of = {png(picture(seed)): seed for seed in range(14)}
    children: list[int] = []
    for rank in range(2):
        children.append(os.fork())
        if children[-1]:
            continue
        code = 1
        try:
            data = load_data(f"hub:{shards}", data_dir=tmp_path / f"cache{rank}", image_size=8)
            assert isinstance(data.train, LazyImages)
            data.train.workers = 0
            batches = Batches(
                data.train, batch_size=2, device="cpu", augment=None, shuffle=True,
                rank=rank, world=2,
            )  # fmt: skip
            for epoch in range(2):
                seen.clear()
                shown = [x for x, _ in batches.epoch(torch.Generator().manual_seed(epoch))]
                assert len(torch.cat(shown)) == 5
                numbers = [number_of[cell] for cell in seen]
                (tmp_path / f"{rank}-{epoch}").write_text(json.dumps(numbers))
            code = 0
        finally:
            os._exit(code)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    for epoch in range(2):
        parts = [json.loads((tmp_path / f"{rank}-{epoch}").read_text()) for rank in range(2)]
        order = torch.randperm(10, generator=torch.Generator().manual_seed(epoch)).tolist()
        assert parts == [order[0::2], order[1::2]]  # all of them, each once


def test_a_part_of_a_set_stays_in_its_files(shards: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory_module, "WHOLE_SET_BYTES", 1)
    data = load_data(f"hub:{shards}", data_dir=shards / "cache", image_size=8, val_share=0.2)
    assert isinstance(data.train, LazyImages)
    assert isinstance(data.train.stored.encoded, hub._Cells)
    assert len(data.train) == 8
    assert isinstance(data.validation, LazyImages)
    assert isinstance(data.validation.stored.encoded, hub._Cells)
