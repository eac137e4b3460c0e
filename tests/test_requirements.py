"""``require``: real packages on the path, with and without what they need."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mixwright.requirements import require


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package ``zebra`` that says ``ran`` to the list when it is imported."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def installed(version: str, *, code: str = "", told: str | None = None) -> Path:
        home = tmp_path / "zebra"
        home.mkdir()
        (home / "__init__.py").write_text(f"{code}\n__version__ = {told or version!r}\n")
        info = tmp_path / f"zebra-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: zebra\nVersion: {version}\n")
        return home

    yield installed
    sys.modules.pop("zebra", None)


@pytest.mark.parametrize("version", ["1.9", "1.9.0", "1.10", "2.0.0a0+git1", "10.0", "1.9rc1"])
def test_a_library_that_is_new_enough_is_imported(install, version: str) -> None:
    install(version)
    assert require("zebra", "1.9", "zoo").__version__ == version


@pytest.mark.parametrize("version", ["1.8.9", "0.99", "1", "1.8.9+cu128"])
def test_an_old_one_is_named_with_the_needed_one_and_the_extra(install, version: str) -> None:
    install(version, code="raise SystemExit")  # refused before it is run
    with pytest.raises(ImportError) as raised:
        require("zebra", "1.9", "stripes")
    assert str(raised.value) == (
        f"mixwright needs zebra 1.9 or newer; {version} is installed: "
        "pip install --upgrade 'mixwright[stripes]'"
    )
    assert raised.value.name == "zebra"


def test_a_missing_one_is_named_with_the_extra() -> None:
    with pytest.raises(ImportError) as raised:
        require("zebra", "1.9", "stripes")
    assert str(raised.value) == (
        "mixwright needs zebra 1.9 or newer; it is not installed: "
        "pip install --upgrade 'mixwright[stripes]'"
    )


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3", "2.6.3.0", "2.6.3+local"])
def test_an_excluded_release_is_refused_and_never_run(install, version: str) -> None:
    install(version, code="raise SystemExit")
    with pytest.raises(ImportError, match=f"but not 2.6.2 or 2.6.3; {version[:5]}.*is installed"):
        require("zebra", "2.5", "stripes", excluded=("2.6.2", "2.6.3"))


def test_the_version_that_counts_is_the_one_that_is_imported(install, tmp_path: Path) -> None:
    install("2.0", told="1.0")  # another of that name lies before it on the path
    with pytest.raises(ImportError, match=r"1\.9 or newer; 1\.0 is installed"):
        require("zebra", "1.9", "stripes")


def test_one_built_in_place_tells_its_version_itself(install, tmp_path: Path) -> None:
    install("1.0")
    for file in (tmp_path / "zebra-1.0.dist-info").iterdir():
        file.unlink()
    (tmp_path / "zebra-1.0.dist-info").rmdir()
    with pytest.raises(ImportError, match=r"1\.9 or newer; 1\.0 is installed"):
        require("zebra", "1.9", "stripes")


def test_one_that_does_not_import_says_why(install) -> None:
    install("2.0", code="raise RuntimeError('operator zebra::nms does not exist')")
    with pytest.raises(ImportError, match=r"2\.0 is installed and does not import \(RuntimeError:"):
        require("zebra", "1.9", "stripes")


def test_what_a_library_itself_misses_is_not_taken_for_it(install) -> None:
    install("2.0", code="import no_such_module_at_all")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        require("zebra", "1.9", "stripes")
