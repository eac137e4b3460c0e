"""What every template of a page knows: filters, colours, pictures inside the page."""

import base64
from typing import TYPE_CHECKING, Any

from mixwright.lab.reports.formatting import percent
from mixwright.lab.reports.palette import FAINT, INK, LINE, PAPER, SOURCES
from mixwright.lab.reports.pictures import png
from mixwright.lab.reports.plain_text import beside, printable

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
        finalize=_printable,
    )
    # Jinja2 types these by what it puts there itself.
    filters: dict[str, Any] = environment.filters
    known: dict[str, Any] = environment.globals
    filters |= {"svg": Markup, "picture": _picture, "percent": percent}
    filters |= {"beside": beside, "log": _log}
    known["colours"] = {"ink": INK, "faint": FAINT, "line": LINE, "paper": PAPER}
    known["sources"] = SOURCES
    return environment


def _picture(image: "Tensor") -> str:
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")


def _log(text: str) -> Any:
    """What a program wrote, line by line."""
    from markupsafe import escape

    return escape(printable(text, keep="\n\t"))


def _printable(value: Any) -> Any:
    """Text without what a page cannot show; markup of ours stays."""
    return printable(value) if type(value) is str else value
