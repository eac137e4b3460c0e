"""Where models see the classes: scores on mixtures, and overlays of images and mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import WIDE
from mixwright.lab.reports.palette import FAINT, INK
from mixwright.lab.reports.section import Drawing, Page, Section, Table
from mixwright.lab.reports.sections.lines import group_table, spreads

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GAP = 2  # pixels between pictures
_BETWEEN = 8  # between mixtures
_LEAST = 96  # pixels of a picture's side; smaller ones are enlarged, so that maps are smooth
_NAMES = 1.3  # inches for the names of methods, on wide pages


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
    images = _colours(images[: 6 if width >= WIDE else 4])
    count = len(images)
    lines = [list(images)]
    for group in groups:
        maps = page.arrays[_name(group, "plain.maps")][:count]
        lines.append([_overlay(image, cam) for image, cam in zip(images, maps, strict=True)])
    names = ["image", *(group.label for group in groups)]
    inks = [FAINT.light, *(page.shades[group.key].light for group in groups)]
    titles = groups[0].first["plain_classes"][:count]
    return _sheet(lines, names, inks, [titles] + [[]] * len(groups), width, together=1)


def _mixed(groups: Sequence[Group], page: Page, width: float) -> Figure:
    """A row a method: mixture, first class, second class, and so on."""
    most = 3 if width >= WIDE else 1
    lines, titles = list[list[Tensor]](), list[list[str]]()
    for group in groups:
        images, maps, masks = (
            page.arrays[_name(group, f"mixed.{what}")] for what in ("images", "maps", "masks")
        )
        line, title = list[Tensor](), list[str]()
        for n, image in enumerate(_colours(images[:most])):
            border = _border(masks[n, 0])
            line.append(image)
            line += [_lined(_overlay(image, cam), border) for cam in maps[n]]
            title += ["mixed", *group.first["mixed_classes"][n]]
        lines.append(line)
        titles.append(title)
    names = [group.label for group in groups]
    inks = [page.shades[group.key].light for group in groups]
    return _sheet(lines, names, inks, titles, width, together=3)


def _sheet(
    lines: Sequence[Sequence[Tensor]],
    names: Sequence[str],
    inks: Sequence[str],
    titles: Sequence[Sequence[str]],
    width: float,
    *,
    together: int,
) -> Figure:
    """Rows of pictures ``(H, W, 3)``, named at the left where there is room, else above."""
    from matplotlib.figure import Figure

    wide = width >= WIDE
    strips = [_strip(line, together) for line in lines]
    room = width - (_NAMES if wide else 0)
    high = room * max(strip.shape[0] / strip.shape[1] for strip, _ in strips)
    extra = [0.17 * bool(title) + (0.05 if wide else 0.27) for title in titles]
    total = sum(extra) + high * len(lines)
    figure = Figure(figsize=(width, total))
    top = total
    for (strip, middles), name, ink, title, more in zip(
        strips, names, inks, titles, extra, strict=True
    ):
        left = (_NAMES if wide else 0) / width
        axes = figure.add_axes((left, (top - more - high) / total, 1 - left, high / total))
        axes.imshow(strip.numpy(), interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        _write(axes, title, middles)
        if wide:
            figure.text(0, (top - more - high / 2) / total, _broken(label(name, TITLE)), color=ink,
                        fontsize=8, va="center", fontweight="bold")  # fmt: skip
        else:
            above = 0.17 * bool(title) + 0.03
            figure.text(0, (top - more + above) / total, label(name), color=ink, fontsize=8,
                        va="bottom", fontweight="bold")  # fmt: skip
        top -= more + high
    return figure


def _write(axes: Axes, titles: Sequence[str], middles: Sequence[float]) -> None:
    for words, middle in zip(titles, middles, strict=False):
        axes.text(
            middle, -3, label(words, 16), ha="center", va="bottom", fontsize=7, color=INK.light
        )


def _broken(name: str) -> str:
    """A long name on two lines."""
    cut = name.rfind(" ", 0, 15)
    return name if len(name) <= 15 or cut < 0 else f"{name[:cut]}\n{name[cut + 1 :]}"


def _strip(pictures: Sequence[Tensor], together: int) -> tuple[Tensor, list[float]]:
    """Pictures side by side on white, and the middle of each."""
    parts, middles, start = list[Tensor](), list[float](), 0
    for n, picture in enumerate(pictures):
        if n:
            gap = _GAP if n % together or together == 1 else _BETWEEN
            parts.append(torch.ones(picture.shape[0], gap, 3))
            start += gap
        parts.append(picture)
        middles.append(start + picture.shape[1] / 2)
        start += picture.shape[1]
    return torch.cat(parts, dim=1), middles


def _colours(images: Tensor) -> Tensor:
    """Bytes ``(B, C, H, W)`` as ``(B, H', W', 3)`` in [0, 1], enlarged to a whole multiple."""
    found = images.float() / 255
    if found.shape[1] != 3:
        found = found[:, :1].expand(-1, 3, -1, -1)
    return _enlarged(found, "nearest").permute(0, 2, 3, 1)


def _enlarged(pictures: Tensor, mode: str) -> Tensor:
    times = max(1, -(-_LEAST // max(pictures.shape[2:])))
    size = [side * times for side in pictures.shape[2:]]
    return torch.nn.functional.interpolate(pictures, size, mode=mode)


def _overlay(image: Tensor, cam: Tensor) -> Tensor:
    """An image ``(H', W', 3)`` in grey under the colours of a map ``(H, W)`` of bytes."""
    from matplotlib import colormaps

    strength = _enlarged(cam[None, None].float() / 255, "bilinear")[0, 0].clamp(0, 1)
    colours = torch.from_numpy(colormaps["inferno"](strength.numpy())[..., :3]).float()
    grey = image.mean(dim=2, keepdim=True).expand(-1, -1, 3)
    return 0.42 * grey + 0.58 * colours


def _border(mask: Tensor) -> Tensor:
    """Where an enlarged mask of bytes ``(H, W)`` steps over one half; nowhere in an even one."""
    inside = _enlarged((mask > 127)[None, None].float(), "nearest")[0, 0] > 0.5
    edge = torch.zeros_like(inside)
    edge[1:] |= inside[1:] != inside[:-1]
    edge[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    return edge


def _lined(picture: Tensor, border: Tensor) -> Tensor:
    return torch.where(border[:, :, None], torch.ones(3), picture)
