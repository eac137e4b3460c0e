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
        needs: what the method looks at; with ``"model"`` come the labels.
        dims: ``"any"`` number of spatial dimensions, or ``"2-D"`` images only.
        cost: what it costs beside passes through the model.
        forwards: passes through the model in one training step with default settings, that of the
            step itself included; a mean where a step draws what it does.
        backwards: backward passes through weights and data, likewise.
        input_backwards: backward passes to the input alone, for a saliency.
        note: one sentence on what it does.
    """

    title: str
    paper: str
    link: str
    needs: Literal["images", "labels", "model"] = "images"
    dims: Literal["any", "2-D"] = "2-D"
    cost: str = "one pass over the pixels"
    forwards: float = 1
    backwards: float = 1
    input_backwards: float = 0
    note: str

    @property
    def times(self) -> float:
        """The exact count of a step, relative to one forward and one backward.

        A forward is one unit, a backward two (to the weights and to the data), one to the input
        alone one. What is done beside the model is not counted.

        Example:
            >>> card = Card(title="", paper="", link="", note="", forwards=2, input_backwards=1)
            >>> round(card.times, 3)
            1.667
        """
        return (self.forwards + 2 * self.backwards + self.input_backwards) / 3


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
    "saliencymix": Card(
        title="SaliencyMix",
        paper="Uddin et al., ICLR 2021",
        link="https://arxiv.org/abs/2006.01791",
        needs="model",
        forwards=2,
        input_backwards=1,
        note="A box of the partner around its most salient pixel; needs labels too.",
    ),
    "attentivecutmix": Card(
        title="AttentiveCutMix",
        paper="Walawalkar et al., ICASSP 2020",
        link="https://arxiv.org/abs/2003.13048",
        needs="model",
        forwards=2,
        note="The cells of a grid that the model attends to most, pasted on the partner.",
    ),
    "snapmix": Card(
        title="SnapMix",
        paper="Huang, Wang and Tao, AAAI 2021",
        link="https://arxiv.org/abs/2012.04846",
        needs="model",
        cost="two passes over the pixels",
        forwards=2,
        note="A box of the partner resized into another box; labels weigh by what the class "
        "activation maps hold in them; needs labels too.",
    ),
    "puzzlemix": Card(
        title="PuzzleMix",
        paper="Kim, Choo and Song, ICML 2020",
        link="https://arxiv.org/abs/2009.06962",
        needs="model",
        cost="an energy minimised on a grid of 2 to 16 blocks, and a transport of blocks",
        forwards=2,
        input_backwards=1,
        note="Blocks of both images chosen and moved so that what is salient stays; needs labels "
        "too.",
    ),
    "comixup": Card(
        title="CoMixup",
        paper="Kim et al., ICLR 2021",
        link="https://arxiv.org/abs/2102.03065",
        needs="model",
        cost="an energy minimised over groups of 20 images",
        forwards=2,
        input_backwards=1,
        note="Many images shared out among many outputs, salient and diverse; needs labels too.",
    ),
    "saliencygrafting": Card(
        title="SaliencyGrafting",
        paper="Park et al., AAAI 2022",
        link="https://arxiv.org/abs/2112.08796",
        needs="model",
        forwards=2,
        input_backwards=1,
        note="Salient blocks of the partner, drawn by chance; labels weigh by saliency; needs "
        "labels too.",
    ),
    "guidedmixup": Card(
        title="GuidedMixup",
        paper="Kang and Kim, AAAI 2023",
        link="https://arxiv.org/abs/2306.16612",
        cost="two Fourier transforms of one plane a sample, and a pairing of the batch",
        note="Pixel by pixel the share of the more salient image, partners chosen to overlap "
        "little; with saliency=gradient it needs model and labels.",
    ),
}
"""Short name, as in ``MIXERS``, to card."""
