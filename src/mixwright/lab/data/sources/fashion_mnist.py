"""Fashion-MNIST: grey pictures of clothes, 28x28."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.arrays import cut_and_resized, image_set
from mixwright.lab.data.sources.download import cache_folder, fetch_file
from mixwright.lab.data.sources.listing import report_counts

CLASSES = (
    *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)

URL = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
    "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/"
)
"""The authors' repository; their own server speaks no https."""

SHA256 = {
    f"{name}-ubyte.gz": digest
    for name, digest in (
        ("train-images-idx3", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        ("train-labels-idx1", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        ("t10k-images-idx3", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        ("t10k-labels-idx1", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    )
}
FOLDERS = (".", "fashion-mnist", "FashionMNIST/raw")
"""Where in the folder of the request the files may lie; torchvision's place is the last."""


def load_fashion_mnist(request: Request) -> Source:
    """Return Fashion-MNIST in the authors' split, downloaded if need be.

    Its four files are read as they are, ``train-images-idx3-ubyte.gz`` and so on, or unpacked.
    Grey is repeated over three channels. Images may be mirrored: a left shoe is in the class of a
    right one.
    """
    train = _part("train", request)
    test = _part("t10k", request)
    report_counts("fashion-mnist", (len(train), len(test)), (60_000, 10_000), request.say)
    train, test, part = cut_and_resized(train, test, request)
    return Source(
        train=train,
        test=test,
        classes=CLASSES,
        note=f"Fashion-MNIST (Xiao et al., 2017, MIT), the authors' split{part}",
    )


def _part(part: str, request: Request) -> ImageSet:
    images = _found(f"{part}-images-idx3-ubyte.gz", request)
    labels = _found(f"{part}-labels-idx1-ubyte.gz", request)
    return image_set(
        read_idx(images, dimensions=3),
        read_idx(labels, dimensions=1),
        classes=len(CLASSES),
        name=images.name,
    )


def _found(name: str, request: Request) -> Path:
    """Return a file where it lies, or where it was fetched to."""
    home = request.data_dir or cache_folder()
    for folder in FOLDERS:
        for path in (home / folder / name, home / folder / name.removesuffix(".gz")):
            if path.is_file():
                return path
    target = home / "fashion-mnist" / name
    if not request.download:
        raise DataError(
            f"fashion-mnist: {name} is neither in {home} nor in {target.parent}. Place the four "
            f"files of {URL} there, name another folder with data_dir (--data-dir), or allow the "
            "download."
        )
    fetch_file(URL + name, sha256=SHA256[name], target=target, say=request.say)
    return target


def read_idx(path: Path, *, dimensions: int) -> Any:
    """Return an array of bytes in the format of MNIST, compressed (.gz) or not.

    The file holds two zero bytes, 8 for unsigned bytes, the number of dimensions, the length of
    each as four bytes, big end first, then the values.
    """
    import numpy as np

    try:
        stored = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked: {error}. Place a fresh copy.") from error
    start = 4 + 4 * dimensions
    if stored[:4] != bytes([0, 0, 8, dimensions]) or len(stored) < start:
        raise DataError(
            f"{path} begins with {stored[:4].hex(' ') or 'nothing'}; expected 00 00 08 "
            f"0{dimensions}, an IDX file of bytes in {dimensions} dimension(s). Place a fresh copy."
        )
    shape = [int.from_bytes(stored[at : at + 4], "big") for at in range(4, start, 4)]
    values = np.frombuffer(stored, dtype=np.uint8, offset=start)
    if len(values) != int(np.prod(shape)):
        raise DataError(
            f"{path} holds {len(values):,} bytes for an array of {'x'.join(map(str, shape))}; "
            "it is cut short or too long. Place a fresh copy."
        )
    return values.reshape(shape)
