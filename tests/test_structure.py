"""The house: which room may import which, what is public, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import mixwright

HOME = Path(mixwright.__file__).parent
CORE = (
    "_moved",
    "arguments",
    "precision",
    "sampling",
    "masks",
    "warps",
    "plan",
    "taps",
    "saliency",
    "masknets",
    "mixers",
    "objectives",
    "adapters",
)
LAB = (
    "settings",
    "data",
    "models",
    "training",
    "evaluation",
    "analysis",
    "theory",
    "bench",
    "experiments",
    "reports",
    "cli",
)
ROOMS = (*CORE, *(f"lab.{room}" for room in LAB))
LEAVES = ("lab.data", "lab.models")  # import nothing but the core, and not each other


def _room(module: str) -> str:
    """The room of a module below ``mixwright``, e.g. ``lab.data`` of ``lab.data.sources.cifar``."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "lab" else parts[0]


def _imports(file: Path) -> set[str]:
    """Name the modules of ours that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module in ("mixwright", "mixwright.lab"):
                found |= {f"{node.module}.{name.name}" for name in node.names}
            elif node.module and node.module.startswith("mixwright."):
                found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith("mixwright.")}
    return {_room(module.removeprefix("mixwright.")) for module in found}


def _arrows_that_point_back(home: Path) -> list[str]:
    back = []
    for file in sorted(home.rglob("*.py")):
        room = _room(".".join(file.relative_to(home).with_suffix("").parts))
        if room in ("__init__", "__main__", "lab.__init__"):
            continue
        for target in sorted(_imports(file)):
            if target == room or target.startswith("__"):
                continue
            name = f"{file.relative_to(home)} -> {target}"
            if target not in ROOMS:
                back.append(f"{name} (no such room)")
            elif ROOMS.index(target) > ROOMS.index(room) or (room in LEAVES and target in LEAVES):
                back.append(name)
    return back


def test_rooms_import_only_from_rooms_above() -> None:
    assert _arrows_that_point_back(HOME) == []


def test_the_walk_finds_an_arrow_that_points_back(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "box.py").write_text("def f():\n    from mixwright.plan import MixPlan\n")
    (tmp_path / "lab" / "models").mkdir(parents=True)
    (tmp_path / "lab" / "models" / "build.py").write_text("import mixwright.lab.data.sets\n")
    assert _arrows_that_point_back(tmp_path) == [
        "lab/models/build.py -> lab.data",
        "masks/box.py -> plan",
    ]


def test_public_names_are_pinned_and_resolve() -> None:
    assert set(mixwright.__all__) == set(mixwright._HOME)
    for name in mixwright.__all__:
        assert getattr(mixwright, name) is not None
    for room, table in (("mixers", mixwright.MIXERS), ("objectives", mixwright.OBJECTIVES)):
        for short, one in table.items():
            assert short == one.__name__.lower()
            assert mixwright._HOME[one.__name__] == room


def test_import_loads_torch_alone_and_only_when_asked() -> None:
    script = (
        "import sys, mixwright\n"
        "assert 'torch' not in sys.modules\n"
        "mixwright.Mix, mixwright.MIXERS, mixwright.OBJECTIVES\n"
        "heavy = {'scipy', 'matplotlib', 'PIL', 'jsonargparse', 'rich', 'torchvision', 'timm',"
        " 'pyarrow', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_files_are_short() -> None:
    long = {
        str(file.relative_to(HOME)): lines
        for file in HOME.rglob("*.py")
        if (lines := len(file.read_text().splitlines())) > 480
    }
    assert long == {}
