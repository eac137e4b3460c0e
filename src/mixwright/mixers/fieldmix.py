"""FieldMix: regions of a random field whose correlation was designed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from mixwright import sampling
from mixwright.arguments import check_number, check_settings
from mixwright.checkpoint import tensor_bytes
from mixwright.files import read_json, write_whole
from mixwright.masks.fourier import rank_mask, soft_rank_mask
from mixwright.masks.mask_forms import DenseMask
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairDraw, RandomPairMixer, check_pair, draw_lam
from mixwright.sampling import Pairing

_KIND = "mixwright-design"
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Design:
    """A designed family of masks.

    Args:
        size: height and width of the images it was designed for, in pixels.
        alpha: of the Beta law of ``lam`` that it was designed for.
        depth: how far masks go from even shares to 0 and 1, in [0, 1]: 0 is MixUp.
        softness: half the width of a linear ramp at borders, as a share of all pixels in [0, 0.5].
        power: spectrum of the field on a torus of twice the size: ``(2H, W + 1)`` float32, the
            half that a real transform has, as raw bytes of this machine's order.
    """

    size: tuple[int, int]
    alpha: float
    depth: float
    softness: float
    power: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_settings(self)
        check_number("Design", "depth", self.depth, high=1.0)
        check_number("Design", "softness", self.softness, high=0.5)
        check_number("Design", "alpha", self.alpha, open_low=True)
        height, width = self.size
        if height < 1 or width < 1 or len(self.power) != 4 * 2 * height * (width + 1):
            raise ValueError(
                f"Design: {len(self.power)} bytes of spectrum for a size of {self.size}; expected "
                f"{8 * height * (width + 1)}, four for each of (2H, W + 1) numbers."
            )

    @classmethod
    def of(
        cls, power: Tensor, *, alpha: float, depth: float = 1.0, softness: float = 0.0
    ) -> Design:
        """Take a spectrum of all frequencies, ``(2H, 2W)``."""
        height, width = power.shape[0] // 2, power.shape[1] // 2
        return cls(
            size=(height, width),
            alpha=alpha,
            depth=depth,
            softness=softness,
            power=tensor_bytes(power[:, : width + 1].float()),
        )

    def amplitude(self, like: Tensor) -> Tensor:
        """Square root of the spectrum, ``(2H, W + 1)`` float32 on the device of ``like``."""
        height, width = self.size
        flat = torch.frombuffer(bytearray(self.power), dtype=torch.float32)
        # Else the host would wait for the device at every plan.
        return flat.view(2 * height, width + 1).sqrt().to(like.device, non_blocking=True)

    def save(self, path: str | Path) -> None:
        """Write the design as JSON, whole or not at all; the folder exists."""
        flat = torch.frombuffer(bytearray(self.power), dtype=torch.float32)
        record = {
            "kind": _KIND,
            "version": _VERSION,
            "size": list(self.size),
            "alpha": self.alpha,
            "depth": self.depth,
            "softness": self.softness,
            "power": flat.tolist(),
        }
        write_whole(Path(path), lambda file: file.write(json.dumps(record).encode()))

    @classmethod
    def load(cls, path: str | Path) -> Design:
        """Read what ``save`` wrote.

        Raises:
            ValueError: there is no such file, or it holds no design.
        """
        try:
            record = read_json(Path(path).expanduser())
            if record["kind"] != _KIND or record["version"] != _VERSION:
                raise KeyError("kind")
            height, width = record["size"]
            power = tensor_bytes(torch.tensor(record["power"], dtype=torch.float32))
            return cls(
                size=(height, width),
                alpha=record["alpha"],
                depth=record["depth"],
                softness=record["softness"],
                power=power,
            )
        except OSError as error:
            raise ValueError(
                f"Design: {path} cannot be read: {error}; expected a file that Design.save wrote."
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"Design: {path} holds no design ({type(error).__name__}: {error}); expected a "
                "file that Design.save wrote."
            ) from error


@dataclass(frozen=True, kw_only=True)
class FieldMix(RandomPairMixer):
    """Mix two images along the borders of a designed random field.

    The highest ``lam * H * W`` pixels of a Gaussian field are the sample's own, rounded up or down
    by chance so that the mean is right; with a depth below 1 the mask is drawn towards its mean
    by that factor. The label weight is the mean of the mask.

    A design is a matter of shares of the image's sides: images of another size than it was made
    for get its fields enlarged or reduced (bilinear), and an exact count of their own pixels.

    Args:
        design: what ``design_mixer`` made, or a file that ``Design.save`` wrote.
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. None
            stands for the design's own, which its second moments are for.
        lam: a fixed share in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, a mask for each sample; ``"batch"``, one for all.
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range, or the file holds no design.

    Example:
        >>> flat = Design.of(torch.ones(16, 16), alpha=1.0, depth=0.5)  # independent pixels
        >>> plan = FieldMix(design=flat, lam=0.25).plan(
        ...     torch.zeros(2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
        >>> plan.weight.tolist(), plan.mask[:, 0].unique().tolist()
        ([[0.25, 0.75], [0.25, 0.75]], [0.125, 0.625])

    Source: our own; fields of low-frequency noise cut at a rank are FMix's (arXiv:2002.12047).
    """

    design: Design | Path | str
    alpha: float | None = None
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        if isinstance(self.design, str | Path):
            object.__setattr__(self, "design", Design.load(self.design))
        if self.alpha is None and isinstance(self.design, Design):
            object.__setattr__(self, "alpha", self.design.alpha)
        check_pair(self)

    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """See ``RandomPairMixer.draw``."""
        settled: Any = self
        lam = draw_lam(settled, images, generator=generator)
        return PairDraw(mask=self.keep(lam, size=images.shape[2:], generator=generator), lam=lam)

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> DenseMask:
        """See ``MaskMethod.keep``."""
        design = self.design
        assert isinstance(design, Design)
        height, width = design.size
        shape = (len(lam), 2 * height, 2 * width)
        noise = sampling.noise(shape, device=lam.device, generator=generator)
        shaped = torch.fft.rfft2(noise) * design.amplitude(lam)
        values = torch.fft.irfft2(shaped, s=shape[1:])[:, :height, :width].contiguous()
        rows, columns = size
        if (rows, columns) != design.size:
            grown = interpolate(
                values[:, None], size=(rows, columns), mode="bilinear", align_corners=False,
                antialias=True,
            )  # fmt: skip
            values = grown[:, 0]
        chance = sampling.uniform((len(lam),), device=lam.device, generator=generator)
        pixels = rows * columns
        kept = (lam * pixels + chance).floor().long().clamp_max(pixels)
        if design.softness > 0:
            mask = soft_rank_mask(values, kept, softness=design.softness)
        else:
            mask = rank_mask(values, kept)
        if design.depth == 1:
            return DenseMask(mask)
        even = (kept.float() / pixels)[:, None, None, None]
        return DenseMask(torch.lerp(even, mask.float(), design.depth))
