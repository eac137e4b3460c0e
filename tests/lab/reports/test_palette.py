"""Colours of methods, on one page and across pages."""

from __future__ import annotations

from mixwright.lab.reports.palette import method_shades


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
