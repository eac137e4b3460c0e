"""Executed notebooks as Markdown: text, code, and what the code gave."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

PICTURES = {"image/png": "png", "image/svg+xml": "svg", "image/jpeg": "jpg", "image/webp": "webp"}


def notebook_page(file: Path, page: Path) -> str:
    """Return a notebook as Markdown, its pictures written beside ``page``.

    Raises:
        ValueError: a code cell was not run, or failed.
    """
    cells = json.loads(file.read_text())["cells"]
    parts: list[str] = []
    for number, cell in enumerate(cells):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
        elif cell["cell_type"] == "code" and text.strip():
            if cell.get("execution_count") is None:
                raise ValueError(
                    f"{file.name}: cell {number} was not run. Run the notebook and save it."
                )
            commands = text.removeprefix("%%bash\n")
            language = "python" if commands == text else "bash"
            parts.append(f"```{language}\n{commands}\n```")
            for place, output in enumerate(cell["outputs"]):
                parts.append(_output(output, page, f"{file.stem}-{number}-{place}", file.name))
    return "\n\n".join(part for part in parts if part) + "\n"


def _output(output: dict[str, Any], page: Path, name: str, notebook: str) -> str:
    if output["output_type"] == "error":
        raise ValueError(f"{notebook}: a cell failed with {output['ename']}: {output['evalue']}")
    if output["output_type"] == "stream":
        return _shown("".join(output["text"]))
    data: dict[str, Any] = output.get("data", {})
    for kind, ending in PICTURES.items():
        if kind in data:
            content = data[kind] if isinstance(data[kind], str) else "".join(data[kind])
            picture = page.parent / f"{name}.{ending}"
            picture.parent.mkdir(parents=True, exist_ok=True)
            whole = content.encode() if ending == "svg" else base64.b64decode(content)
            picture.write_bytes(whole)
            return f"![What the code above draws]({picture.name})"
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    return _shown("".join(data.get("text/plain", "")))


def _shown(text: str) -> str:
    """What was printed, without the colours of terminals."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).rstrip()
    # A progress line is written over and over: what stands there in the end is what was seen.
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in plain.split("\n")]
    return "```text\n" + "\n".join(lines) + "\n```" if plain else ""
