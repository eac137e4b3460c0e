"""For mkdocstrings: our docstrings say ``Example:`` where it knows ``Examples:``."""

from __future__ import annotations

import re
from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Renames the sections, which would else be shown as quotations."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """See ``griffe.Extension``."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"^(\s*)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M
            )
