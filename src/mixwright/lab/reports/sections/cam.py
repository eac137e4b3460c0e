"""Where models see the classes: scores on mixtures, and overlays of images and mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.figures import WIDE
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.section import Drawing, Page, Section, Table
from mixwright.lab.reports.sections.lines import group_table, spreads
from mixwright.lab.reports.sections.picture_rows import colours, enlarged, picture_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = {
    "energy, first": "energy_a",
    "its pixels": "chance_a",
    "energy, second": "energy_b",
    "its pixels ": "chance_b",
    "both": "energy",
    "both guessed": "pair_accuracy",
    "empty maps": "empty",
}


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row of energies a group; overlays of the first seeds."""
    groups, first = part.groups, part.groups[0].first
    drawings = (
        Drawing(
            "images",
            "Test images, and where each model sees their class (bright: most).",
            lambda width: _plain(groups, page, width),
            vector=False,
            needs=(
                _name(groups[0], "plain.images"),
                *(_name(group, "plain.maps") for group in groups),
            ),
        ),
        Drawing(
            "mixtures",
            "Mixtures of two images, and where each model sees the class of the first and of the "
            "second. A line marks the border between the images where there is one.",
            lambda width: _mixed(groups, page, width),
            vector=False,
            needs=tuple(
                _name(group, f"mixed.{what}")
                for group in groups
                for what in ("images", "maps", "masks")
            ),
        ),
    )
    section = Section(
        title="Class activation maps",
        protocol=(
            f"Grad-CAM of the layer {_layers(groups)}, maps of "
            f"{first['map'][0]} x {first['map'][1]} places, each from 0 to 1. "
            f"{first['pairs']} mixtures of two test images of different classes, "
            f"{_share(part)}by the mixer in the table; seed {first['seed']}."
        ),
        reading=(
            "Energy: share of the map of a class that lies on the pixels of its image; a map that "
            "knows nothing gets the share of those pixels. It says nothing of mixtures that are "
            "the same everywhere, such as MixUp's. Energies on mixtures of different mixers are no "
            "common measure: give mixer=cutmix to have one. Maps are brought to one range each, so "
            "their strengths cannot be compared."
            + (" ± is half the 95 % t interval over seeds." if part.several_seeds else "")
        ),
        blocks=(_table(groups), *drawings),
    )
    return {"cam": section}


def _share(part: Part) -> str:
    """The share that was asked for, and whose shares are others."""
    asked = part.options.get("lam", part.groups[0].first["lam"])
    if asked is None:
        return ""
    others = [group.label for group in part.groups if group.first["lam"] is None]
    drawn = f" ({', '.join(others)}: at shares of their own)" if others else ""
    return f"share {asked:g}{drawn}, "


def _name(group: Group, array: str) -> str:
    return f"cam/{group.key}/{array}"


def _layers(groups: Sequence[Group]) -> str:
    return " and ".join(sorted({str(run["layer"]) for group in groups for run in group.summaries}))


def _table(groups: Sequence[Group]) -> Table:
    return group_table(
        ("Method", "mixed by", *_COLUMNS),
        groups,
        lambda group: (str(group.first["mixer"]), *spreads(group, _COLUMNS.values())),
        caption="Percent. Its pixels: what a map gets that knows nothing (of both: 50). Both "
        "guessed: the two most likely classes are the two that were mixed.",
    )


def _plain(groups: Sequence[Group], page: Page, width: float) -> Figure:
    """The images, and below them a row of overlays a method."""
    images = page.arrays[_name(groups[0], "plain.images")]
    images = colours(images[: 6 if width >= WIDE else 4])
    count = len(images)
    lines = [list(images)]
    for group in groups:
        maps = page.arrays[_name(group, "plain.maps")][:count]
        lines.append([_overlay(image, cam) for image, cam in zip(images, maps, strict=True)])
    names = ["image", *(group.label for group in groups)]
    inks = [FAINT.light, *(page.shades[group.key].light for group in groups)]
    titles = groups[0].first["plain_classes"][:count]
    return picture_rows(lines, names, inks, [titles] + [[]] * len(groups), width, together=1)


def _mixed(groups: Sequence[Group], page: Page, width: float) -> Figure:
    """A row a method: mixture, first class, second class, and so on."""
    most = 3 if width >= WIDE else 1
    lines, titles = list[list[Tensor]](), list[list[str]]()
    for group in groups:
        images, maps, masks = (
            page.arrays[_name(group, f"mixed.{what}")] for what in ("images", "maps", "masks")
        )
        line, title = list[Tensor](), list[str]()
        for n, image in enumerate(colours(images[:most])):
            border = _border(masks[n, 0])
            line.append(image)
            line += [_lined(_overlay(image, cam), border) for cam in maps[n]]
            title += ["mixed", *group.first["mixed_classes"][n]]
        lines.append(line)
        titles.append(title)
    names = [group.label for group in groups]
    inks = [page.shades[group.key].light for group in groups]
    return picture_rows(lines, names, inks, titles, width, together=3)


def _overlay(image: Tensor, cam: Tensor) -> Tensor:
    """An image ``(H', W', 3)`` in grey under the colours of a map ``(H, W)`` of bytes."""
    from matplotlib import colormaps

    strength = enlarged(cam[None, None].float() / 255, "bilinear")[0, 0].clamp(0, 1)
    painted = torch.from_numpy(colormaps["inferno"](strength.numpy())[..., :3]).float()
    grey = image.mean(dim=2, keepdim=True).expand(-1, -1, 3)
    return 0.42 * grey + 0.58 * painted


def _border(mask: Tensor) -> Tensor:
    """Where an enlarged mask of bytes ``(H, W)`` steps over one half; nowhere in an even one."""
    inside = enlarged((mask > 127)[None, None].float(), "nearest")[0, 0] > 0.5
    edge = torch.zeros_like(inside)
    edge[1:] |= inside[1:] != inside[:-1]
    edge[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    return edge


def _lined(picture: Tensor, border: Tensor) -> Tensor:
    return torch.where(border[:, :, None], torch.ones(3), picture)
