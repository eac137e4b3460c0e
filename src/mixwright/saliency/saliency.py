"""What a saliency provider is, and how mixers ask one: once a step, made safe, summing to 1."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from contextvars import ContextVar
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import Module

from mixwright.arguments import MissingModelError
from mixwright.masks.blocks import area_mean
from mixwright.saliency.cam import ClassActivation
from mixwright.saliency.features import FeatureMean
from mixwright.saliency.fine_grained import FineGrained
from mixwright.saliency.gradient import InputGradient
from mixwright.saliency.spectral import SpectralResidual


@runtime_checkable
class Saliency(Protocol):
    """Anything that says how much each pixel matters."""

    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: Module | None = None
    ) -> Tensor:
        """Return a map for each image, ``(B, H, W)`` of any scale from 0, no gradient.

        Labels are ``(B,)`` or ``(B, K)``, the model the classifier, for providers that need them.
        """
        ...


SaliencyWord = Literal["gradient", "spectral", "cam", "features", "fine_grained"]

SALIENCIES: dict[str, Callable[[], Saliency]] = {
    "gradient": InputGradient,
    "spectral": SpectralResidual,
    "cam": ClassActivation,
    "features": FeatureMean,
    "fine_grained": FineGrained,
}
"""Word to provider with its defaults; the command line reads it."""

# Maps of the step that is under way, by provider and what it looked at; see ``sharing``. Several
# mixers of one ``OneOf`` would else make the same backward pass each. A context variable and no
# attribute: it ends with the step, also after an error, and threads do not see each other's.
_shared: ContextVar[dict[Any, tuple[Any, Tensor]] | None] = ContextVar("shared", default=None)


def check_saliency(name: str, kind: object) -> None:
    """Refuse what is neither a provider nor a word for one."""
    known = isinstance(kind, str) and kind in SALIENCIES
    if not known and (isinstance(kind, str | type) or not callable(kind)):
        raise ValueError(
            f"{name}: saliency is {kind!r}; expected one of "
            f"{', '.join(map(repr, SALIENCIES))} or a callable (images, labels, *, model) that "
            "gives (B, H, W)."
        )


@contextlib.contextmanager
def sharing() -> Generator[None]:
    """Ask each provider once for the same images, labels and model made inside.

    ``OneOf`` enters it, so that several saliency mixers of one step share one backward pass.
    """
    outer = _shared.get()
    token = _shared.set({} if outer is None else outer)
    try:
        yield
    finally:
        _shared.reset(token)


def salience(
    kind: Saliency | SaliencyWord,
    images: Tensor,
    labels: Tensor | None,
    *,
    model: Module | None,
    name: str,
) -> Tensor:
    """Ask a provider for maps that sum to 1.

    Args:
        kind: a provider, or a word of ``SALIENCIES``.
        images: ``(B, C, H, W)``.
        labels: ``(B,)`` or ``(B, K)`` or None.
        model: the classifier or None.
        name: of the mixer that asks, for messages.

    Returns:
        ``(B, H, W)`` float32 on the images' device, at least 0, each map summing to 1. Where a
        map is 0 everywhere, or has a NaN or infinite value, all pixels count alike.

    Raises:
        ValueError: the provider needs labels or a model that are missing, or gives another shape.
    """
    provider: Saliency = SALIENCIES[kind]() if isinstance(kind, str) else kind
    needs: tuple[str, ...] = getattr(provider, "needs", ())
    for what, value in (("model", model), ("labels", labels)):
        if what in needs and value is None:
            why = (
                f"{name}: {what} missing; its saliency ({type(provider).__name__}) looks at {what}."
            )
            instead = "choose saliency='spectral'"
            if what == "model":
                raise MissingModelError(why, instead)
            raise ValueError(f"{why} Pass {what}=... to plan() or Mix, or {instead}.")
    memory = _shared.get()
    key = (_identity(provider), id(images), id(labels), id(model))
    if memory is not None and key in memory:
        return memory[key][1]
    found = provider(images, labels, model=model)
    wanted = (len(images), *images.shape[2:])
    if found.shape != wanted:
        raise ValueError(
            f"{name}: the saliency has shape {tuple(found.shape)}; expected {wanted}, one map an "
            "image."
        )
    done = normalised(found)
    if memory is not None:
        # Kept alive, so that no other object gets their ids while the step lasts.
        memory[key] = ((provider, images, labels, model), done)
    return done


def _identity(provider: object) -> object:
    """Return what equal providers share: themselves, or their id where they have no hash."""
    try:
        hash(provider)
    except TypeError:
        return id(provider)
    return provider


def normalised(maps: Tensor) -> Tensor:
    """Scale maps ``(B, *spatial)`` to sum 1, detached, in float32; values below 0 count as 0.

    Maps that cannot be scaled so become uniform.

    Example:
        >>> normalised(torch.tensor([[[1.0, 3.0]], [[0.0, 0.0]]])).tolist()
        [[[0.25, 0.75]], [[0.5, 0.5]]]
    """
    flat = maps.detach().float().flatten(1)
    # NaN and infinity reach one of the ends; looking at each value takes ten times as long. Not
    # ``aminmax``, which is not vectorised.
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    # Divided by the largest first, or the sum could overflow and small maps vanish.
    flat = flat.clamp_min(0).div_(high.clamp_min(1e-38))
    total = flat.sum(dim=1, keepdim=True)
    usable = low.isfinite() & high.isfinite() & (total > 0)
    even = 1 / flat.shape[1]
    return torch.where(usable, flat.div_(total.clamp_min(1e-12)), even).view(maps.shape)


def blocks_of(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Add up maps ``(B, H, W)`` over the blocks of a grid of ``size`` rows and columns.

    A map that sums to 1 still does.

    Example:
        >>> blocks_of(torch.tensor([[[0.1, 0.2], [0.3, 0.4]]]), (1, 2))
        tensor([[[0.4000, 0.6000]]])
    """
    (rows, columns), (height, width) = size, maps.shape[1:]
    return area_mean(maps, size) * (height * width / (rows * columns))
