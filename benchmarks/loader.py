"""Processor time of a training image from JPEG to batch: ours beside torchvision's loader.

    python benchmarks/loader.py --make photographs      # 2,000 JPEGs of 500x375, 90 kB each
    python benchmarks/loader.py photographs --out loader.json

Both cut RandomResizedCrop(224) and mirror half of the images; theirs is ``ImageFolder`` with its
transforms on Pillow images, ``ToTensor`` and a ``DataLoader``, ours ``--crop original`` up to the
batch of uint8 that a GPU is sent, which makes floats of it; on a CPU, ``and floats`` too. They take
turns, and the least of the turns counts: other work on the machine makes any of them longer, none
shorter. Processor time is that of this process and of the workers, so it does not depend on how
many cores are free. Needs the extras ``lab`` and ``torchvision``.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image

from mixwright.lab.data import Batches, LazyImages, OriginalCrop, load_data
from mixwright.lab.data import memory as memory_module
from mixwright.lab.training.machine import machine

SIZE, BATCH, SCALE = 224, 64, 0.08


def make(folder: Path, count: int) -> None:
    """Write JPEGs: parts of the photographs in the package, enlarged, with texture of a sensor."""
    import mixwright.lab.experiments

    own = Path(mixwright.lab.experiments.__file__).parent / "photographs"
    photographs = [Image.open(file).convert("RGB") for file in sorted(own.glob("*.png"))]
    rng = np.random.default_rng(0)
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        width, height = (500, 375) if number % 4 else (375, 500)
        wide = int(min(photograph.width, photograph.height * width / height) * rng.uniform(0.6, 1))
        high = wide * height // width
        left = int(rng.integers(photograph.width - wide + 1))
        top = int(rng.integers(photograph.height - high + 1))
        part = photograph.crop((left, top, left + wide, top + high))
        pixels = np.asarray(part.resize((width, height), Image.Resampling.BICUBIC))
        noise = rng.normal(0, 13, (height, width, 1)) + rng.normal(0, 2, (height, width, 3))
        file = folder / ("train", "val")[number % 10 == 0] / f"class{number // 10 % 20:02}"
        file.mkdir(parents=True, exist_ok=True)
        noisy = Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))
        noisy.save(file / f"{number:05}.jpg", quality=90)


def processor() -> float:
    """Return seconds of this process and its children, also of those that are still there."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in spent)
    own = os.getpid()
    for child in Path(f"/proc/{own}/task/{own}/children").read_text().split():
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


@functools.cache
def stored(folder: Path) -> LazyImages:
    """Return the images to train on, as those of a set that does not fit in memory."""
    memory_module.WHOLE_SET_BYTES = 1
    train = load_data(f"folder:{folder}", image_size=SIZE).train
    assert isinstance(train, LazyImages)
    return train


def ours(
    folder: Path, count: int, workers: int, decoding: Any, *, floats: bool
) -> Callable[[], Iterator[Any]]:
    """Return what makes the batches of an epoch, as floats or as the bytes that a GPU is sent."""
    train = stored(folder)
    train = train.subset(torch.arange(count) * len(train) // count)
    train.workers = workers
    crop = OriginalCrop(scale=SCALE)
    batches = Batches(
        train, batch_size=BATCH, device="cpu", augment=None, crop=crop, shuffle=True,
        decoding=decoding,
    )  # fmt: skip
    rng = torch.Generator().manual_seed(0)

    def pixels() -> Iterator[Any]:
        rows = torch.randperm(count, generator=rng).split(BATCH)
        seeds = torch.randint(2**62, (len(rows),), generator=rng)
        stream = train.stream_crops(rows, crop, seeds, views=1, decoding=decoding)
        return ((images, train.labels[part]) for part, images in zip(rows, stream, strict=True))

    return (lambda: batches.epoch(rng)) if floats else pixels


def torchvisions(folder: Path, count: int, workers: int) -> Callable[[], Iterator[Any]]:
    """Return the same of torchvision and torch."""
    from torch.utils.data import DataLoader, Subset
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    steps = [
        transforms.RandomResizedCrop(SIZE, scale=(SCALE, 1.0)),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
    ]
    images = ImageFolder(str(folder / "train"), transforms.Compose(steps))
    some = Subset(images, [row * len(images) // count for row in range(count)])
    loader = DataLoader(
        some, batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    return lambda: iter(loader)


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="train/ and val/ with a folder for each class")
    parser.add_argument("--make", action="store_true", help="write 2,000 JPEGs there, then end")
    parser.add_argument("--images", type=int, default=256, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.make:
        make(options.folder, 2000)
        return
    import torchvision

    torch.set_num_threads(1)
    files = sorted(options.folder.glob("train/*/*"))
    loaders: dict[tuple[str, int], Callable[[], Iterator[Any]]] = {}
    for workers in options.workers:
        given = options.folder, options.images, workers
        loaders["torchvision", workers] = torchvisions(*given)
        for decoding in ("exact", "fast"):
            loaders[f"mixwright, {decoding}", workers] = ours(*given, decoding, floats=False)
        loaders["mixwright, fast, and floats", workers] = ours(*given, "fast", floats=True)
    turns: dict[tuple[str, int], list[float]] = {key: [] for key in loaders}
    for turn in range(options.rounds + 1):
        for key, epoch in loaders.items():
            before = processor()
            seen = sum(len(labels) for _, labels in epoch())
            if turn:  # the first starts the workers and imports
                turns[key].append((processor() - before) / seen * 1000)
    rows = [
        {
            "loader": name,
            "workers": workers,
            "processor_ms_per_image": round(min(taken), 3),
            "median_ms": round(statistics.median(taken), 3),
            "images_per_second_and_core": round(1000 / min(taken)),
            "times_torchvision": round(min(turns["torchvision", workers]) / min(taken), 2),
        }
        for (name, workers), taken in turns.items()
    ]
    record = {
        "what": (__doc__ or "").partition("\n")[0],
        "machine": machine(torch.device("cpu")),
        "load": [round(load, 1) for load in os.getloadavg()],
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "pillow": PIL.__version__,
        "images": options.images,
        "rounds": options.rounds,
        "batch": BATCH,
        "files": len(files),
        "mean_bytes": round(statistics.fmean(file.stat().st_size for file in files)),
        "rows": rows,
    }
    text = json.dumps(record, indent=2) + "\n"
    sys.stdout.write(text)
    if options.out is not None:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
