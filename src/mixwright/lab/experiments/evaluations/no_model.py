"""What is said of a word that names no model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from mixwright.arguments import did_you_mean
from mixwright.lab.models.names import PRETRAINED
from mixwright.lab.models.zoo import INSTALL


def no_model(word: str) -> ValueError:
    """Return the error about a word that is neither a path nor a network, with what is near it."""
    there = [path.as_posix() for place in (Path(), Path("runs")) for path in _folders_in(place)]
    timm = "" if find_spec("timm") else f", which is not installed here: {INSTALL}"
    return ValueError(
        f"there is no {word}, neither as a path nor as a network with weights."
        f"{did_you_mean(word, there) or did_you_mean(f'runs/{word}', there)} Expected a run "
        "folder, a checkpoint, the folder of a comparison, package.module:function, "
        f"{' or '.join(PRETRAINED)}, or a network of timm{timm}."
    )


def _folders_in(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
