"""The commit in a record is that of mixwright, or none."""

import shutil
import subprocess

import pytest
import torch

from mixwright.lab.training.machine import commit_of, machine


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    package = tmp_path / "src" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("one\n")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "src"), (*who, "commit", "-q", "-m", "one")):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    return package


def test_commit_of_a_checkout(checkout):
    clean = commit_of(checkout)
    assert clean is not None
    assert len(clean) == 40
    (checkout / "__init__.py").write_text("two\n")
    assert commit_of(checkout) == clean + "+"


def test_a_package_below_a_foreign_checkout_has_no_commit(checkout):
    installed = checkout.parent / "venv" / "mixwright"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert commit_of(installed) is None


def test_a_folder_without_git_has_no_commit(tmp_path, monkeypatch):
    assert commit_of(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert commit_of(tmp_path) is None


def test_the_machine_is_described():
    here = machine(torch.device("cpu"))
    assert here["device"] == "cpu"
    assert here["cores"] >= 1
    assert here["cpu"]
