"""What methods warned of while they trained."""

from __future__ import annotations

from mixwright.lab.analysis.findings import Part
from mixwright.lab.analysis.training_warnings import Spell, WarningRow, WarningRows
from mixwright.lab.reports.section import Notes, Page, Section
from mixwright.lab.reports.sections.scores import methods_of
from mixwright.lab.settings import decode


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write the warnings of all methods; none where there were none."""
    rows = decode(WarningRows, part.numbers, where="the warnings").rows
    if not rows:
        return {}
    names = {
        method: groups["raw"].name
        for method, groups in methods_of(page.findings.parts["scores"]).items()
    }
    return {
        "warnings": Section(
            title="Warnings",
            reading="What methods found wrong with themselves while they trained. Their numbers "
            "stand in the tables as they came out.",
            blocks=(
                Notes(tuple((f"{names[row.method]} ({where(row)}):", row.message) for row in rows)),
            ),
        )
    }


def where(row: WarningRow) -> str:
    """Return seeds and epochs of a warning, e.g. ``seed 0, epochs 3 to 20; seed 2, epoch 4``."""
    return "; ".join(f"seed {spell.seed}, {epochs(spell)}" for spell in row.spells)


def epochs(spell: Spell) -> str:
    """Return the epochs of a warning in words, e.g. ``epochs 3 to 20``."""
    if spell.first == spell.last:
        return f"epoch {spell.first}"
    return f"epochs {spell.first} to {spell.last}"
