"""The transforms for torchvision, where it is missing or too old; the rest is in integration."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mixwright as mw
from mixwright.mixers import CARDS

MODEL_FREE = [name for name, card in CARDS.items() if card.needs != "model"]


@pytest.mark.parametrize("name", MODEL_FREE)
def test_every_mixer_that_needs_no_model_is_a_transform_with_its_options(name: str) -> None:
    kind = mw.MIXERS[name]
    transform = getattr(mw.adapters.torchvision, kind.__name__)
    assert issubclass(transform, mw.adapters.torchvision.MixTransform)
    taken = inspect.signature(transform).parameters
    assert list(taken)[:2] == ["num_classes", "labels_getter"]
    assert dict(list(taken.items())[2:]) == dict(inspect.signature(kind).parameters)
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in taken.values())


def test_the_module_is_there_without_its_library() -> None:
    script = (
        "import sys, mixwright as mw\n"
        "kind = mw.adapters.torchvision.CutMix\n"
        "from mixwright.adapters.torchvision import CutMix\n"
        "assert kind is CutMix is not mw.CutMix\n"
        "print('torchvision' in sys.modules, 'PIL' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False False", done.stderr


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="it is there")
def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(
        ImportError, match=r"torchvision 0\.21 or newer; it is not installed: pip ins"
    ):
        mw.adapters.torchvision.CutMix(num_classes=10)


def test_an_old_library_is_named_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "torchvision-0.15.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.15.2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match=r"0\.21 or newer; 0\.15\.2 is installed: pip install"):
        mw.adapters.torchvision.MixUp(num_classes=10)
