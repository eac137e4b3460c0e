"""CONTRIBUTING.md, followed to the letter in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def insert(file: Path, before: str, text: str) -> None:
    """Put text in front of a line that the file has once."""
    old = file.read_text()
    assert old.count(before) == 1, f"{file}: {before!r}"
    file.write_text(old.replace(before, text + before))


def test_a_mixer_that_is_added_by_the_page_keeps_the_promises(tmp_path: Path) -> None:
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    its_file, export, public, row = blocks

    home = tmp_path / "src" / "mixwright"
    (home / "mixers" / "sidemix.py").write_text(its_file)
    insert(home / "mixers" / "__init__.py", "\n_CLASSES = (\n", export)
    insert(home / "mixers" / "__init__.py", "    MixUp,\n", "    SideMix,\n")
    insert(home / "__init__.pyi", "\n__version__", public)
    cases = tmp_path / "tests" / "cases.py"
    insert(cases, "from mixwright.plan import", "from mixwright.mixers import SideMix\n")
    insert(cases, '    Case(name="mixup", ', f"    {row.strip()},\n")

    tests = ["tests/test_structure.py", "tests/test_passes.py", "tests/mixers/test_promises.py"]
    for words in (
        ["-m", "pytest", "-q", *tests, "-k", "sidemix or test_structure or every_mixer_has_a_row"],
        ["-c", "import mixwright as mw; assert mw.SideMix is mw.MIXERS['sidemix']"],
    ):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(home.parent)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
