"""``docs/references.bib``: the entries by their keys, as they are written there."""

from __future__ import annotations

import re

from site_pages.places import ROOT

FILE = "docs/references.bib"


def entries() -> dict[str, str]:
    """Every entry whole, by key.

    Example:
        >>> print(entries()["devries2017cutout"].splitlines()[0])
        @misc{devries2017cutout,
    """
    text = (ROOT / FILE).read_text()
    return {
        found[2]: found[1] for found in re.finditer(r"^(@\w+\{(\w+),\n.*?^\})", text, re.M | re.S)
    }
