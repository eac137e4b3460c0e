"""Masks of several learned mixers by epoch: a row a method, in one picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lab.reports.fabricated import page_of
from lab.reports.pages import drawings, drawn
from lab.reports.test_choice_and_heads import compared
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.section import Section
from mixwright.lab.reports.sections.diagnostics import write


def kept(method: str, sources: int, epochs: int) -> dict[str, torch.Tensor]:
    """Pictures of two mixtures, all of one shade: 10 of images, 200 of mixtures."""
    shares = torch.zeros(epochs, 2, sources, 4, 4, dtype=torch.uint8)
    shares[:, :, 0] = 255  # all of the first image, whose colour is painted
    found = {
        "images": torch.full((2, 3, 4, 4), 10, dtype=torch.uint8),
        "index": torch.zeros(2, sources, dtype=torch.int64),
        "mask": shares,
        "mixed": torch.full((2, 3, 4, 4), 200, dtype=torch.uint8),
    }
    return {f"diagnostics/{method}/{name}": array for name, array in found.items()}


def test_a_mixture_of_different_images_is_shown(tmp_path: Path) -> None:
    """Of three images the first mixture has one twice, the second all; its mask is the last's."""
    page = page_of((compared(tmp_path), {}))
    arrays = kept("none", 2, 2) | kept("mixup", 3, 2)
    own = "diagnostics/mixup/"
    arrays[f"{own}images"][1] = 30
    arrays[f"{own}index"] = torch.tensor([[0, 0, 1], [1, 0, -1]])
    arrays[f"{own}mixed"][1] = 220
    histories = [{"method": name, "epochs": [1, 2]} for name in ("none", "mixup")]
    part = replace(page.findings.parts["diagnostics"], numbers={"methods": histories})
    found = write(part, replace(page, arrays=arrays))["diagnostics"]
    with styled():
        _, second = drawings(found)["masks"].make(6.6).axes
    shown = second.images[0].get_array()
    assert (abs(shown[5, 5] - 30 / 255) < 1e-6).all()
    assert (abs(shown[5, -5] - 220 / 255) < 1e-6).all()


def section(tmp_path: Path, *histories: tuple[str, int, list[int]]) -> Section:
    page = page_of((compared(tmp_path), {}))
    arrays: dict[str, Any] = {}
    for method, sources, epochs in histories:
        arrays |= kept(method, sources, len(epochs))
    numbers = {"methods": [{"method": name, "epochs": epochs} for name, _, epochs in histories]}
    part = replace(page.findings.parts["diagnostics"], numbers=numbers)
    return write(part, replace(page, arrays=arrays))["diagnostics"]


def test_a_row_a_method_and_a_column_an_epoch(tmp_path: Path) -> None:
    found = section(tmp_path, ("none", 2, [1, 2, 4, 8]), ("mixup", 3, [1, 8]))
    assert drawn(found) == ["masks"]
    drawing = drawings(found)["masks"]
    with styled():
        figure = drawing.make(6.6)
    first, second = figure.axes
    titles = [[text.get_text() for text in axes.texts] for axes in (first, second)]
    assert titles[0] == ["first image", "epoch 1", "epoch 2", "epoch 4", "epoch 8", "mixed"]
    assert titles[1] == ["first image", "epoch 1", "epoch 8", "mixed"]
    wide, other = (axes.images[0].get_array() for axes in (first, second))
    assert wide.shape == other.shape  # the shorter row is filled up with white
    assert (other[:, -10:] == 1).all()
    assert (abs(wide[5, 5] - 10 / 255) < 1e-6).all()
    assert (abs(wide[5, -5] - 200 / 255) < 1e-6).all()
    narrow = drawing.make(3.7).axes[0]
    assert [text.get_text() for text in narrow.texts] == [
        "first image", "epoch 1", "epoch 4", "epoch 8", "mixed",
    ]  # fmt: skip


def test_a_single_method_has_its_own_sheet_alone(tmp_path: Path) -> None:
    assert drawn(section(tmp_path, ("mixup", 2, [1, 2]))) == []
