"""What every template of a page knows: filters, colours, pictures inside the page."""

import base64
from typing import TYPE_CHECKING, Any

from mixwright.lab.reports.formatting import percent
from mixwright.lab.reports.palette import FAINT, INK, LINE, PAPER, SOURCES
from mixwright.lab.reports.pictures import png

if TYPE_CHECKING:
    from torch import Tensor


def environment() -> Any:
    """Templates with our filters and colours; what is not marked as safe is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("mixwright.lab.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"svg": Markup, "picture": _picture, "percent": percent, "head": _head}
    known: dict[str, Any] = environment.globals  # jinja2 types it by what it puts there itself
    known["colours"] = {"ink": INK, "faint": FAINT, "line": LINE, "paper": PAPER}
    known["sources"] = SOURCES
    return environment


def _picture(image: "Tensor") -> str:
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")


def _head(text: str) -> Any:
    """The text of a head, ``p_Holm`` with a small Holm below the line."""
    from markupsafe import Markup, escape

    return Markup(str(escape(text)).replace("p_Holm", "p<sub>Holm</sub>"))
