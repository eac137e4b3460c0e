"""Networks of timm, which is imported only when a name is asked for that is not ours."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from mixwright.lab.models.names import TIMM, ModelError, unknown_model
from mixwright.lab.models.published import Published

INSTALL = "pip install 'mixwright[zoo]'"


def build_timm(
    name: str,
    *,
    num_classes: int,
    image_size: int,
    channels: int,
    pretrained: bool,
    drop_path: float = 0.0,
) -> nn.Module:
    """Return timm's network of this name; see ``build_model`` for the arguments.

    The name may begin with ``timm:``.
    ``image_size`` is handed on only to networks that are built for one side (timm marks them
    ``fixed_input_size``): the others would refuse the argument.
    """
    timm = _timm(name)
    name = name.removeprefix(TIMM)
    if not timm.is_model(name):
        raise unknown_model(name, timm.list_models(), f"timm {timm.__version__} was asked too.")
    arguments: dict[str, Any] = {"num_classes": num_classes, "in_chans": channels}
    if drop_path:
        arguments["drop_path_rate"] = drop_path  # networks that cannot drop refuse it
    try:
        settings = timm.models.get_pretrained_cfg(name)
        if settings is not None and getattr(settings, "fixed_input_size", False):
            arguments["img_size"] = image_size
        return timm.create_model(name, pretrained=pretrained, **arguments)
    except OSError as error:  # also what the hub raises where it cannot be reached
        if not pretrained:
            raise
        raise ModelError(_no_weights(name, error)) from error
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"model {name}: timm {timm.__version__} could not build it with {arguments}, "
            f"pretrained={pretrained}: {error}"
        ) from error


def published_by_timm(name: str) -> Published:
    """Return what timm knows of its published weights of this name."""
    timm = _timm(name)
    name = name.removeprefix(TIMM)
    settings = timm.models.get_pretrained_cfg(name) if timm.is_model(name) else None
    if settings is None:
        raise unknown_model(
            name, timm.list_models(pretrained=True), f"timm {timm.__version__} was asked too."
        )
    return Published(int(settings.num_classes), tuple(settings.mean), tuple(settings.std))


def _timm(name: str) -> Any:
    """Return the timm module, or say what is missing."""
    if find_spec("timm") is None:
        raise unknown_model(
            name, hint=f"For timm's networks ({TIMM}{name.removeprefix(TIMM)}): {INSTALL}."
        )
    try:
        return import_module("timm")
    except (ImportError, RuntimeError) as error:
        raise ModelError(
            f"model {name}: it is not one of ours, and timm is installed but does not import "
            f"({error}). timm needs a torchvision made for this torch: {INSTALL} in a fresh "
            "environment."
        ) from error


def _no_weights(name: str, error: OSError) -> str:
    """Say why there are no weights, and how to get them."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        why = "HF_HUB_OFFLINE is set and they are not in the local cache"
        then = "Unset it where there is a network"
    else:
        why = f"they could not be downloaded ({error})"
        then = "Where there is no network, HF_HUB_OFFLINE=1 says so at once instead of retrying"
    return (
        f"model {name}: no pretrained weights: {why}. {then}, or copy the cache folder (HF_HOME) "
        "of a machine that has them, or leave pretrained off."
    )
