"""One colour a method, the same in every figure, told apart by colour-blind readers too.

After Okabe and Ito's set, each with a shade for light and one for dark pages, dark or light enough
for text: at least 4.5 to 1 against the page.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mixwright.lab.analysis.findings import Findings


class Shade(NamedTuple):
    """A colour, hex, on light pages and pictures, and on dark pages."""

    light: str
    dark: str


INK = Shade("#1d2430", "#e6e8ec")
FAINT = Shade("#6b7280", "#9aa3b2")
LINE = Shade("#d9dde3", "#363d49")
PAPER = Shade("#fdfdfb", "#14171c")
BASELINE = Shade("#6e7584", "#a3abb9")

_METHODS = (
    Shade("#0068a8", "#5aaee6"),
    Shade("#bf5300", "#f08a3c"),
    Shade("#00835c", "#2fbf93"),
    Shade("#b05089", "#dd8fbd"),
    Shade("#8f6b00", "#e0b83a"),
    Shade("#5b55b0", "#a19cf0"),
    Shade("#207e96", "#6fd0e6"),
    Shade("#8a5a3b", "#c99a78"),
)

SOURCES = ("#2f6fb3", "#eda63a", "#3f9e7a", "#b0639a", "#8c8c8c")
"""Whose pixel it is, in pictures of masks: the own image first, then its partners."""


RAMP = (PAPER.light, "#b9d7ea", "#5a9fcb", "#0068a8", "#0a3350")
"""From nothing to much, for maps of coefficients."""


_OWN = ("mixup", "cutmix", "fmix", "hmix", "gmix", "miamix")
"""METHODs whose colour is the one of their place here, on every page."""


def method_shades(texts: Sequence[str], baseline: str | None) -> dict[str, Shade]:
    """Return a colour for each METHOD, no two alike up to eight; the baseline is grey.

    The usual METHODs have a colour of their own, the same on every page; others get those that
    are left, in their order.
    """
    others = [text for text in texts if text != baseline]
    places = {text: _OWN.index(text) for text in others if text in _OWN}
    free = [place for place in range(len(_METHODS)) if place not in places.values()]
    rest = [text for text in others if text not in places]
    places |= dict(zip(rest, cycle([*free, *places.values()]), strict=False))
    shades = {text: _METHODS[places[text]] for text in others}
    return shades | ({baseline: BASELINE} if baseline else {})


def shades_of(findings: "Findings") -> dict[str, Shade]:
    """Return a colour by key of a group, and by METHOD: the same for all weights of a method.

    The baseline is grey; of an evaluation of one method alone its weights are told apart.
    """
    groups = {group.key: group for part in findings.parts.values() for group in part.groups}
    methods = {key: group.method or key for key, group in groups.items()}
    baseline = next((methods[key] for key, group in groups.items() if group.baseline), None)
    names = list(dict.fromkeys(methods.values()))
    if len(names) == 1 and len(groups) > 1 and findings.kind == "evaluation":
        return method_shades(list(groups), None)
    shades = method_shades(names, baseline)
    return shades | {key: shades[method] for key, method in methods.items()}
