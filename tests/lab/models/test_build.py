"""From a name to a network: our own, timm's, and nobody's."""

from __future__ import annotations

import importlib.machinery
import subprocess
import sys
import types
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import nn

from mixwright.lab.models import MODELS, ModelError, build_model, zoo
from mixwright.lab.models.build import _MAKERS, published
from mixwright.lab.models.published import Published


def build(name: str, **options: Any) -> nn.Module:
    return build_model(name, **{"num_classes": 10, "image_size": 32, **options})


def test_every_listed_name_has_a_maker_and_the_other_way_round() -> None:
    assert list(_MAKERS) == list(MODELS)
    assert all("\n" not in line and line for line in MODELS.values())


def test_the_names_are_read_without_torch() -> None:
    code = (
        "import sys; from mixwright.lab.models import MODELS, ModelError; "
        "from mixwright.lab.analysis.statistics import t_interval; "
        "sys.exit('torch' in sys.modules or 'resnet20' not in MODELS)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_of_the_room() -> None:
    import mixwright.lab.models as room

    assert all(hasattr(room, name) for name in room.__all__)
    with pytest.raises(AttributeError, match="no attribute 'resnet'"):
        room.__getattr__("resnet")


def test_weights_follow_the_seed() -> None:
    def start(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return build("smallconv").layer4.conv.weight.detach()

    assert torch.equal(start(3), start(3))
    assert not torch.equal(start(3), start(4))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18_cifar", {"num_classes": 0}, "num_classes is 0; expected at least 1"),
        ("resnet18_cifar", {"channels": 0}, "channels is 0"),
        ("resnet18_cifar", {"image_size": 7}, "image_size is 7; expected at least 8"),
        ("resnet18_cifar", {"pretrained": True}, "one of ours and has no pretrained"),
    ],
)
def test_arguments_out_of_range(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(name, **options)


@pytest.fixture
def no_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_timm")
@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet18_cifr", "did you mean resnet18_cifar"),
        ("SMALLCONV", "did you mean smallconv, smallvit?"),
        ("preact_resnet18", "did you mean preactresnet18?"),
        ("resnet18", "did you mean resnet18_cifar?"),
        ("ResNet-50", "did you mean resnet50_cifar?"),
        ("resnext50_32x4d", "did you mean resnext50_cifar?"),
        ("wideresnet28-10", "did you mean wrn28_10?"),
        ("WRN-28x2", "did you mean wrn28_2?"),
        ("wide_resnet40_2", "did you mean wrn28_2, wrn28_8, wrn28_10?"),
        ("vit_small", "did you mean smallvit?"),
        ("resnet18", "timm's networks (timm:resnet18): pip install"),
        ("qqqq", "unknown model 'qqqq'. Our own are smallconv, "),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones_and_the_way_to_timm(name: str, near: str) -> None:
    with pytest.raises(ModelError) as caught:
        build(name)
    assert near in str(caught.value)
    assert "pip install 'mixwright[zoo]'" in str(caught.value)


@dataclass
class FakeTimm:
    """What we need of timm, with the calls written down."""

    calls: list[dict[str, Any]]
    error: Exception | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def create_model(name: str, *, pretrained: bool, **arguments: Any) -> nn.Module:
            self.calls.append({"name": name, "pretrained": pretrained, **arguments})
            if self.error:
                raise self.error
            return nn.Linear(2, 3)

        def get_pretrained_cfg(name: str) -> object:
            return (
                types.SimpleNamespace(
                    fixed_input_size=name.startswith("vit"),
                    num_classes=7,
                    mean=(0.5,) * 3,
                    std=(0.25,) * 3,
                )
                if name != "bare"
                else None
            )

        module: Any = types.ModuleType("timm")
        module.__spec__ = importlib.machinery.ModuleSpec("timm", None)
        module.__version__ = "1.0.fake"
        module.create_model = create_model
        module.is_model = lambda name: name.split(".")[0] in (
            "convnext_tiny", "efficientnet_lite0", "vit_tiny", "bare",
        )  # fmt: skip
        module.list_models = lambda pretrained=False: ["convnext_tiny", "vit_tiny", "bare"]
        module.models = types.SimpleNamespace(get_pretrained_cfg=get_pretrained_cfg)
        monkeypatch.setitem(sys.modules, "timm", module)


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> FakeTimm:
    fake = FakeTimm(calls=[])
    fake.install(monkeypatch)
    return fake


def test_other_names_go_to_timm_with_its_own_words(timm: FakeTimm) -> None:
    assert isinstance(build("convnext_tiny", channels=1), nn.Linear)
    build("vit_tiny.tag", image_size=64, pretrained=True)
    build("bare")
    common = {"num_classes": 10, "in_chans": 3, "pretrained": False}
    assert timm.calls == [
        common | {"name": "convnext_tiny", "in_chans": 1},
        common | {"name": "vit_tiny.tag", "pretrained": True, "img_size": 64},
        common | {"name": "bare"},
    ]


def test_our_own_names_never_reach_timm(timm: FakeTimm) -> None:
    assert isinstance(build("resnet20").fc, nn.Linear)
    assert isinstance(build("efficientnet_lite0").fc, nn.Linear)
    assert timm.calls == []


def test_a_prefix_asks_timm_for_any_name(timm: FakeTimm) -> None:
    assert isinstance(build("timm:convnext_tiny"), nn.Linear)
    assert isinstance(build("timm:efficientnet_lite0", pretrained=True), nn.Linear)
    assert [(call["name"], call["pretrained"]) for call in timm.calls] == [
        ("convnext_tiny", False),
        ("efficientnet_lite0", True),
    ]
    assert published("timm:efficientnet_lite0") == Published(7, (0.5,) * 3, (0.25,) * 3)
    assert published("efficientnet_lite0").classes == 1000
    with pytest.raises(ModelError, match=r"unknown model 'resnet20'; did you mean resnet20"):
        build("timm:resnet20")  # ours, and not among those of this timm
    with pytest.raises(ModelError, match="it is one of ours and has no pretrained weights"):
        published("resnet20")


@pytest.mark.usefixtures("no_timm")
def test_a_prefix_without_timm_says_what_to_install() -> None:
    with pytest.raises(ModelError, match=r"unknown model 'timm:resnet18'.*mixwright\[zoo\]"):
        build("timm:resnet18")


def test_a_name_that_timm_does_not_know_either(timm: FakeTimm) -> None:
    with pytest.raises(
        ModelError, match=r"did you mean convnext_tiny\?.*timm 1\.0\.fake was asked"
    ):
        build("convnext_tiyn")
    assert timm.calls == []


@pytest.mark.parametrize(
    ("offline", "message"),
    [
        ("1", "HF_HUB_OFFLINE is set and they are not in the local cache"),
        ("0", "they could not be downloaded"),
    ],
)
def test_weights_that_cannot_be_had(
    timm: FakeTimm, monkeypatch: pytest.MonkeyPatch, offline: str, message: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    timm.error = FileNotFoundError("no such snapshot")
    with pytest.raises(ModelError, match=f"convnext_tiny: no pretrained weights: {message}"):
        build("convnext_tiny", pretrained=True)


def test_what_timm_refuses_is_said_in_one_sentence(timm: FakeTimm) -> None:
    timm.error = AssertionError("window 7 does not divide 32")
    with pytest.raises(ModelError, match=r"could not build it with .*10.*: window 7 does not"):
        build("convnext_tiny")


def test_a_timm_that_does_not_import(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms is missing')")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"does not import \(operator torchvision::nms is missing"):
        build("convnext_tiny")


@pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")
def test_the_real_timm() -> None:
    for name in ("resnet18", "vit_tiny_patch16_224"):
        model = build(name, image_size=32, num_classes=4, channels=1).eval()
        assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 4)
    with pytest.raises(ModelError, match="did you mean"):
        build("vit_tiny_patch16_225")
