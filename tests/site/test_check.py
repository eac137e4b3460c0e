"""What the look over a built site finds, and that a sound one has no fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from site_pages.check import WORDS, faults, main

SOUND = {
    "index.html": '<link href="site.css"><a href="more/page.html#there">more</a> '
    '<img src="a.png" alt="a picture"> <a href="https://example.org/x">elsewhere</a>',
    "more/page.html": '<h2 id="there">There</h2> <a href="../index.html">back</a> '
    '<a href="#there">up</a>',
    "404.html": '<a href="/nowhere.html">lost</a>',
    "site.css": "body { background: url(a.png) }",
    "a.png": "",
}


def built(folder: Path, **changes: str) -> Path:
    """Write a small site; ``changes`` are added to a page, by its name without the ending."""
    for name, text in SOUND.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + changes.get(file.stem, ""))
    items = [
        {"location": "index.html", "title": "T", "text": f"<p>{' <b>and</b> '.join(WORDS)}</p>"}
    ]
    (folder / "search.json").write_text(json.dumps({"items": items}))
    return folder


def test_a_sound_site_has_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(built(tmp_path)) == 0
    assert capsys.readouterr().out == "3 pages looked over, 0 faults\n"


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ('<a href="gone.html">x</a>', "index.html: gone.html leads nowhere"),
        ('<a href="more/gone.html#there">x</a>', "index.html: more/gone.html#there leads nowhere"),
        (
            '<a href="more/page.html#gone">x</a>',
            "index.html: more/page.html#gone: that page has no such heading",
        ),
        ('<a href="#gone">x</a>', "index.html: #gone: that page has no such heading"),
        ('<img src="gone.png" alt="x">', "index.html: gone.png leads nowhere"),
        (
            '<img src="a.png">',
            "index.html: the picture a.png has no text for those who do not see it",
        ),
        (
            '<script src="https://example.org/a.js"></script>',
            "index.html: https://example.org/a.js is fetched from another host",
        ),
        (
            '<link rel="stylesheet" href="//example.org/a.css">',
            "index.html: //example.org/a.css is fetched from another host",
        ),
    ],
)
def test_a_fault_is_found(
    added: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(built(tmp_path, index=added)) == 1
    assert capsys.readouterr().out == f"{fault}\n3 pages looked over, 1 fault\n"


def test_styles_fetch_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = built(tmp_path, site='@font-face { src: url("https://fonts.example.org/f.woff") }')
    assert list(faults(site)) == [
        "site.css: https://fonts.example.org/f.woff is fetched from another host"
    ]


def test_a_page_that_nothing_leads_to_is_found(tmp_path: Path) -> None:
    (built(tmp_path) / "lost.html").write_text('<a href="index.html">home</a>')
    assert list(faults(tmp_path)) == ["lost.html: no link leads there from the first page"]


def test_words_that_the_search_does_not_know_are_found(tmp_path: Path) -> None:
    items = [{"title": "", "text": " ".join(WORDS[1:])}]
    (built(tmp_path) / "search.json").write_text(json.dumps({"items": items}))
    assert list(faults(tmp_path)) == ["search: nothing is found for 'saliency'"]


def test_a_site_that_was_not_built_is_named(tmp_path: Path) -> None:
    assert list(faults(tmp_path)) == [
        f"{tmp_path} holds no page; build the site first: bash scripts/site."
    ]
