"""Colours of methods, on one page and across pages."""

from __future__ import annotations

from mixwright.lab.reports.palette import BASELINE, FAINT, INK, PAPER, method_shades


def test_a_usual_method_has_one_colour_on_every_page() -> None:
    few = method_shades(["none", "cutmix"], "none")
    many = method_shades(["none", "resizemix", "cutmix", "mixup", "cutmix:alpha=2"], "none")
    assert few["cutmix"] == many["cutmix"]
    assert few["none"] == many["none"]
    assert len(set(many.values())) == 5
    alone = method_shades(["resizemix"], None)
    assert alone["resizemix"] == many["mixup"]  # others take what is free, in their order


def test_no_two_of_eight_methods_are_alike() -> None:
    texts = ["a", "gmix", "b", "mixup", "c", "d", "fmix", "e"]
    assert len(set(method_shades(texts, None).values())) == 8
    assert len(method_shades([*texts, "f", "g"], None)) == 10


def test_every_colour_can_be_read_as_text() -> None:
    """Names in figures and over cards have the colour of their method; WCAG asks for 4.5."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(one: str, other: str) -> float:
        high, low = sorted((luminance(one), luminance(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    assert contrast("#ffffff", "#000000") == 21
    assert len(set(method_shades([*"abcdefgh"], None).values())) == 8  # all that there are
    for shade in (*method_shades([*"abcdefgh"], None).values(), BASELINE, INK, FAINT):
        assert contrast(shade.light, PAPER.light) >= 4.5, shade
        assert contrast(shade.dark, PAPER.dark) >= 4.5, shade
