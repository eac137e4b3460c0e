"""Weights from elsewhere as a start: state dicts and .safetensors, whatever wraps their names."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.training.tiny import tiny_data
from mixwright.checkpoint import CheckpointError, load_checkpoint
from mixwright.lab.data import Dataset
from mixwright.lab.experiments import plain_weights
from mixwright.lab.experiments.finetune import resolve_init
from mixwright.lab.experiments.plain_weights import fit_weights
from mixwright.lab.experiments.run import new_model
from mixwright.lab.models import build_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.training.recipe import Recipe

State = dict[str, Tensor]
MODEL = "smallconv"


def data_of(classes: int) -> Dataset:
    return replace(tiny_data(), classes=tuple(f"class {number}" for number in range(classes)))


def other_net(classes: int = 3) -> nn.Module:
    """A network of the same kind whose weights are those of no seed that a run has."""
    torch.manual_seed(99)
    net = build_model(MODEL, num_classes=classes, image_size=32)
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + len(name))
    return net


def prefixed(state: State, before: str) -> State:
    return {f"{before}{name}": value for name, value in state.items()}


def started(path: Path, *, classes: int = 3, said: list[str] | None = None, **more: Any) -> State:
    """The network of a run that starts from a file."""
    settings = {"model": MODEL, "init": str(path), **more}
    recipe = Recipe.from_fields(resolve_init(settings, method="none", seed=0))
    assert recipe.init_digest is not None
    say = None if said is None else said.append
    return new_model(recipe, data_of(classes), say=say).state_dict()


def saved(path: Path, what: object) -> Path:
    torch.save(what, path)
    return path


def test_all_tensors_of_a_plain_state_dict_are_taken(tmp_path: Path) -> None:
    net, said = other_net(), list[str]()
    state = started(saved(tmp_path / "w.pt", net.state_dict()), said=said)
    for name, value in net.state_dict().items():
        assert torch.equal(state[f"model.{name}"], value), name
    assert state["mean"].flatten().tolist() == pytest.approx(tiny_data().mean)
    # Four layers with a weight and a norm of five tensors each, and the last with two.
    assert said == [
        f"init {tmp_path / 'w.pt'}: 26 of 26 tensors taken, and its classes by their number, since "
        "it has no names of them."
    ]


@pytest.mark.parametrize(
    "before", ["module.", "model.", "_orig_mod.", "backbone.", "module.model.", "model.backbone."]
)
def test_names_may_have_wrappers_before_them(tmp_path: Path, before: str) -> None:
    net = other_net()
    state = started(saved(tmp_path / "w.pt", prefixed(net.state_dict(), before)))
    assert all(torch.equal(state[f"model.{k}"], v) for k, v in net.state_dict().items())


@pytest.mark.parametrize("before", ["", "module.", "_orig_mod."])
def test_our_own_wrapper_brings_its_statistics(tmp_path: Path, before: str) -> None:
    own, said = Normalised(other_net(), [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]), list[str]()
    state = started(saved(tmp_path / "w.pt", prefixed(own.state_dict(), before)), said=said)
    assert all(torch.equal(state[name], value) for name, value in own.state_dict().items())
    assert said[0].endswith("; with its statistics.")


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "state_dict_ema"])
def test_training_scripts_keep_weights_under_a_key(tmp_path: Path, key: str) -> None:
    net = other_net()
    what = {"epoch": 3, key: net.state_dict(), "optimizer": {"state": {}, "param_groups": []}}
    state = started(saved(tmp_path / "w.pt", what))
    assert torch.equal(state["model.fc.weight"], net.fc.weight)


def test_of_two_sets_the_recipe_says_which(tmp_path: Path) -> None:
    net = other_net()
    average = {name: value + 1 for name, value in net.state_dict().items()}
    path = saved(tmp_path / "w.pt", {"state_dict": net.state_dict(), "state_dict_ema": average})
    assert torch.equal(started(path)["model.fc.weight"], net.fc.weight)
    assert torch.equal(started(path, init_weights="ema")["model.fc.weight"], net.fc.weight + 1)


def test_the_last_layer_is_new_where_the_number_of_classes_differs(tmp_path: Path) -> None:
    net, said = other_net(7), list[str]()
    fresh = new_model(Recipe(model=MODEL), data_of(3)).state_dict()
    state = started(saved(tmp_path / "w.pt", prefixed(net.state_dict(), "module.")), said=said)
    assert torch.equal(state["model.fc.weight"], fresh["model.fc.weight"])
    assert torch.equal(state["model.fc.bias"], fresh["model.fc.bias"])
    assert torch.equal(state["model.layer4.conv.weight"], net.layer4.conv.weight)
    told = "24 of 26 tensors taken; fc.weight, fc.bias made anew for 3 classes (the file has 7)."
    assert said == [f"init {tmp_path / 'w.pt'}: {told}"]


def test_a_file_without_a_last_layer_and_with_another_head(tmp_path: Path) -> None:
    weights = {k: v for k, v in other_net().state_dict().items() if not k.startswith("fc.")}
    weights["projector.0.weight"] = torch.zeros(2)
    said: list[str] = []
    started(saved(tmp_path / "w.pt", weights), said=said)
    assert said[0].endswith(
        "24 of 26 tensors taken; fc.weight, fc.bias made anew for 3 classes (the file lacks them); "
        "not used of the file: projector.0.weight."
    )


def test_counters_of_batches_may_lack(tmp_path: Path) -> None:
    state = other_net().state_dict()
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    said: list[str] = []
    started(saved(tmp_path / "w.pt", old), said=said)
    assert "22 of 26 tensors taken" in said[0]


def changed(change: str) -> object:
    state: dict[str, Any] = dict(other_net().state_dict())
    if change == "missing":
        del state["layer1.conv.weight"], state["layer1.bn.weight"]
    elif change == "shape":
        state["layer1.conv.weight"] = torch.zeros(16, 1, 3, 3)
    elif change == "half a head":
        del state["fc.weight"]
    elif change == "two":
        state |= {"module.layer1.conv.weight": torch.zeros(1)}
        state["model.layer1.conv.weight"] = state.pop("layer1.conv.weight")
    elif change == "deeper":
        state["layer4.conv2.weight"] = torch.zeros(1)
    elif change == "diverged":
        state["fc.weight"] = torch.full_like(state["fc.weight"], float("nan"))
    elif change == "quantised":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls it deprecated
            state["fc.weight"] = torch.quantize_per_tensor(
                state["fc.weight"], scale=0.1, zero_point=0, dtype=torch.qint8
            )
    elif change == "bytes":
        state["fc.weight"] = state["fc.weight"].to(torch.int8)
    elif change == "sparse":
        state["fc.weight"] = state["fc.weight"].to_sparse()
    elif change == "meta":
        state["fc.weight"] = state["fc.weight"].to("meta")
    elif change == "foreign":
        state = {"stem.weight": torch.zeros(1), "head.bias": torch.zeros(1)}
    elif change == "nothing":
        state = {"epoch": 3, "args": {"lr": 0.1}}
    elif change == "list":
        return [1, 2]
    return state


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("missing", r"of the 26 tensors of smallconv 2 are missing \(layer1\.conv\.weight, lay"),
        ("shape", r"1 have another shape \(layer1\.conv\.weight \(16, 1, 3, 3\) for \(16, 3, 3,"),
        ("half a head", r"1 are missing \(fc\.weight\)"),
        ("two", r"module\.layer1\.conv\.weight, model\.layer1\.conv\.weight are all layer1\.conv"),
        ("deeper", r"it has 1 tensors \(layer4\.conv2\.weight\) beside the 26 of smallconv; exp"),
        ("foreign", r"none of its 2 tensors \(stem\.weight, head\.bias\) has the name of one of"),
        ("diverged", r"1 of its tensors hold NaN \(fc\.weight\); expected the weights of a train"),
        ("quantised", r"its tensor fc\.weight is quantised; expected plain numbers"),
        ("bytes", r"1 of its tensors are torch\.int8 \(fc\.weight\); expected weights in floating"),
        ("sparse", r"its tensor fc\.weight is torch\.sparse_coo; expected plain numbers"),
        ("meta", r"its tensor fc\.weight is without values; expected plain numbers"),
        ("nothing", r"is a dict with epoch, args, which holds no weights; expected a state dict"),
        ("list", r"is a list, which holds no weights"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, change: str, says: str
) -> None:
    path = saved(tmp_path / "w.pt", changed(change))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch about quantised and sparse tensors
        with pytest.raises(CheckpointError, match=says) as caught:
            started(path)
    assert "\n" not in str(caught.value)


def test_weights_of_a_deeper_network_of_the_family_are_refused(tmp_path: Path) -> None:
    deep = build_model("resnet20", num_classes=3, image_size=32)
    with pytest.raises(
        CheckpointError, match=r"beside the \d+ of resnet8; expected weights of the"
    ):
        started(saved(tmp_path / "w.pt", deep.state_dict()), model="resnet8")


def test_files_that_would_run_code_or_are_damaged_are_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    path = saved(tmp_path / "w.pt", {"state_dict": other_net().state_dict(), "args": Evil()})
    with pytest.raises(CheckpointError, match="it holds more than tensors and plain values, whose"):
        started(path)
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(CheckpointError, match=r"it is no file of torch\.save, or holds more than"):
        started(path)
    assert not (tmp_path / "ran").exists()
    whole = saved(tmp_path / "w.pt", other_net().state_dict()).read_bytes()
    at = whole.index(other_net().fc.weight.detach().numpy().tobytes())
    path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
    with pytest.raises(CheckpointError, match=r"cannot be read \(BadZipFile: wrong checksum"):
        started(path)


def test_another_file_at_the_same_place_is_another_start(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pt", other_net().state_dict())
    recipe = Recipe.from_fields(
        resolve_init({"model": MODEL, "init": str(path)}, method="none", seed=0)
    )
    saved(path, {name: value + 1 for name, value in other_net().state_dict().items()})
    with pytest.raises(CheckpointError, match="another training has replaced those this run began"):
        new_model(recipe, data_of(3))
    with pytest.raises(CheckpointError, match="it is no run of ours, so it has no teacher"):
        started(path, init_weights="teacher")
    with pytest.raises(CheckpointError, match="has no averaged weights"):
        started(path, init_weights="ema")


def test_names_with_wrappers_of_the_network_itself() -> None:
    """A network that calls a part of its own like a wrapper finds its own names first."""
    wanted = {"backbone.weight": torch.zeros(2), "weight": torch.zeros(2)}
    given = {"backbone.weight": torch.ones(2), "weight": torch.full((2,), 2.0)}
    fit = fit_weights(Path("w.pt"), given, wanted, None, what="mine")
    assert {name: value[0].item() for name, value in fit.taken.items()} == {
        "backbone.weight": 1,
        "weight": 2,
    }
    del given["backbone.weight"]
    with pytest.raises(CheckpointError, match=r"1 are missing \(backbone\.weight\)"):
        fit_weights(Path("w.pt"), given, wanted, None, what="mine")
    wrapped = {"backbone.conv.weight": torch.zeros(2)}
    fit = fit_weights(Path("w.pt"), {"conv.weight": torch.ones(2)}, wrapped, None, what="mine")
    assert list(fit.taken) == ["backbone.conv.weight"]


@pytest.mark.skipif(find_spec("safetensors") is None, reason="safetensors is not installed")
def test_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    net = other_net()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    state = started(tmp_path / "w.safetensors")
    assert all(torch.equal(state[f"model.{k}"], v) for k, v in net.state_dict().items())
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"w.safetensors cannot be read \(SafetensorError"):
        started(tmp_path / "w.safetensors")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_weights, "find_spec", lambda name: None)
    (tmp_path / "w.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"needs the package safetensors.*'mixwright\[lab\]'"):
        started(tmp_path / "w.safetensors")


def test_a_command_says_what_was_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mixwright.lab.cli import main

    path = saved(tmp_path / "w.pt", prefixed(other_net(7).state_dict(), "module."))
    words = ["train", "none", "--model", MODEL, "--train-size", "20", "--epochs", "1"]
    words += ["--batch-size", "10", "--out", str(tmp_path / "run")]
    assert main([*words, "--init", str(path)]) == 0
    said = f"init {path}: 24 of 26 tensors taken; fc.weight, fc.bias made anew for 10 classes"
    assert capsys.readouterr().err.count(said) == 1
    assert (
        len(Recipe.from_json((tmp_path / "run" / "recipe.json").read_text()).init_digest or "") == 8
    )
    load_checkpoint(tmp_path / "run" / "last.pt")
    assert main([*words, "--init", str(tmp_path / "no.pt")]) == 2
    assert "no.pt does not exist; expected a run folder" in capsys.readouterr().err
