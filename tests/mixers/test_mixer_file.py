"""Learned mixers in files, without the laboratory: written, read, and refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mixwright
from mixwright.checkpoint import load_checkpoint, save_checkpoint, tensor_bytes
from mixwright.masknets import MaskGenerator, MaskNet, MixBlock
from mixwright.mixers import MixUp
from mixwright.mixers.learned import LearnedMixer, load_mixer, save_mixer
from mixwright.sampling import stream

NAMED = {"name": "smallconv", "num_classes": 3, "image_size": 8, "channels": 3}


class Mine(MaskNet):
    """A network of the user's own."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, upsample="nearest")
        self.settings = {"channels": channels}
        self.gain = nn.Parameter(torch.randn(()))

    def logits(self, features: Tensor, lam: Tensor) -> Tensor:
        return self.gain * features.mean(dim=2)


def encoder(seed: int = 0, *, norm: bool = True) -> nn.Module:
    torch.manual_seed(seed)
    middle = nn.BatchNorm2d(6) if norm else nn.ReLU()
    layers = [nn.Conv2d(3, 6, 3, padding=1), middle, nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    net = nn.Sequential(*layers, nn.Linear(6, 3))
    if isinstance(middle, nn.BatchNorm2d):
        nn.init.uniform_(middle.running_var, 0.5, 2.0)  # pyright: ignore[reportArgumentType]
    return net


def learned(network: MaskNet | None = None, **changes: Any) -> LearnedMixer:
    network = MaskGenerator(6, encode_lam=True) if network is None else network
    for weight in network.parameters():
        nn.init.normal_(weight)
    given: dict[str, Any] = {"layer": "1", "sources": (2, 3), "per": "sample", "alpha": 0.7}
    return LearnedMixer(encoder(), network, **(given | changes))


def same(one: LearnedMixer, other: LearnedMixer, **more: Any) -> None:
    """Fail unless two mixers give the same plans, bit for bit, and say the same of themselves."""
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    for seed in range(4):
        mine = one.plan(images, generator=stream(seed), **more)
        theirs = other.plan(images, generator=stream(seed), **more)
        assert torch.equal(mine.mask, theirs.mask)
        assert torch.equal(mine.weight, theirs.weight)
        assert torch.equal(mine.index, theirs.index)
        assert float(mine.mask.std()) > 1e-3  # made by the network, not the fallback of one half
    assert repr(one) == repr(other)


@pytest.fixture
def without_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that lacks what the laboratory imports."""
    name = "mixwright.lab.experiments.mixer_of_run"
    for module in [one for one in sys.modules if one.startswith("mixwright.lab")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr(mixwright, "lab", raising=False)
    monkeypatch.setitem(sys.modules, name, None)  # as if importing it failed


def test_an_encoder_of_ones_own_is_filled_with_the_saved_weights(tmp_path: Path) -> None:
    mixer, path = learned(MixBlock(6), sources=2), tmp_path / "one.pt"
    save_mixer(mixer, path)
    with pytest.raises(ValueError, match=r"does not say how .* load_mixer\(path, encoder=net\)"):
        load_mixer(path)
    given = encoder(seed=9)
    before = [one.clone() for one in given.state_dict().values()]
    same(mixer, load_mixer(path, encoder=given))
    after = given.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with pytest.raises(ValueError, match=r"do not fit the encoder: .*Unexpected key"):
        load_mixer(path, encoder=encoder(norm=False))


def test_a_mixer_without_an_encoder(tmp_path: Path) -> None:
    network = MaskGenerator(6)
    for weight in network.parameters():
        nn.init.normal_(weight)
    mixer, path = LearnedMixer(None, network, layer="1"), tmp_path / "one.pt"
    with pytest.raises(ValueError, match="no encoder of its own"):
        save_mixer(mixer, path, encoder=NAMED)
    save_mixer(mixer, path)
    images = torch.rand(4, 3, 8, 8)
    read, net = load_mixer(path), encoder()
    one, other = (each.plan(images, generator=stream(0), model=net) for each in (mixer, read))
    assert torch.equal(one.mask, other.mask)
    assert read.encoder is None
    with pytest.raises(ValueError, match="holds no weights of an encoder"):
        load_mixer(path, encoder=net)


def test_a_network_of_ones_own_comes_back_where_its_class_is_known(tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    mixer = learned(Mine(6))
    save_mixer(mixer, path)
    same(mixer, load_mixer(path, encoder()))
    state = load_checkpoint(path)
    state["network"]["class"] = "os:system"
    save_checkpoint(path, state)
    with pytest.raises(ValueError, match=r"os:system, which is not known here\. Import"):
        load_mixer(path)


def test_only_learned_mixers_with_plain_settings_are_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mixer is MixUp\(.*; expected a LearnedMixer"):
        save_mixer(MixUp(), tmp_path / "one.pt")  # pyright: ignore[reportArgumentType]
    mixer = learned()
    mixer.network.settings["norm"] = nn.BatchNorm2d
    with pytest.raises(ValueError, match=r"MaskGenerator.settings hold no plain values"):
        save_mixer(mixer, tmp_path / "one.pt")


def test_damaged_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    with pytest.raises(ValueError, match=r"load_mixer: there is no .*one.pt"):
        load_mixer(path)
    with pytest.raises(ValueError, match=r"holds no last\.pt, so it is no run folder"):
        load_mixer(tmp_path)
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="without our mark"):
        load_mixer(path)
    save_checkpoint(path, {"kind": "mixer", "layer": "layer2"})
    with pytest.raises(ValueError, match="has no sources, alpha"):
        load_mixer(path)
    save_checkpoint(path, {"weights": {}})
    with pytest.raises(ValueError, match="has no recipe, objective, classes"):
        load_mixer(path)
    mixer = learned()
    save_mixer(mixer, path)
    raw = bytearray(path.read_bytes())
    raw[raw.index(tensor_bytes(next(mixer.network.parameters())))] ^= 0xFF
    path.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="cannot be read"):
        load_mixer(path)


def test_without_the_laboratory_an_encoder_that_has_a_name_is_asked_for(
    tmp_path: Path, without_lab: None
) -> None:
    path = tmp_path / "one.pt"
    mixer = learned()
    with pytest.raises(ValueError, match=r"save_mixer: .*needs the laboratory.*mixwright\[lab\]"):
        save_mixer(mixer, path, encoder=NAMED)
    save_mixer(mixer, path)
    state = load_checkpoint(path)
    save_checkpoint(path, {**state, "about": {"encoder": NAMED}})
    with pytest.raises(ValueError) as caught:
        load_mixer(path)
    for words in ("one.pt: rebuilding its encoder, smallconv,", "pip install 'mixwright[lab]'"):
        assert words in str(caught.value)
    assert "load_mixer(path, encoder=net)" in str(caught.value)
    same(mixer, load_mixer(path, encoder()))


def test_without_the_laboratory_no_run_is_read(tmp_path: Path, without_lab: None) -> None:
    run = ("recipe", "weights", "objective", "classes", "mean", "std", "shape")
    save_checkpoint(tmp_path / "last.pt", dict.fromkeys(run))
    with pytest.raises(ValueError, match=r"last.pt is a run, which needs the laboratory"):
        load_mixer(tmp_path, encoder())


def test_without_the_hubs_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as if importing it failed
    words = r"needs huggingface_hub 0\.30 or newer.*'mixwright\[hub\]'"
    with pytest.raises(ImportError, match=words):
        learned().save_pretrained(tmp_path / "one")
    with pytest.raises(ImportError, match=words):
        LearnedMixer.from_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []
