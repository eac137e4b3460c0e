"""What a method does to two photographs: masks and mixtures, drawn from the plans themselves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.plan import MixPlan
from mixwright.sampling import stream
from site_pages.photographs import Photographs, photographs

SHARES = (0.25, 0.5, 0.75)
"""The values of ``lam`` that pictures are drawn for."""

WIDTH = 168  # pixels of one picture on the page
_GAP = 6
_FRAME = 140  # grey of the line around each
_COLOURS = ((235, 235, 235), (20, 20, 20), (214, 122, 44), (60, 110, 200))
"""Of the sources in a mask of more than two; of two the own share is white."""

_SEEDS = {"miamix": 30}
"""Added where the usual draws do not show what the method does, such as mixing with itself."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A mask and the mixture beside it, as one file.

    Attributes:
        file: name of the file.
        caption: what was asked for, and what the label says.
        alt: what is to be seen, for those who do not see it.
    """

    file: str
    caption: str
    alt: str


def write_photographs(folder: Path) -> dict[str, str]:
    """Write the photographs as they are; their files by what is on them."""
    shown = photographs()
    for name, image in zip(shown.names, shown.images, strict=True):
        _save([_bytes(image)], folder / f"{name}.webp")
    return {name: f"{name}.webp" for name in shown.names}


def write_pictures(name: str, mixer: Any, folder: Path) -> list[Picture]:
    """Draw a mixer at the fixed ``SHARES``, or three times where it has no ``lam``."""
    fixed = "lam" in {field.name for field in dataclasses.fields(mixer)}
    batch = photographs().first(4 if name in ("comixup", "guidedmixup") else 2)
    pictures: list[Picture] = []
    for place, lam in enumerate(SHARES):
        drawn = dataclasses.replace(mixer, lam=lam) if fixed else mixer
        plan = _plan(drawn, batch, seed=place + 1 + _SEEDS.get(name, 0))
        row = 0 if fixed or name == "cutout" else place
        file = f"{name}-{place}.webp"
        _save([_mask(plan, row), _bytes(plan.images(batch.images)[row])], folder / file)
        asked = f"lam = {lam}" if fixed else f"draw {place + 1}"
        label = _label(plan, row, batch.names)
        pictures.append(
            Picture(
                file=file,
                caption=f"{asked}: label {label}",
                alt=f"{type(mixer).__name__} at {asked}: the mask, and the mixture whose label is "
                f"{label}",
            )
        )
    return pictures


def measured_share(mixer: Any, lam: float) -> float:
    """The mean share of own pixels over many masks of one ``lam``, on 32 x 32 pixels."""
    images = torch.zeros(1000, 1, 32, 32)
    plan = dataclasses.replace(mixer, lam=lam).plan(images, generator=stream(5))
    return float(plan.mask[:, 0].float().mean())


def _plan(mixer: Any, batch: Photographs, *, seed: int) -> MixPlan:
    return mixer.plan(batch.images, batch.labels, generator=stream(seed), model=batch.model)


def _label(plan: MixPlan, row: int, names: tuple[str, ...]) -> str:
    shares: dict[str, float] = {}
    for index, weight in zip(plan.index[row].tolist(), plan.weight[row].tolist(), strict=True):
        if index >= 0:
            shares[names[index]] = shares.get(names[index], 0.0) + weight
    return ", ".join(f"{share:.2f} {name}" for name, share in shares.items() if share > 0.004)


def _mask(plan: MixPlan, row: int) -> Tensor:
    """The mask in grey, white where the image itself is seen; in colours where many are mixed."""
    mask = plan.mask[row].float()
    if mask.shape[0] == 2:
        own = mask[:1]
        planes = own.expand(3, -1, -1)
    else:
        order = plan.index[row].clamp_min(0)
        colours = torch.tensor(_COLOURS).float()[order] / 255
        planes = torch.einsum("nc,nhw->chw", colours, mask)
    return _bytes(planes)


def _bytes(picture: Tensor) -> Tensor:
    """``(3, h, w)`` in [0, 1] as bytes ``(WIDTH, WIDTH, 3)``."""
    small = picture.shape[-1] < WIDTH
    resized = F.interpolate(
        picture[None].float(), size=(WIDTH, WIDTH), mode="nearest" if small else "area"
    )[0]
    return (resized.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)


def _save(pictures: list[Tensor], file: Path) -> None:
    from PIL import Image

    total = WIDTH * len(pictures) + _GAP * (len(pictures) - 1)
    sheet = Image.new("RGBA", (total, WIDTH), (0, 0, 0, 0))
    for place, picture in enumerate(pictures):
        framed = picture.clone()  # a white mask on a white page, a black one on a black
        framed[[0, -1]] = framed[:, [0, -1]] = _FRAME
        sheet.paste(Image.fromarray(framed.contiguous().numpy()), (place * (WIDTH + _GAP), 0))
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file, quality=85, method=4)
