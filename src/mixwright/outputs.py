"""What a classifier returned: its logits, alone or in an object that holds more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from mixwright.arguments import of_type
from mixwright.tensors import check_tensor


class NotFiniteError(ValueError):
    """Logits of ``broken`` of ``count`` images that were evaluated are NaN or infinite."""

    def __init__(self, broken: int, count: int) -> None:
        super().__init__(broken, count)  # as pickle gives them back
        self.what = f"the logits of {broken} of {count} images are NaN or infinite"

    def __str__(self) -> str:
        """Say what to do, too."""
        return (
            f"evaluation: {self.what}; a score would count them as wrong guesses. The model has "
            "diverged, or overflows in half precision: lower the learning rate, or evaluate in "
            "float32."
        )


class HasLogits(Protocol):
    """An object that holds logits, as Hugging Face's models return."""

    @property
    def logits(self) -> Any:
        """``(B, K)``."""


Output = Tensor | Mapping[str, Any] | HasLogits
"""What a model may return: logits ``(B, K)``, alone or under the name ``logits``."""


def take_logits(output: Output, *, who: str, count: int | None = None) -> Tensor:
    """Return the logits of what a model returned, alone or under the name ``logits``.

    The name is that of an attribute or a key, as Hugging Face's models have it. Of a tuple nothing
    is taken: logits may stand anywhere in it. With ``count`` images they have to be ``(count, K)``;
    ``who`` is what messages begin with.

    Raises:
        ValueError: there are no logits, or they have another shape.

    Example:
        >>> import torch
        >>> take_logits({"loss": None, "logits": torch.zeros(2, 3)}, who="mine", count=2).shape
        torch.Size([2, 3])
    """
    found: Any = output
    if isinstance(output, Mapping):
        found = output.get("logits")
    elif not isinstance(output, Tensor):
        found = getattr(output, "logits", None)
    if isinstance(found, Tensor):
        check_tensor(who, "logits", found)
    if isinstance(found, Tensor) and (count is None or (found.ndim == 2 and len(found) == count)):
        return found
    what = tuple(found.shape) if isinstance(found, Tensor) else of_type(output)
    given = f"for {count} images the model returned {what}" if count else f"logits are {what}"
    raise ValueError(
        f"{who}: {given}; expected logits of shape (B, K), alone or under the name logits. If the "
        "model returns something else, wrap it so that it returns its logits."
    )
