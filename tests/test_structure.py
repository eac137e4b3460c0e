"""The house: which room may import which, what is public, and what an import costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import mixwright

HOME = Path(mixwright.__file__).parent
CORE = (
    "_exports",
    "_moved",
    "arguments",
    "requirements",
    "tensors",
    "outputs",
    "precision",
    "constants",
    "files",
    "checkpoint",
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
LEAVES = ("lab.data", "lab.models")  # import nothing but the core and settings

# Where the core asks the laboratory: to rebuild an encoder by name, and to read a run's folder.
# The command's door and the table of old addresses are of neither.
EXCEPTION = ("mixers/mixer_file.py", "lab.experiments.mixer_of_run")
_EXCEPTED = "from mixwright.lab.experiments import mixer_of_run"
NEITHER = ("__main__.py", "_moved.py")
# Methods that are new need no word here: MIXERS and OBJECTIVES name them.
PUBLIC = """
    DADA MEADA MIXERS OBJECTIVES AGMix AdAutoMix AlignMix AttentiveCutMix AutoMix
    BinaryCrossEntropy CoMixup CrossEntropy CutMix Cutout DecoupledMix FMix FieldMix GMix GridMix
    GuidedMixup HMix LearnedMixer Losses ManifoldMix MiAMix Mix MixPlan MixPro MixUp Mixed Mixer
    Objective OneOf PuzzleMix RecursiveMix ResizeMix SAMix SMMix SaliencyGrafting SaliencyMix
    Scheduled SmoothMix SnapMix Sometimes Spectral TokenMix TokenMixup TransMix adapters load_mixer
    save_mixer
"""


def _room(module: str) -> str:
    """The room of a module below ``mixwright``, e.g. ``lab.data`` of ``lab.data.sources.cifar``."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "lab" else parts[0]


def _imports(file: Path) -> set[str]:
    """Name what a file imports from us, wherever in the file, without the leading ``mixwright.``.

    Of ``from mixwright.room import name`` that is ``room.name``, which may be a module or a name
    in ``room``.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    ours = {name.removeprefix("mixwright.") for name in found if name.startswith("mixwright.")}
    path = file.as_posix()
    return {name for name in ours if not (path.endswith(EXCEPTION[0]) and name == EXCEPTION[1])}


def _arrows_that_point_back(home: Path) -> list[str]:
    back = []
    for file in sorted(home.rglob("*.py")):
        room = _room(".".join(file.relative_to(home).with_suffix("").parts))
        if room in ("__init__", "__main__", "lab.__init__"):
            continue
        for target in sorted({_room(name) for name in _imports(file)}):
            if target == room or target.startswith("__"):
                continue
            name = f"{file.relative_to(home)} -> {target}"
            if target not in ROOMS:
                back.append(f"{name} (no such room)")
            elif ROOMS.index(target) > ROOMS.index(room) or (room in LEAVES and target in LEAVES):
                back.append(name)
    return back


def _modules(home: Path) -> dict[str, Path]:
    """Find every module of ours, by its name without the leading ``mixwright.``."""
    files: dict[str, Path] = {}
    for file in home.rglob("*.py"):
        parts = file.relative_to(home).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return files


def _cycles(home: Path) -> list[list[str]]:
    """Find the groups of files that import one another in a circle."""
    files = _modules(home)
    arrows = {
        module: {
            target if target in files else target.rpartition(".")[0] for target in _imports(file)
        }
        for module, file in files.items()
    }

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for target in arrows.get(todo.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        return seen

    after = {module: reached(module) for module in files}
    circles = {
        tuple(sorted(other for other in after[module] if module in after.get(other, ())))
        for module in files
        if module in after[module]
    }
    return sorted(map(list, circles))


def _core_files_that_name_the_lab(home: Path) -> list[str]:
    """Find core files with ``mixwright.lab`` in code, docstring or comment."""
    found = []
    for file in sorted(home.rglob("*.py*")):
        path = file.relative_to(home).as_posix()
        if file.suffix not in (".py", ".pyi") or path.startswith("lab/") or path in NEITHER:
            continue
        lines = file.read_text().splitlines()
        if path == EXCEPTION[0]:
            lines = [line for line in lines if line.strip() != _EXCEPTED]
        found += [f"{path}: {line.strip()}" for line in lines if "mixwright.lab" in line]
    return found


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


def test_what_files_import_is_there() -> None:
    files = _modules(HOME)
    missing = [
        f"{module} -> {target}"
        for module, file in files.items()
        for target in _imports(file)
        if target not in files and target.rpartition(".")[0] not in files
    ]
    assert missing == []


def test_no_files_import_one_another_in_a_circle() -> None:
    assert _cycles(HOME) == []


def test_the_walk_finds_a_circle(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "__init__.py").write_text("from mixwright.lab.b import f\n")
    (tmp_path / "lab" / "a.py").write_text("def f():\n    from mixwright.lab import c\n")
    (tmp_path / "lab" / "b.py").write_text("from mixwright.lab.a import f\n")
    (tmp_path / "lab" / "c.py").write_text("import torch\nimport mixwright.lab.b\n")
    assert _cycles(tmp_path) == [["lab.a", "lab.b", "lab.c"]]


def test_the_core_names_the_lab_in_one_place() -> None:
    assert _core_files_that_name_the_lab(HOME) == []
    assert _EXCEPTED in (HOME / EXCEPTION[0]).read_text()


def test_the_walk_finds_a_core_file_that_names_the_lab(tmp_path: Path) -> None:
    (tmp_path / "mixers").mkdir()
    (tmp_path / "mixers" / "cutmix.py").write_text('"""See mixwright.lab.models."""\n')
    (tmp_path / "mixers" / "mixer_file.py").write_text(
        f"def f():\n    {_EXCEPTED}\n    from mixwright.lab.models import build\n"
    )
    assert _core_files_that_name_the_lab(tmp_path) == [
        'mixers/cutmix.py: """See mixwright.lab.models."""',
        "mixers/mixer_file.py: from mixwright.lab.models import build",
    ]


def test_public_names_are_pinned_and_resolve() -> None:
    methods = {cls.__name__ for cls in (*mixwright.MIXERS.values(), *mixwright.OBJECTIVES.values())}
    pinned = set(PUBLIC.split())
    assert pinned - set(mixwright.__all__) == set(), "these were public"
    assert set(mixwright.__all__) - pinned - methods == set(), "pin these in PUBLIC"
    assert set(mixwright.__all__) <= set(dir(mixwright))
    for name in mixwright.__all__:
        assert getattr(mixwright, name) is not None
    with pytest.raises(AttributeError, match=r"module 'mixwright' has no attribute 'CutMixx'"):
        mixwright.CutMixx  # noqa: B018


def test_every_method_is_public_by_its_papers_spelling() -> None:
    for room, table in (("mixers", mixwright.MIXERS), ("objectives", mixwright.OBJECTIVES)):
        for short, cls in table.items():
            name = cls.__name__
            assert short == name.lower()
            home = mixwright._HOMES.get(name)
            assert home == f"mixwright.{room}", f"{name} has no line in src/mixwright/__init__.pyi"


def test_import_loads_torch_alone_and_only_when_asked() -> None:
    script = (
        "import sys, mixwright\n"
        "assert 'torch' not in sys.modules\n"
        "mixwright.adapters.Mix\n"
        "for name in mixwright.__all__: getattr(mixwright, name)\n"
        "assert not [name for name in sys.modules if name.startswith('mixwright.lab')]\n"
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


def test_every_name_of_a_stub_resolves() -> None:
    stubs = sorted(HOME.rglob("__init__.pyi"))
    assert HOME / "lab" / "evaluation" / "__init__.pyi" in stubs
    for stub in stubs:
        package = ".".join(("mixwright", *stub.parent.relative_to(HOME).parts))
        names = [
            alias.asname
            for node in ast.walk(ast.parse(stub.read_text()))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        ]
        assert names
        assert set(importlib.import_module(package).__all__) == set(names)
        for name in names:
            assert getattr(importlib.import_module(package), str(name)) is not None


def test_public_names_are_found_in_a_zip_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        for file in HOME.rglob("*.py*"):
            if file.suffix in (".py", ".pyi"):
                packed.write(file, Path("mixwright") / file.relative_to(HOME))
    code = (
        "import sys; sys.path.insert(0, 'packed.zip'); import mixwright as mw; "
        "assert 'packed.zip' in mw.__file__, mw.__file__; print(mw.CutMix())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("CutMix(")


def test_a_stub_may_break_its_imports_over_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("from mixwright import _exports\n"
        "HOMES = _exports.homes(__name__)\n")  # fmt: skip
    (package / "__init__.pyi").write_text(
        "from a.b import (\n    C as C,\n    D as D,\n)\nfrom a import E as E, F as F\n"
        "from g import H as H\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    homes = importlib.import_module("of_a_test").HOMES
    assert homes == {"C": "a.b", "D": "a.b", "E": "a", "F": "a", "H": "g"}
