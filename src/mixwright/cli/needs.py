"""What a method asks for and costs, in words; measured figures come from ``mixwright bench``."""

_COST = {
    "mixup": "one blend of two batches",
    "cutmix": "a slice for each image",
    "cutout": "a slice for each image",
    "resizemix": "a slice and a reduced image for each image",
    "hmix": "one blend and a slice",
    "gridmix": "one blend under a mask of two factors",
    "gmix": "one blend under a mask of two factors",
    "smoothmix": "one blend under a smooth mask",
    "agmix": "a smooth mask, rotated, and one blend",
    "fmix": "one Fourier transform and one sort for each image",
    "miamix": "several masks, their smoothing and rotation, and one blend",
}
_NEEDS_MODEL = "images, labels and the model"


def needs(name: str, *, learns: bool) -> str:
    """What a method looks at.

    Args:
        name: in ``MIXERS`` or ``OBJECTIVES``.
        learns: whether it is an objective.

    Returns:
        a few words.
    """
    if learns:
        return "a training loop of ours: it is a way of training"
    return "images alone" if name in _COST else _NEEDS_MODEL


def cost(name: str) -> str:
    """What a method does beside the training step.

    Args:
        name: in ``MIXERS`` or ``OBJECTIVES``.

    Returns:
        a few words, or nothing where it is not known.
    """
    return _COST.get(name, "")
