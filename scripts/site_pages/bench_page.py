"""The records of speed as a page: how long mixing takes, and training steps."""

from __future__ import annotations

import json
from typing import Any

from mixwright.lab.reports.formatting import number, when
from site_pages.places import RECORDS, ROOT

_FILES = {
    "cpu.json": "Mixing a batch",
    "compiled.json": "Mixing a batch, pixels in a graph of torch.compile",
    "steps.json": "Training steps",
    "steps-learned.json": "Training steps with learned mixers",
}


def bench_page() -> str:
    """Return the Markdown of all records of speed."""
    parts = [
        "---\ntitle: Speed\n---",
        "# Speed",
        "Rendered from the JSON of `mixwright bench`. The commands, and what can be told from "
        "these numbers, stand among [the records](index.md#what-mixing-costs).",
    ]
    for file, title in _FILES.items():
        record = json.loads((ROOT / RECORDS / "bench" / file).read_text())
        on = record["machine"]
        parts += [
            f"## {title}",
            f"[{file}](bench/{file}), {when(record['started'])}: {on['cpu']}, {record['threads']} "
            f"thread, torch {record['torch']}.",
            *(_shape(shape) for shape in record["shapes"]),
            *(_steps(step) for step in record["steps"]),
        ]
    return "\n\n".join(parts) + "\n"


def _size(shape: list[int]) -> str:
    return " x ".join(map(str, shape))


def _shape(shape: dict[str, Any]) -> str:
    rows = [
        row for row in shape["rows"] if row["part"] == "with targets" or row["group"] == "floor"
    ]
    return (
        f"### Batches of {_size(shape['shape'])}, {shape['dtype']}\n\n"
        f"Plan, pixels and targets together. One unit is the median of: {shape['unit']}.\n\n"
        "| library | mixing | median, ms | least, ms | units | goal |\n"
        "|---|---|---:|---:|---:|---:|\n"
        + "\n".join(
            f"| {row['group']} | `{row['name']}` | {number(1000 * row['time']['median'], 2)} | "
            f"{number(1000 * row['time']['least'], 2)} | {number(row['units'], 2)} | {_goal(row)} |"
            for row in rows
        )
    )


def _goal(row: dict[str, Any]) -> str:
    return "" if row["budget"] is None else number(row["budget"]["units"], 2)


def _steps(step: dict[str, Any]) -> str:
    plain = next(row for row in step["rows"] if row["name"] == "none")["step"]["median"]
    rows = "\n".join(
        f"| `{row['name']}` | {number(row['step']['median'], 2)} | "
        f"{number(row['step']['median'] / plain, 2)} | {number(row.get('exact'), 2)} |"
        for row in step["rows"]
    )
    return (
        f"### {step['model']}, batches of {_size(step['shape'])}, {step['precision']}\n\n"
        "| METHOD | median step, s | in plain steps | exact count |\n|---|---:|---:|---:|\n" + rows
    )
