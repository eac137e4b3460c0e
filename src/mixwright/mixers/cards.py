"""A card for each mixer: whose it is, what it needs and what it costs. Imports nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Card:
    """What to know of a method before choosing it.

    Attributes:
        title: the class's name.
        paper: authors, year and place.
        link: where to read it, or code of it.
        needs: what the mixer looks at.
        dims: ``"any"`` number of spatial dimensions, or ``"2-D"`` images only.
        cost: what it costs beside the training step.
        note: one sentence on what it does.
    """

    title: str
    paper: str
    link: str
    needs: Literal["images", "labels", "model"] = "images"
    dims: Literal["any", "2-D"] = "2-D"
    cost: str = "one pass over the pixels"
    note: str


CARDS: dict[str, Card] = {
    "mixup": Card(
        title="MixUp",
        paper="Zhang et al., ICLR 2018",
        link="https://arxiv.org/abs/1710.09412",
        dims="any",
        note="A weighted mean of two images.",
    ),
    "cutmix": Card(
        title="CutMix",
        paper="Yun et al., ICCV 2019",
        link="https://arxiv.org/abs/1905.04899",
        dims="any",
        note="A box of the partner, pasted at the same place.",
    ),
    "cutout": Card(
        title="Cutout",
        paper="DeVries and Taylor, 2017",
        link="https://arxiv.org/abs/1708.04552",
        dims="any",
        note="Square holes; the label stays as it is.",
    ),
    "fmix": Card(
        title="FMix",
        paper="Harris et al., 2020",
        link="https://arxiv.org/abs/2002.12047",
        cost="two Fourier transforms and a ranking of one plane a sample",
        note="Two images along the smooth border of a random region.",
    ),
    "gridmix": Card(
        title="GridMix",
        paper="Baek, Bang and Shim, Pattern Recognition 2021",
        link="https://github.com/IlyaDobrynin/GridMixup",
        note="A lattice of the partner's holes, or whole cells of a grid.",
    ),
    "hmix": Card(
        title="HMix",
        paper="Park et al., NeurIPS 2022",
        link="https://arxiv.org/abs/2208.09913",
        note="A box of the partner and a mean of both around it: between MixUp and CutMix.",
    ),
    "gmix": Card(
        title="GMix",
        paper="Park et al., NeurIPS 2022",
        link="https://arxiv.org/abs/2208.09913",
        note="A soft round spot of the one image in the other.",
    ),
    "agmix": Card(
        title="AGMix",
        paper="Liang et al., 2023",
        link="https://arxiv.org/abs/2308.02804",
        cost="one exponential of one plane a sample",
        note="A soft ellipse, stretched and turned at random.",
    ),
    "miamix": Card(
        title="MiAMix",
        paper="Liang et al., 2023",
        link="https://arxiv.org/abs/2308.02804",
        cost="one or two masks a sample, a part of them rotated and smoothed",
        note="Layers of several methods with augmented masks, and some self-mixing.",
    ),
    "resizemix": Card(
        title="ResizeMix",
        paper="Qin et al., 2020",
        link="https://arxiv.org/abs/2012.11101",
        cost="two passes over the pixels",
        note="The whole partner, made small, pasted somewhere.",
    ),
    "smoothmix": Card(
        title="SmoothMix",
        paper="Lee et al., CVPR Workshops 2020",
        link="https://github.com/Westlake-AI/openmixup",
        note="A wide soft spot of the partner.",
    ),
}
"""Short name, as in ``MIXERS``, to card."""
