"""Make src/mixwright/lab/data/sources/digits.npz again, from scikit-learn's copy of the digits.

    python scripts/make_digits.py

The file holds the images as they are (uint8, 0 to 16), their labels, and the rows we train on:
100 of each class, drawn once by the seed below. All other rows are for testing.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

SPLIT_SEED = 1998  # the year the digits were given to UCI
TRAIN_PER_CLASS = 100
TARGET = Path(__file__).parents[1] / "src/mixwright/lab/data/sources/digits.npz"


def main() -> None:
    """Write the file."""
    digits = load_digits()
    rng = np.random.default_rng(SPLIT_SEED)
    chosen = [
        rng.choice(np.flatnonzero(digits.target == label), TRAIN_PER_CLASS, replace=False)
        for label in range(10)
    ]
    np.savez_compressed(
        TARGET,
        images=digits.images.astype(np.uint8),
        labels=digits.target.astype(np.uint8),
        train=np.sort(np.concatenate(chosen)).astype(np.uint16),
    )


if __name__ == "__main__":
    main()
