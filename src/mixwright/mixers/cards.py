"""What a method's card says: whose it is, what it needs and what it costs. Imports nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LabelRule = Literal["mask", "share", "content", "own"]
"""How labels are weighed: by the mean of the mask; by the share that was drawn, whatever the mask
shows; by what of each image is seen (saliency, activation or attention); or they stay the own."""


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
        labels: how labels are weighed.
        formula: the mixture and its label in a few lines of plain text: ``x``, ``y`` are the sample
            and its label, ``x'``, ``y'`` its partner's, ``M`` the own share of each pixel.
        limits: when not to use it, in a few sentences.
        cites: its papers, by their keys in ``docs/references.bib``.
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
    labels: LabelRule = "mask"
    formula: str = ""
    limits: str = ""
    cites: tuple[str, ...] = ()

    @property
    def times(self) -> float:
        """The exact count of a step, relative to one forward and one backward of the model alone.

        A forward is one unit, a backward two (to weights and to data), to the input alone one.

        Example:
            >>> card = Card(title="", paper="", link="", note="", forwards=2, input_backwards=1)
            >>> round(card.times, 3)
            1.667
        """
        return (self.forwards + 2 * self.backwards + self.input_backwards) / 3
