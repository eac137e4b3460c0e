"""Networks of the user's by ``package.module:function``: how it is called, what it gives."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from torch import nn

from mixwright.lab.models import ModelError, build_model
from mixwright.lab.models.own import check_trusted

NETS = """
import warnings

import torch
from torch import nn

CALLS = []
LARGE = 40


def made(inputs, outputs):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, outputs))


def plain(num_classes):
    CALLS.append({})
    return made(3, num_classes).eval()


def sized(num_classes=5, image_size=99, *, channels=1, width=4):
    CALLS.append({"image_size": image_size, "channels": channels, "width": width})
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, num_classes))


def swallowing(**anything):
    CALLS.append(anything)
    return made(anything["channels"], anything["num_classes"])


def handing_on(pretrained=False, **rest):
    return plain(**rest)


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(3, num_classes)

    def forward(self, images):
        return {"logits": self.fc(images.mean((2, 3)))}


def picky(num_classes):
    return nn.Sequential(nn.Conv2d(3, 4, 33), nn.Flatten(), nn.LazyLinear(num_classes))


def lazy(num_classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))


def needy(num_classes, depth):
    return plain(num_classes)


def nothing():
    return plain(5)


def positional(num_classes, /):
    return plain(num_classes)


def failing(num_classes):
    raise RuntimeError(f"no luck with {num_classes}\\nand more")


def wanting(num_classes, **rest):
    return plain(num_classes, depth=3, **rest)


def word(num_classes):
    return "net"


def wide(num_classes):
    return made(3, num_classes + 1)


def maps(num_classes):
    return nn.Conv2d(3, num_classes, 1)


def pair(num_classes):
    class Pair(Net):
        def forward(self, images):
            return super().forward(images)["logits"], images
    return Pair(num_classes)


def one_logit(num_classes):
    return nn.Sequential(made(3, 1), nn.Flatten(0))


def frozen(num_classes):
    return plain(num_classes).requires_grad_(False)


def cut_off(num_classes):
    class CutOff(Net):
        def forward(self, images):
            return super().forward(images)["logits"].detach()
    return CutOff(num_classes)


def idle(num_classes):
    net = plain(num_classes).requires_grad_(False)
    net.aside = nn.Identity()
    net.aside.scale = nn.Parameter(torch.ones(()))
    return net


def scripted(num_classes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it deprecated
        return nn.Sequential(torch.jit.script(nn.Flatten()), nn.LazyLinear(num_classes))


def imagined(num_classes):
    with torch.device("meta"):
        return plain(num_classes)


def leaving(num_classes):
    raise SystemExit("not like this")


READY = made(3, 5)


def same(num_classes):
    return READY
"""


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A module ``mynets`` in the folder that we are in, which is not on the path."""
    (tmp_path / "mynets.py").write_text(NETS)
    (tmp_path / "broken.py").write_text("import no_such_package_anywhere\n")
    (tmp_path / "ending.py").write_text("raise SystemExit('not like this')\n")
    (tmp_path / "wordy.py").write_text("raise ImportError('no such luck\\nand why')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("mynets", "broken", "ending", "wordy"):
        sys.modules.pop(name, None)


def build(name: str, *, size: int = 8, channels: int = 3) -> nn.Module:
    return build_model(name, num_classes=5, image_size=size, channels=channels)


def calls() -> list[dict[str, int]]:
    return sys.modules["mynets"].CALLS


def test_a_function_is_called_with_what_it_takes() -> None:
    model = build("mynets:plain")
    assert model.training
    assert all(part.training for part in model.modules())
    assert model(torch.rand(3, 3, 8, 8)).shape == (3, 5)
    build("mynets:sized", size=6, channels=2)
    build("mynets:swallowing", channels=4)
    assert calls() == [
        {},
        {"image_size": 6, "channels": 2, "width": 4},
        {"num_classes": 5, "image_size": 8, "channels": 4},
    ]


def test_what_is_handed_on_by_kwargs_may_not_take_all() -> None:
    # As torchvision's functions do, whose networks take num_classes alone.
    assert build("mynets:handing_on")[2].out_features == 5


def test_a_class_is_a_function_too_and_logits_may_have_their_name() -> None:
    assert type(build("mynets:Net")).__name__ == "Net"


def test_layers_that_wait_for_their_shape_have_it_afterwards() -> None:
    model = build("mynets:lazy")
    assert model[1].weight.shape == (5, 3 * 8 * 8)
    assert model[1].weight.requires_grad


def test_weights_follow_the_seed_whoever_imports_the_module() -> None:
    def start(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return build("mynets:plain")[2].weight.detach()

    assert torch.equal(start(3), start(3))
    assert not torch.equal(start(3), start(4))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere:net", "model nowhere:net: there is no module nowhere here or among the"),
        ("mynets.sub:net", "there is no module mynets.sub here"),
        ("broken:net", r"module broken cannot be imported \(ModuleNotFoundError: No module named"),
        ("ending:net", r"module ending cannot be imported \(SystemExit: not like this\)"),
        ("mynets:plian", "module mynets has no plian. Did you mean .plain.?"),
        ("mynets:LARGE", "mynets:LARGE is 40; expected a function that returns a network"),
        ("mynets:READY", "is a Sequential, a network; expected a function that makes one"),
        ("mynets:needy", r"takes \(num_classes, depth\), .*missing a required argument: 'depth'"),
        ("mynets:nothing", r"takes \(\), .*it has no argument num_classes"),
        ("mynets:positional", r"takes \(num_classes, /\), .*it has no argument num_classes"),
        ("mynets:failing", r"failed \(RuntimeError: no luck with 5\)\. Fix it; python -c 'from"),
        ("mynets:wanting", r"failed \(TypeError: .*unexpected keyword argument 'depth'"),
        ("mynets:word", "gave a str; expected a torch.nn.Module"),
        ("mynets:wide", "gives 6 logits an image, but there are 5 classes"),
        ("mynets:maps", r"for 2 images the model returned \(2, 5, 8, 8\); expected logits of"),
        ("mynets:pair", "for 2 images the model returned a tuple; expected logits"),
        ("mynets:one_logit", r"for 2 images the model returned \(2,\); expected logits"),
        ("mynets:picky", r"no output for images of shape \(2, 3, 8, 8\) \(RuntimeError: "),
        ("mynets:frozen", "no parameter of its Sequential can learn"),
        ("mynets:cut_off", "its logits do not depend on any weight that can learn"),
        ("mynets:idle", "its logits do not depend on any weight that can learn"),
        ("mynets:scripted", "holds a module of TorchScript, which cannot be copied"),
        ("mynets:imagined", "weights of its Sequential are on the device meta, so they have no"),
        ("mynets:leaving", r"failed \(SystemExit: not like this\)\. Fix it; python -c 'from"),
        ("wordy:net", r"wordy cannot be imported \(ImportError: no such luck\)\. Fix it; pyth"),
        ("my-nets:plain", r"unknown model 'my-nets:plain'.*is written package\.module:function"),
        ("mynets:", r"unknown model 'mynets:'.*is written package\.module:function"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_in_one_sentence(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        build(name)
    assert "\n" not in str(caught.value)


def test_a_module_that_two_runs_would_share_is_refused() -> None:
    build("mynets:same")
    with pytest.raises(ModelError, match="returned the same module again; expected a new one"):
        build("mynets:same")


def test_stochastic_depth_of_a_network_without_our_blocks_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"mynets:plain: drop_path is 0\.1, but it has no residual"
    ):
        build_model("mynets:plain", num_classes=5, image_size=8, drop_path=0.1)


def test_there_are_no_published_weights_of_a_function() -> None:
    with pytest.raises(ModelError, match="a function of yours, which has no published weights"):
        build_model("mynets:plain", num_classes=5, image_size=8, pretrained=True)


def test_a_file_may_name_what_is_imported_or_trusted(nets: Path) -> None:
    before = list(sys.path)
    check_trusted("resnet20", nets / "last.pt", trust=False)
    check_trusted("timm:resnet18", nets / "last.pt", trust=False)
    with pytest.raises(ModelError, match=r"last.pt names the module mynets, which is not imported"):
        check_trusted("mynets:plain", nets / "last.pt", trust=False)
    assert "mynets" not in sys.modules
    assert sys.path == before
    check_trusted("mynets:plain", nets / "last.pt", trust=True)
    assert "mynets" in sys.modules
    check_trusted("mynets:plain", nets / "last.pt", trust=False)
