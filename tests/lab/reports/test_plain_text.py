"""Names as plain text, on a page and in any encoding."""

from __future__ import annotations

import os

import pytest

from mixwright.lab.reports.environment import environment
from mixwright.lab.reports.formatting import MINUS, TIMES
from mixwright.lab.reports.plain_text import beside, encodable, printable

DOG = "\N{CJK UNIFIED IDEOGRAPH-72D7}"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("$5 <b> [red] :dog: 'x'", "$5 <b> [red] :dog: 'x'"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("two\nlines\r\tand\x00", r"two\nlines\r\tand\x00"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", r"\u202egpj.exe"),
        ("\N{RIGHT-TO-LEFT ISOLATE}\N{LINE SEPARATOR}\x9b", r"\u2067\u2028\x9b"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("\N{HEBREW LETTER SHIN} \N{DOG FACE} ü", "\N{HEBREW LETTER SHIN} \N{DOG FACE} ü"),
    ],
)
def test_what_is_obeyed_or_not_shown_is_escaped(text: str, want: str) -> None:
    assert printable(text) == want


@pytest.mark.parametrize(
    ("name", "want"),
    [("0", "class 0: 5 %"), ("1.5", "class 1.5: 5 %"), ("-3", "class -3: 5 %"),
     ("cat", "cat 5 %"), ("cat2", "cat2: 5 %"), ("$", "$ 5 %"), ("", "class : 5 %"),
     (DOG, f"{DOG} 5 %")],
)  # fmt: skip
def test_numbers_as_names_are_told_from_numbers(name: str, want: str) -> None:
    assert beside(name, "5 %") == want


@pytest.mark.parametrize(
    ("encoding", "want"),
    [("ascii", r"1 +/- 2, -3x ... \xfc \u72d7"), ("cp1252", f"1 ± 2, -3{TIMES} … ü \\u72d7"),
     ("utf-8", f"1 ± 2, {MINUS}3{TIMES} … ü {DOG}")],
)  # fmt: skip
def test_text_fits_every_encoding(encoding: str, want: str) -> None:
    assert encodable(f"1 ± 2, {MINUS}3{TIMES} … ü {DOG}", encoding) == want


def test_templates_take_names_as_text() -> None:
    template = environment().from_string(
        '<p title="{{ name }}">{{ name }}</p><pre>{{ log | log }}</pre>'
    )
    page = template.render(name="\"><b>&'\x1b\n\udce9", log="<a>\nb\x1b")
    name = "&#34;&gt;&lt;b&gt;&amp;&#39;" + r"\x1b\n\xe9"
    assert page == f'<p title="{name}">{name}</p><pre>&lt;a&gt;\nb\\x1b</pre>'
