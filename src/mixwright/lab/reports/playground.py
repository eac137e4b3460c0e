"""A page on which two pictures are mixed by hand: one file, nothing beside it, no server."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from mixwright.files import write_whole
from mixwright.lab.experiments.playground import draw_playground
from mixwright.lab.reports.environment import environment

if TYPE_CHECKING:
    from mixwright.lab.experiments.playground import PlayedMethod, Playground


def write_playground(path: Path) -> Path:
    """Draw the plans of every method that needs no model, write the page, and return its path.

    It takes some seconds of one core; the page is the same each time on one machine.
    """
    page = playground_page(draw_playground())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: file.write(page.encode()))
    return path


def playground_page(playground: Playground) -> str:
    """Return the page, HTML that asks for nothing outside."""
    side = playground.pictures[0].pixels.shape[-1]
    known = {
        "side": side,
        "pictures": [
            {"name": picture.name, "planes": planes}
            for picture, planes in zip(playground.pictures, playground.planes, strict=True)
        ],
        "pairs": playground.pairs,
        "methods": [_method(method) for method in playground.methods],
        "plans": playground.plans,
    }
    return (
        environment()
        .get_template("playground.html.j2")
        .render(
            playground=playground,
            side=side,
            known=_packed(json.dumps(known, separators=(",", ":")).encode()),
            numbers=_packed(playground.numbers),
            shades=[],
        )
    )


def _method(method: PlayedMethod) -> dict[str, object]:
    card = method.card
    return {
        "name": method.name,
        "title": card.title,
        "note": card.note,
        "paper": card.paper,
        "link": card.link,
        "code": method.code,
        "looks": method.looks,
        "lambdas": method.lambdas,
        "plans": method.plans,
    }


def _packed(data: bytes) -> str:
    """Bytes as text, as ``DecompressionStream("deflate")`` reads them after base64."""
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")
