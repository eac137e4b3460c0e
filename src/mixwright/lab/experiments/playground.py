"""Plans of every method, drawn beforehand, for a page that mixes two pictures without Python.

A plan says who, where and how much, whatever the pixels are: masks, boxes, warps and label weights
are stored as the library draws them, for a grid of lambdas and a few draws each, and the page only
applies them. Methods that look at pictures do so without a model, at every pair of those built in.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mixwright.lab.data.load import load_data
from mixwright.masks.mask_forms import Box, DenseMask, MaskForm, SeparableMask
from mixwright.mixers import CARDS, MIXERS
from mixwright.warps import Blocks, Rect, Warp

if TYPE_CHECKING:
    from mixwright.mixers import Card, Mixer
    from mixwright.plan import MixPlan

SIDE = 128
"""Pixels of a side of every picture: 2, 4, 8 and 16 blocks divide it."""

_DRAWS = 6
_LOOKING: dict[str, tuple[dict[str, str], int]] = {
    "saliencymix": ({"saliency": "fine_grained"}, 1),
    "puzzlemix": ({"saliency": "spectral"}, 1),
    "saliencygrafting": ({"saliency": "spectral"}, 4),
    "guidedmixup": ({}, 1),
}
"""Mixers that look at pictures, with options so that they need no model, and how many draws each.

All but SaliencyGrafting draw nothing once lambda is given.
"""
_DIGITS = (3, 5, 8, 0)
_PHOTOGRAPHS = ("cat", "coffee", "rocket")
_LEVELS = (1, 2, 4, 255)  # a share is stored as a whole number of so many parts


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture to mix: ``pixels`` are ``(3, SIDE, SIDE)`` uint8."""

    name: str
    pixels: Tensor


@dataclass(frozen=True, kw_only=True)
class PlayedMethod:
    """A method and its plans.

    Attributes:
        name: as in ``MIXERS``.
        card: its card.
        code: how to make it in Python.
        looks: whether it looks at the pictures, so that each pair has plans of its own.
        lambdas: the shares that were asked for, in rising order; None alone where it takes none.
        plans: numbers of plans, by pair (one where it does not look), lambda and draw.
    """

    name: str
    card: Card
    code: str
    looks: bool
    lambdas: tuple[float | None, ...]
    plans: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Playground:
    """All that the page knows.

    Attributes:
        pictures: built in.
        planes: where the three planes of each picture begin in ``numbers``.
        pairs: the ordered pairs of pictures, as they are numbered in ``PlayedMethod.plans``.
        methods: what can be played.
        left_out: title of each other mixer.
        plans: each distinct plan of one output once, as JSON takes it: ``who`` is shown (0 the
            sample itself, 1 its partner, -1 a ``fill``), the label ``weight`` of both, the ``mask``
            of the first, a kind and its numbers, and the ``warp`` of each where there is one.
        numbers: the bytes that plans and pictures refer to, by where they begin.
    """

    pictures: tuple[Picture, ...]
    planes: tuple[tuple[int, ...], ...]
    pairs: tuple[tuple[int, int], ...]
    methods: tuple[PlayedMethod, ...]
    left_out: tuple[str, ...]
    plans: tuple[dict[str, Any], ...]
    numbers: bytes


def draw_playground(mixers: Iterable[str] = MIXERS) -> Playground:
    """Draw the plans of mixers, by their names, that need no model."""
    pictures = built_in()
    pairs = [pair for a, b in combinations(range(len(pictures)), 2) for pair in ((a, b), (b, a))]
    store = _Store()
    methods: list[PlayedMethod] = []
    left_out: list[str] = []
    for name in mixers:
        looks, card = name in _LOOKING, CARDS[name]
        if not looks and card.needs == "model":
            left_out.append(card.title)
            continue
        options, count = _LOOKING.get(name, ({}, _DRAWS))
        mixer = MIXERS[name](**options)
        steps = 10 if looks else 20
        lambdas = [k / steps for k in range(steps + 1)] if hasattr(mixer, "lam") else [None]
        plans: list[list[tuple[int, ...]]] = [[] for _ in (pairs if looks else [None])]
        for lam in lambdas:
            fixed = mixer if lam is None else replace(mixer, lam=lam)
            if not looks:  # all draws at once, as the rows of one batch
                plan = _drawn(fixed, torch.zeros(count, 3, SIDE, SIDE), seed=0)
                plans[0].append(store.rows(plan, range(count)))
                continue
            for place in range(0, len(pairs), 2):  # a pair, and it the other way round
                both = torch.stack([pictures[k].pixels for k in pairs[place]]).float() / 255
                drawn = [_drawn(fixed, both, seed=seed) for seed in range(count)]
                for row in (0, 1):
                    numbers = [store.rows(plan, [row])[0] for plan in drawn]
                    plans[place + row].append(tuple(numbers))
        code = ", ".join(f'{key}="{value}"' for key, value in options.items())
        methods.append(
            PlayedMethod(
                name=name,
                card=card,
                code=f"mw.{card.title}({code})",
                looks=looks,
                lambdas=tuple(lambdas),
                plans=tuple(map(tuple, plans)),
            )
        )
    return Playground(
        pictures=pictures,
        planes=tuple(tuple(map(store.plane, picture.pixels)) for picture in pictures),
        pairs=tuple(pairs),
        methods=tuple(methods),
        left_out=tuple(left_out),
        plans=tuple(store.plans),
        numbers=bytes(store.numbers),
    )


def built_in() -> tuple[Picture, ...]:
    """Return the pictures that are there from the start: photographs and shipped digits."""
    from PIL import Image

    found: list[Picture] = []
    for name in _PHOTOGRAPHS:
        file = files("mixwright.lab.experiments") / "photographs" / f"{name}.png"
        image = Image.open(io.BytesIO(file.read_bytes())).resize((SIDE, SIDE))
        flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        found.append(Picture(name, flat.view(SIDE, SIDE, 3).permute(2, 0, 1)))
    digits = load_data("digits", image_size=SIDE)
    for digit in _DIGITS:
        row = (digits.train.labels == digit).nonzero()[0]
        found.append(Picture(digits.classes[digit], digits.train.take(row)[0]))
    return tuple(found)


def _drawn(mixer: Mixer, images: Tensor, *, seed: int) -> MixPlan:
    """Draw one plan, at every lambda from the same seed: then masks grow smoothly with lambda."""
    labels = torch.arange(len(images))
    return mixer.plan(images, labels, generator=torch.Generator().manual_seed(seed))


class _Store:
    """Plans of single outputs, each distinct one kept once."""

    def __init__(self) -> None:
        self.plans: list[dict[str, Any]] = []
        self.numbers = bytearray()
        self._known: dict[str, int] = {}
        self._places: dict[bytes, int] = {}

    def rows(self, plan: MixPlan, rows: Sequence[int]) -> tuple[int, ...]:
        """Keep some outputs of a plan; return their numbers."""
        return tuple(self._keep(self._described(plan, row)) for row in rows)

    def _keep(self, described: dict[str, Any]) -> int:
        key = json.dumps(described)
        if key not in self._known:
            self._known[key] = len(self.plans)
            self.plans.append(described)
        return self._known[key]

    def _described(self, plan: MixPlan, row: int) -> dict[str, Any]:
        """Describe one output; see ``Playground``."""
        if plan.index.shape[1] != 2:
            raise ValueError(
                f"playground: a plan has {plan.index.shape[1]} sources; expected 2, one for each "
                "picture."
            )
        who = [-1 if n < 0 else int(n != row) for n in plan.index[row].tolist()]
        found: dict[str, Any] = {
            "who": who,
            "weight": [round(weight, 4) for weight in plan.weight[row].tolist()],
            "mask": self._mask(plan.mask_form, row),
        }
        if plan.fill is not None:
            found["fill"] = 255 * plan.fill.flatten()[0].item()
        warps = [None if warp is None else _warp(warp, row) for warp in plan.warp or ()]
        return found | ({"warp": warps} if any(warps) else {})

    def _mask(self, form: MaskForm, row: int) -> list[Any]:
        if isinstance(form, Box):
            inside, outside = (share[row].item() for share in form.shares())
            return ["box", *form.edges[row].flatten().tolist(), inside, outside]
        if isinstance(form, SeparableMask):
            factors = torch.cat([form.rows[row], form.columns[row]])
            place = self._put(factors.float().numpy().astype("<f4").tobytes(), align=4)
            return ["product", form.base[row].item(), form.scale[row].item(), place]
        return self._dense(form, row)

    def _dense(self, form: DenseMask, row: int) -> list[Any]:
        values = form.first()[row, 0].float()
        if form.constant:
            return ["share", values.item()]
        exact = (n for n in _LEVELS if torch.equal(values * n, (values * n).round()))
        levels = next(exact, _LEVELS[-1])
        return ["dense", *values.shape, levels, self.plane((values * levels).round())]

    def plane(self, values: Tensor) -> int:
        """Keep a plane ``(H, W)`` of whole numbers up to 255; return where it begins.

        Each number is stored less its neighbours above and at the left, modulo 256: planes are
        smooth, so that packs into less than half.
        """
        down = values.int().diff(dim=0, prepend=values.new_zeros(1, values.shape[1]).int())
        both = down.diff(dim=1, prepend=down.new_zeros(len(down), 1))
        return self._put((both % 256).to(torch.uint8).numpy().tobytes())

    def _put(self, numbers: bytes, *, align: int = 1) -> int:
        if numbers not in self._places:
            self.numbers.extend(bytes(-len(self.numbers) % align))
            self._places[numbers] = len(self.numbers)
            self.numbers.extend(numbers)
        return self._places[numbers]


def _warp(warp: Warp, row: int) -> list[Any] | None:
    """Describe how one source is resampled; None where it is not."""
    if isinstance(warp, Blocks):
        perm = warp.perm[row].tolist()
        return None if perm == sorted(perm) else ["blocks", *warp.grid, perm]
    if isinstance(warp, Rect) and warp.interpolation == "nearest":
        known = range(len(warp.source)) if warp.rows is None else warp.rows.tolist()
        if row not in known:
            return None
        place = list(known).index(row)
        numbers = torch.stack([warp.source[place], warp.target[place]]).flatten().tolist()
        return ["rect", *numbers]
    raise ValueError(f"playground: {warp} is a warp that the page cannot show.")
