"""The reference of everything public, page by page; mkdocstrings fills it in from the sources."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mixwright.mixers import MIXERS
from mixwright.objectives import OBJECTIVES
from site_pages.places import ROOT

FOLDER = "reference"
SOURCE = ROOT / "src" / "mixwright"

# Rooms whose exports people use beside the names of the package itself.
_ROOMS = {
    "saliency": "What matters in an image: what the option `saliency` of mixers takes, by object.",
    "warps": "How a source is resampled before it is mixed.",
    "taps": "Features and attention of any model.",
    "masknets": "Networks that make masks of features.",
}
_ADAPTERS = "adapters"
_ROOM = "mixwright."


def public_names() -> list[str]:
    """The names of the package, as ``__init__.pyi`` lists them, without modules."""
    return [name for name in _exports(SOURCE / "__init__.pyi") if name not in (_ADAPTERS,)]


def write_reference(pages: Path) -> list[str]:
    """Write the pages of the reference; return their places in the site."""
    folder = pages / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    classes = {cls.__name__ for cls in (MIXERS | OBJECTIVES).values()}
    mixers = [cls.__name__ for cls in MIXERS.values()]
    objectives = [cls.__name__ for cls in OBJECTIVES.values()]
    others = [name for name in public_names() if name not in classes]
    texts = {
        "core": _page(
            "Plans, Mix and wrappers",
            "What every method is made of, and what mixes in a loop.",
            [_ROOM + name for name in others],
        ),
        "mixers": _page(
            "Mixers",
            "The class of every mixer. Their cards, with pictures and cost: [all methods]"
            "(../methods/index.md).",
            [_ROOM + name for name in mixers],
        ),
        "objectives": _page(
            "Training objectives",
            "The class of every objective. Their cards: [all methods](../methods/index.md). The "
            "criterion of each is a loss for each sample.",
            [_ROOM + name for name in objectives],
        ),
        "adapters": _adapters(),
        **{
            room: _page(
                f"mixwright.{room}",
                words,
                [f"mixwright.{room}.{name}" for name in _exports(SOURCE / room / "__init__.py")],
            )
            for room, words in _ROOMS.items()
        },
    }
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    (folder / "index.md").write_text(_index(texts, others, mixers, objectives))
    return [f"{FOLDER}/{name}.md" for name in ("index", *texts)]


def _page(title: str, words: str, names: list[str]) -> str:
    blocks = "\n\n".join(f"::: {name}" for name in names)
    return f"---\ntitle: {title}\n---\n\n# {title}\n\n{words}\n\n{blocks}\n"


def _adapters() -> str:
    """One section a module: what it defines and does not keep to itself."""
    parts = [
        "---\ntitle: Adapters\n---\n\n# Adapters\n\nDrop-ins for the loops of torchvision, timm, "
        "Lightning and others; `mixwright.Mix` is [the one for a loop of your own](core.md)."
    ]
    for module in adapter_modules():
        names = public_definitions(SOURCE / _ADAPTERS / f"{module}.py")
        parts.append(f"## mixwright.adapters.{module}")
        parts += [f"::: mixwright.adapters.{module}.{name}" for name in names]
    return "\n\n".join(parts) + "\n"


def adapter_modules() -> list[str]:
    """Modules of ``adapters`` that are named after a library: each has a page or recipe."""
    libraries = ("torchvision", "timm", "lightning", "transformers", "keras", "accelerate", "hub")
    return [name for name in libraries if (SOURCE / _ADAPTERS / f"{name}.py").is_file()]


def public_definitions(file: Path) -> list[str]:
    """Names in ``__all__`` of a module, or what it defines that does not begin with ``_``."""
    tree = ast.parse(file.read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    ]


def _exports(file: Path) -> list[str]:
    return re.findall(r"^from [\w.]+ import (\w+) as \1$", file.read_text(), re.M)


def _index(
    texts: dict[str, str], others: list[str], mixers: list[str], objectives: list[str]
) -> str:
    def listed(page: str, names: list[str]) -> str:
        return ", ".join(f"[`{name}`]({page}.md#mixwright.{name})" for name in names)

    rooms = "\n".join(
        f"| [{'mixwright.' + room}]({room}.md) | {words} |" for room, words in _ROOMS.items()
    )
    return (
        "---\ntitle: Reference\n---\n\n# Reference\n\n"
        "Everything public, from the docstrings. `import mixwright as mw`; each name is imported "
        "when it is first used.\n\n"
        f"**[Plans, Mix and wrappers](core.md):** {listed('core', others)}.\n\n"
        f"**[Mixers](mixers.md):** {listed('mixers', mixers)}.\n\n"
        f"**[Training objectives](objectives.md):** {listed('objectives', objectives)}.\n\n"
        "**[Adapters](adapters.md):** drop-ins for other libraries' loops.\n\n"
        "| room | what is in it |\n|---|---|\n" + rooms + "\n"
    )
