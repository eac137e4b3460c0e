"""What the published code of AdAutoMix does under the name of FGSM, to show what it measures."""

from __future__ import annotations

from torch import Tensor, nn

from mixwright.arguments import check_number, check_unit
from mixwright.lab.evaluation.attack.losses import loss_gradient
from mixwright.lab.evaluation.subject import NotApplicableError
from mixwright.lab.models.normalised import Normalised
from mixwright.taps import bare


def normalised_inside(model: nn.Module) -> Normalised:
    """Return the ``Normalised`` with which a model, wrapped or not, begins.

    Raises:
        NotApplicableError: the model does not begin with one.
    """
    inner = bare(model)
    if isinstance(inner, Normalised):
        return inner
    raise NotApplicableError(
        f"attack: the legacy attack steps in normalised space and the model, a "
        f"{type(inner).__name__}, does not say what its mean and deviation are. Wrap it, "
        "Normalised(net, mean, std), or leave it out, attack:legacy=false."
    )


def legacy_fgsm(
    model: nn.Module, images: Tensor, labels: Tensor, *, eps: float, clamp: bool = True
) -> Tensor:
    """Step in normalised space, then cut the *normalised* image off at 0 and 1.

    A step of ``eps`` in normalised space is ``eps * std`` in pixels, about a quarter of what is
    claimed, and the cut makes all that is darker than the mean colour that colour, and all that is
    brighter than one deviation above it that: most of the image is gone before any attack.
    ``eps=0`` shows what the cut alone costs. Not an attack of 8/255: use ``fgsm``. The result is
    normalised, as ``model.model`` of a ``Normalised`` takes it.

    Raises:
        NotApplicableError: the model does not begin with a ``Normalised``.
        ValueError: ``eps`` or images are out of range, or what ``loss_gradient`` refuses.

    Source: JinXins/Adversarial-AutoMixup, its FGSM tool.
    """
    check_number("legacy_fgsm", "eps", eps)
    check_unit("legacy_fgsm", images)
    whole = normalised_inside(model)
    scaled = (images - whole.mean) / whole.std
    moved = scaled
    if eps > 0:
        slope = loss_gradient(whole.model, scaled, labels)
        moved = scaled + eps * slope.sign()
    return moved.clamp(0, 1) if clamp else moved.detach()
