"""The committed records as pages, rendered from their JSON by the sections of the reports."""

from __future__ import annotations

import re
import shutil
from importlib import import_module
from pathlib import Path

from mixwright.lab.analysis.findings import Findings
from mixwright.lab.reports.formatting import listed, when
from mixwright.lab.reports.page import writer_of
from mixwright.lab.reports.palette import shades_of
from mixwright.lab.reports.section import (
    Block,
    Cards,
    Cell,
    Command,
    Drawing,
    Notes,
    Page,
    Section,
    Table,
)
from site_pages.bench_page import bench_page
from site_pages.places import RECORDS, ROOT, source_link
from site_pages.record_rows import Record, records

_KINDS = {"comparison": "Comparison", "evaluation": "Evaluation", "theory": "Moments of masks"}


def write_record_pages(pages: Path) -> list[str]:
    """Write a page for each folder of records, with its figures and files; return their places."""
    made: list[str] = []
    for slug in sorted({record.slug for record in records()}):
        own = [record for record in records() if record.slug == slug]
        shutil.copytree(ROOT / RECORDS / slug, pages / "records" / slug, dirs_exist_ok=True)
        made.append(f"records/{slug}.md")
        (pages / made[-1]).write_text(record_page(slug, own))
    # Tables of published items are pages as they are, which the list of records leads to.
    for name in ("bench", "reproduce"):
        shutil.copytree(ROOT / RECORDS / name, pages / "records" / name, dirs_exist_ok=True)
    made.append("records/bench.md")
    (pages / made[-1]).write_text(bench_page())
    return made


def record_page(slug: str, own: list[Record]) -> str:
    """Return the Markdown of all records of one folder."""
    parts = [f"---\ntitle: {slug}\n---", f"# {slug}", _lead(slug, own)]
    for record in own:
        name = Path(record.file).name
        if len(own) > 1:
            parts.append(f"## {_KINDS[record.findings.kind]}: {name}")
        level = "###" if len(own) > 1 else "##"
        parts += _findings(record, level, slug)
    parts += [_other_figures(slug, "".join(parts)), "## Files", _files(slug)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lead(slug: str, own: list[Record]) -> str:
    names = " and ".join(f"[{Path(one.file).name}]({slug}/{Path(one.file).name})" for one in own)
    return (
        f"Rendered from {names}. What these numbers are good for stands among [the records]"
        f"(index.md); `mixwright report {RECORDS}/{slug}` makes the whole report, with every "
        "figure."
    )


def _findings(record: Record, level: str, slug: str) -> list[str]:
    findings = record.findings
    page = Page(findings=findings, shades=shades_of(findings), arrays={})
    sections: dict[str, Section] = {}
    for name, part in findings.parts.items():
        sections |= writer_of(name)(part, page)
    kind = import_module(f"mixwright.lab.reports.{findings.kind}_page")
    sections |= kind.closing(page)
    parts = [_about(findings, level), kind.heading(page).summary]
    for name, section in sections.items():
        blocks = [_block(block, name, slug) for block in section.blocks]
        shown = [text for text in (section.protocol, section.reading, *blocks) if text]
        if any(blocks):
            parts += [f"{level} {section.title}", *shown]
    return parts


def _about(findings: Findings, level: str) -> str:
    about = findings.about
    on = about.machine
    rows = {  # records of the first versions lack some of it
        "made": f"{when(about.finished)}, at commit {about.commit}" if about.finished else "",
        "data": about.data.note,
        "machine": f"{on['cpu']}, {on['cores']} cores, device {on['device']}" if on else "",
        "versions": listed(about.versions),
    }
    table = "\n".join(f"| {head} | {_text(text)} |" for head, text in rows.items() if text)
    command = f"```bash\n{about.command}\n```" if about.command else ""
    parts = (command, f"| | |\n|---|---|\n{table}" if table else "")
    return "\n\n".join([f"{level} How it was made", *parts]) if any(parts) else ""


def _block(block: Block, section: str, slug: str) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Drawing):
        return _figure(block, section, slug)
    if isinstance(block, Cards):
        return "" if block.sheet is None else _figure(block.sheet, section, slug)
    if isinstance(block, Notes):
        return "\n".join(
            f"- {f'**{word}** ' if word else ''}{sentence}" for word, sentence in block.sentences
        )
    if isinstance(block, Command):
        return f"{block.sentence}\n\n```bash\n{block.text}\n```"
    return ""  # pictures, whose arrays are not kept


def _figure(drawing: Drawing, section: str, slug: str) -> str:
    file = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{section}-{drawing.name}") + ".png"
    if not (ROOT / RECORDS / slug / "figures" / file).is_file():
        return ""
    caption = drawing.caption or "Figure"
    return f"![{_text(caption)}]({slug}/figures/{file})\n\n*{_text(caption)}*"


def _other_figures(slug: str, text: str) -> str:
    """Figures of sections whose drawings are made one by one, or have another name by now."""
    files = sorted((ROOT / RECORDS / slug / "figures").glob("*.png"))
    shown = [
        f"![{file.stem}]({slug}/figures/{file.name})\n\n*{file.stem.replace('-', ', ')}*"
        for file in files
        if f"figures/{file.name})" not in text
    ]
    return "\n\n".join(["## More figures", *shown]) if shown else ""


def _table(table: Table) -> str:
    heads = list(table.head)
    if table.spans:
        above = [head for head, count in table.spans for _ in range(count)]
        heads = [f"{one}: {head}" if one else head for one, head in zip(above, heads, strict=True)]
    lines = [_row(heads), _row(["---", *["---:"] * (len(heads) - 1)])]
    lines += [_row([_cell(value) for value in row]) for row in table.rows]
    return "\n".join(lines) + (f"\n\n{table.caption}" if table.caption else "")


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: str | Cell) -> str:
    if isinstance(value, Cell):
        text = _text(value.text)
        return (
            f"`{text}`" if value.code and text else f"**{text}**" if value.clear and text else text
        )
    return _text(value)


def _text(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("[", "\\[").replace("*", "\\*")


def _files(slug: str) -> str:
    folder = ROOT / RECORDS / slug
    lines = [f"- [{file.name}]({slug}/{file.name})" for file in sorted(folder.glob("*.json"))]
    runs = [*folder.glob("runs/*.jsonl"), *folder.glob("runs/*/metrics.jsonl")]
    for file in sorted(runs):
        inside = file.relative_to(folder)
        lines.append(f"- [{inside.relative_to('runs')}]({slug}/{inside})")
    return "\n".join(lines) + f"\n\nIn the repository: {source_link(f'{RECORDS}/{slug}')}."
