"""Adapters where the library that they are for is not installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import pytest

import mixwright as mw


@pytest.mark.skipif(find_spec("lightning") is not None, reason="Lightning is installed")
def test_the_callback_names_the_version_and_the_extra():
    wanted = r"needs lightning 2\.5 or newer, but not 2\.6\.2 or 2\.6\.3; it is not .*\[lightning\]"
    with pytest.raises(ImportError, match=wanted):
        import_module("mixwright.adapters.lightning")


@pytest.mark.skipif(find_spec("transformers") is not None, reason="Transformers is installed")
def test_collator_and_mixin_name_the_version_and_the_extra():
    adapter = import_module("mixwright.adapters.transformers")
    for make in (adapter.MixCollator, lambda mix: adapter.MixTrainerMixin(mix=mix)):
        with pytest.raises(ImportError, match=r"needs transformers 4\.50 or newer; .*\[transfor"):
            make(mw.Mix(mw.CutMix(), num_classes=3))
