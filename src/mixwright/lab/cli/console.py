"""The terminal: text as it is, whatever it holds and whatever the terminal can write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from mixwright.lab.reports.plain_text import encodable, printable

if TYPE_CHECKING:
    from rich.text import Text


class PlainConsole(Console):
    """A console to which names are no markup: no styles, emoji, links or control characters."""

    def __init__(self, **look: Any) -> None:
        super().__init__(**look, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **look: Any) -> Text:
        """See ``Console.render_str``; all text passes here, before its width is measured."""
        text = encodable(printable(text, keep="\n"), self.encoding)
        return super().render_str(text, **look)
