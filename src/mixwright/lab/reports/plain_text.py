"""Names as plain text: of classes, methods, files and runs, which are data and never markup.

What a page, a figure or a terminal cannot show, or would obey, is written as Python escapes it.
"""

import codecs
import re
import unicodedata

_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, what turns the direction of a line, lone surrogates."""

_STAND_INS = {
    "\N{PLUS-MINUS SIGN}": "+/-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{MIDDLE DOT}": "-",
}

REPLACE = "mixwright.replace"
"""Name of the error handler of encodings that writes a stand-in or an escape."""


def printable(text: str, *, keep: str = "") -> str:
    r"""Return text with escapes for what controls a terminal or a page; ``keep`` stays, as "\n".

    Bytes of file names that are no UTF-8 are written as such.

    Example:
        >>> printable("cat\x1b[31m\n"), printable("caf\udce9")
        ('cat\\x1b[31m\\n', 'caf\\xe9')
    """
    return _UNSHOWN.sub(lambda found: found[0] if found[0] in keep else escape(found[0]), text)


def escape(character: str) -> str:
    """Return a character as Python escapes it; the byte that a surrogate of a file name is for."""
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def beside(name: str, value: str) -> str:
    """Return a class and its number, told apart where the name has digits of its own.

    Example:
        >>> beside("cat", "53 %"), beside("type 2", "53 %"), beside("0", "53 %")
        ('cat 53 %', 'type 2: 53 %', 'class 0: 53 %')
    """
    if not any(unicodedata.category(one)[0] in "LS" for one in name):
        return f"class {name}: {value}"
    return f"{name}: {value}" if name[-1].isnumeric() else f"{name} {value}"


def encodable(text: str, encoding: str) -> str:
    """Return text as a stream of this encoding will show it.

    Example:
        >>> encodable("86.9 ± 1.2, ü", "ascii")
        '86.9 +/- 1.2, \\\\xfc'
    """
    return text.encode(encoding, REPLACE).decode(encoding)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_STAND_INS.get(one) or escape(one) for one in text), error.end


codecs.register_error(REPLACE, _replaced)
