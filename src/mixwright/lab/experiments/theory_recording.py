"""From measurements of theory to its findings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mixwright.lab.analysis.analyse import analyse
from mixwright.lab.analysis.findings import Arrays, Findings, Group
from mixwright.lab.experiments.about import about_data, about_now
from mixwright.lab.experiments.theory_measurements import Measurements, Sections, TheorySetup


def theory_findings(
    setup: TheorySetup, sections: Sections, *, command: str, seconds: float
) -> tuple[Findings, Arrays]:
    """Gather measurements with all that decides them; return findings and their maps."""
    slugs = {method.text: method.slug for method in setup.methods}
    parts, arrays = analyse(
        {
            name: [_group(method, slugs.get(method.key, "")) for method in measured]
            for name, measured in sections.items()
        }
    )
    about = about_now(
        about_data(setup.data, train=len(setup.images), test=0),
        setup.images.device,
        command=command,
        seconds=seconds,
        details={"model": f"{setup.probe.note} {setup.probe.doubt}".strip() if setup.probe else ""},
        skipped=tuple(setup.skipped),
    )
    return Findings(kind="theory", about=about, parts=parts), arrays


def write_maps(folder: Path, setup: TheorySetup, sections: Sections) -> None:
    """Write the moments of every method as ``maps/METHOD-MODE.npy``, which ``--design`` takes."""
    slugs = {method.text: method.slug for method in setup.methods}
    maps = folder / "maps"
    maps.mkdir(exist_ok=True)
    for name in ("moments", "moments-paper"):
        for method in sections.get(name, ()):
            first = method.found[0]
            file = f"{slugs[method.key]}-{first.summary['mode']}.npy"
            np.save(maps / file, first.arrays["a"].numpy())


def _group(method: Measurements, slug: str) -> Group:
    return Group(
        key=method.key,
        name=method.label,
        label=method.label,
        method=method.key,
        slug=slug,
        baseline=method.key == "none",
        seeds=tuple(found.summary.get("seed", k) for k, found in enumerate(method.found)),
        summaries=tuple(found.summary for found in method.found),
        arrays=tuple(found.arrays for found in method.found),
    )
