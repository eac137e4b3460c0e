"""Real handwritten digits, shipped with the package."""

import io
from importlib.resources import files

import torch
from torch import Tensor

from mixwright.lab.data.resize import resized
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.arrays import at_size, centre_clause
from mixwright.lab.data.subset import stratified_rows

DEFAULT_LABELS = 100
"""Images to train on by default: with more, every method is near 98 %."""

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def load_digits(request: Request) -> Source:
    """Return the digits: 100 to train on by default, 10 of each class, and 797 to test on.

    Which rows are for testing is written in the file that we ship; which of the other 1,000 are
    trained on is drawn by a fixed seed, so it is the same in every run. The 8x8 originals are
    enlarged smoothly (bilinear), to 32x32 by default, and repeated over three channels.
    """
    train, test = _read(request.image_size or 32)
    size = len(train) if request.whole else request.train_size or DEFAULT_LABELS
    rows = stratified_rows(train.labels, size)
    return Source(
        train=at_size(train.subset(rows), request),
        test=at_size(test, request),
        classes=CLASSES,
        note=(
            "1,797 handwritten digits of 8x8 pixels, enlarged (Optical Recognition of Handwritten "
            "Digits, E. Alpaydin and C. Kaynak, UCI, CC BY 4.0; scikit-learn's copy); "
            + (
                "1,000 labels to train on, 797 images to test on"
                if request.whole
                else f"{size:,} of 1,000 labels to train on, 797 images to test on, both fixed"
            )
            + centre_clause(request)
        ),
        mirrored=False,
    )


def _read(image_size: int) -> tuple[ImageSet, ImageSet]:
    """Return all 1,000 images to train on, 100 per class, and all 797 to test on."""
    import numpy as np

    stored = (files("mixwright.lab.data.sources") / "digits.npz").read_bytes()
    with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
        small = torch.from_numpy(arrays["images"])
        labels = torch.from_numpy(arrays["labels"].astype(np.int64))
        rows = torch.from_numpy(arrays["train"].astype(np.int64))
    grey = resized(small[:, None].float() * (255 / 16), image_size)
    images = grey.expand(-1, 3, -1, -1)
    train = torch.zeros(len(labels), dtype=torch.bool)
    train[rows] = True
    return _part(images, labels, train), _part(images, labels, ~train)


def _part(images: Tensor, labels: Tensor, chosen: Tensor) -> ImageSet:
    return ImageSet(images[chosen].contiguous(), labels[chosen])
