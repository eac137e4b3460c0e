"""The record and the page of ``mixwright theory``."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.files import write_json
from mixwright.lab.experiments.theory_measurements import Sections, TheorySetup
from mixwright.lab.reports.formatting import duration
from mixwright.lab.reports.page import write_page
from mixwright.lab.reports.palette import method_shades
from mixwright.lab.reports.sections.decomposition import decomposition
from mixwright.lab.reports.sections.design import design
from mixwright.lab.reports.sections.first_layer import first_layer
from mixwright.lab.reports.sections.moments import moments
from mixwright.lab.reports.sections.scenarios import scenarios
from mixwright.lab.reports.sections.section import Group, Write

if TYPE_CHECKING:
    from mixwright.lab.reports.palette import Shade

NAME = "theory.json"

_SECTIONS: dict[str, Write] = {
    "moments": moments,
    "moments-paper": moments,
    "decomposition": decomposition,
    "first-layer": first_layer,
    "design": design,
    "scenarios": scenarios,
}


def groups_of(sections: Sections) -> dict[str, list[Group]]:
    """Return measurements as groups of the report, by section."""
    return {
        name: [
            Group(
                key=method.key,
                label=method.label,
                seeds=tuple(range(len(method.found))),
                summaries=tuple(found.summary for found in method.found),
                arrays=tuple(found.arrays for found in method.found),
                baseline=method.key == "none",
            )
            for method in measured
        ]
        for name, measured in sections.items()
    }


def write(
    folder: Path,
    setup: TheorySetup,
    sections: Mapping[str, Sequence[Group]],
    *,
    words: Sequence[str],
    seconds: float,
) -> tuple[Path, Path]:
    """Write ``theory.json``, maps as ``.npy``, and ``report.html``.

    Args:
        folder: where; it is there.
        setup: what was measured on what.
        sections: groups of each section, by name.
        words: of the command line.
        seconds: that it took.

    Returns:
        paths of record and page.
    """
    import numpy as np
    import torch

    from mixwright.lab.training.machine import commit, machine, version

    command = shlex.join(["mixwright", "theory", *words])
    about: dict[str, Any] = {
        "command": command,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "mixwright": version(),
        "torch": torch.__version__,
        "commit": commit(),
        "machine": machine(setup.images.device),
        "seconds": seconds,
        "data": setup.data.name,
        "data_note": setup.data.note,
        "model": setup.model_note,
        "size": list(setup.size),
        "skipped": setup.skipped,
    }
    found = {
        name: {
            group.key: {"label": group.label, "seeds": list(group.summaries)} for group in groups
        }
        for name, groups in sections.items()
    }
    record = folder / NAME
    write_json(record, about | {"sections": found})
    slugs = {method.text: method.slug for method in setup.methods}
    maps = folder / "maps"
    maps.mkdir(exist_ok=True)
    for name in ("moments", "moments-paper"):
        for group in sections.get(name, ()):
            file = f"{slugs[group.key]}-{group.summaries[0]['mode']}.npy"
            np.save(maps / file, group.arrays[0]["a"].numpy())
    page = _page(folder, setup, sections, command=command, about=about)
    return record, page


def _page(
    folder: Path,
    setup: TheorySetup,
    sections: Mapping[str, Sequence[Group]],
    *,
    command: str,
    about: Mapping[str, Any],
) -> Path:
    keys = list(dict.fromkeys(group.key for groups in sections.values() for group in groups))
    shades: dict[str, Shade] = method_shades(keys, "none" if "none" in keys else None)
    written = {name: _SECTIONS[name](groups, shades) for name, groups in sections.items()}
    height, width = setup.size
    on = about["machine"]
    machine = (
        f"{on['cpu']}, {on['cores']} cores, {on['threads']} threads, Python {on['python']}, device "
        f"{on['device']}"
    )
    facts = [
        ("Data", f"{setup.data.name}: {len(setup.images):,} training images. {setup.data.note}"),
        *([("Model", setup.model_note)] if setup.model_note else []),
        ("Images", f"{height} x {width} pixels"),
        ("Machine", machine),
        ("Software", f"mixwright {about['mixwright']}, torch {about['torch']}"),
        ("Command", command),
    ]
    return write_page(
        folder,
        title="What masks do to gradients",
        lede=_lede(sections),
        over=f"{about['finished'].replace('T', ' ')[:16]} UTC, {duration(about['seconds'])}, "
        f"{len(keys)} {'method' if len(keys) == 1 else 'methods'}",
        sections=written,
        facts=facts,
        shades=shades,
        skipped=setup.skipped,
    )


def _lede(sections: Mapping[str, Sequence[Group]]) -> str:
    name, groups = next(iter(sections.items()))
    if not name.startswith("moments") or len(groups) < 2:
        return "How strongly mixing ties the gradients of each two pixels."

    def peak(group: Group) -> float:
        return float(group.summaries[0]["near"]) - float(group.summaries[0]["far"])

    flat, steep = min(groups, key=peak), max(groups, key=peak)
    return (
        "Up to second order, mixing weighs each product of input gradients by a coefficient of the "
        f"two pixels: {steep.label} weighs near pixels most against far ones, {flat.label} least."
    )
