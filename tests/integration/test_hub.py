"""Learned mixers in folders as the Hugging Face hub has them, by its own library, offline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import HfApi, ModelCard, ModelHubMixin
from torch import nn

import mixwright as mw
from mixwright.checkpoint import load_checkpoint, save_checkpoint
from mixwright.lab.models.build import build_model
from mixwright.lab.training.recipe import Recipe
from mixwright.masknets import MaskGenerator
from mixwright.sampling import stream

HOW = {"name": "smallconv", "num_classes": 3, "image_size": 8, "channels": 3}
RECIPE = Recipe(method="adautomix:sources=2;3", model="smallconv", seed=5, data="folder:a|b`c")


def learned(**changes: Any) -> mw.LearnedMixer:
    """A mixer as a run leaves it: its encoder has a name, and its recipe is known."""
    torch.manual_seed(0)
    network = MaskGenerator(32)
    for weight in network.parameters():
        nn.init.normal_(weight)
    about = {"encoder": HOW, "recipe": RECIPE.to_json()}
    encoder = build_model("smallconv", num_classes=3, image_size=8)
    given: dict[str, Any] = {"encoder": encoder, "layer": "layer2", "sources": (2, 3)}
    given |= {"alpha": 0.75, "about": about}
    return mw.LearnedMixer(**{"network": network, **given, **changes})


def same(one: mw.LearnedMixer, other: mw.LearnedMixer) -> None:
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    for seed in range(3):
        mine = one.plan(images, generator=stream(seed))
        theirs = other.plan(images, generator=stream(seed))
        assert torch.equal(mine.mask, theirs.mask)
        assert torch.equal(mine.weight, theirs.weight)
    assert repr(one) == repr(other)
    assert one.about == other.about


def test_a_folder_gives_the_same_mixer(tmp_path: Path) -> None:
    mixer = learned()
    assert mixer.save_pretrained(tmp_path / "mine") is None
    assert {file.name for file in (tmp_path / "mine").iterdir()} == {
        "README.md", "config.json", "mixer.pt",
    }  # fmt: skip
    same(mixer, mw.LearnedMixer.from_pretrained(tmp_path / "mine"))
    same(mixer, mw.LearnedMixer.from_pretrained(str(tmp_path / "mine")))
    same(mixer, mw.load_mixer(tmp_path / "mine" / "mixer.pt"))  # one format
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert config["method"] == "adautomix:sources=2;3"
    assert (config["layer"], config["sources"], config["alpha"]) == ("layer2", [2, 3], 0.75)


def test_the_card_tells_method_recipe_and_how_it_is_loaded(tmp_path: Path) -> None:
    learned().save_pretrained(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.library_name == "mixwright"
    assert "data-augmentation" in card.data.tags
    assert "| method | `adautomix:sources=2;3` |" in card.text
    assert "| encoder | `smallconv` |" in card.text
    assert "pip install 'mixwright[hub,lab]'" in card.text
    assert 'mixer = mw.LearnedMixer.from_pretrained("owner/name")  # or a folder' in card.text
    assert "| seed | `5` |" in card.text
    assert "| data | `folder:a\\|b'c` |" in card.text  # words of others are no markup


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"about": {}},
            ("| method | `not known` |", '("owner/name", encoder=net)', "owner's", "[hub]'"),
        ),
        (
            {"encoder": None, "about": {}},
            ("none: it looks through your model", "labels, model=model)"),
        ),
        ({"about": {"method": "SAMix", "encoder": HOW}}, ("| method | `SAMix` |",)),
    ],
)
def test_the_card_says_what_is_not_known(
    tmp_path: Path, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    learned(**changes).save_pretrained(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert [word for word in words if word not in text] == []


def test_a_card_of_ours_is_renewed_and_one_of_yours_stays(tmp_path: Path) -> None:
    learned().save_pretrained(tmp_path)
    learned(alpha=2.0).save_pretrained(tmp_path)
    assert "| alpha | `2.0` |" in (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text("# Mine\n")
    learned(alpha=3.0).save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "# Mine\n"
    assert mw.LearnedMixer.from_pretrained(tmp_path).alpha == 3.0


def test_an_encoder_of_ones_own_is_given(tmp_path: Path) -> None:
    mixer = learned(about={})
    mixer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"does not say how its encoder is rebuilt"):
        mw.LearnedMixer.from_pretrained(tmp_path)
    net = build_model("smallconv", num_classes=3, image_size=8)
    images = torch.rand(4, 3, 8, 8)
    read = mw.LearnedMixer.from_pretrained(tmp_path, encoder=net)
    one, other = (each.plan(images, generator=stream(0)) for each in (mixer, read))
    assert torch.equal(one.mask, other.mask)
    mixer.save_pretrained(tmp_path, encoder=HOW)
    assert "| encoder | `smallconv` |" in (tmp_path / "README.md").read_text()
    assert mw.LearnedMixer.from_pretrained(tmp_path).about["encoder"] == HOW


def test_what_an_objective_learned_says_its_method(tmp_path: Path) -> None:
    model = build_model("smallconv", num_classes=3, image_size=8)
    objective = mw.AutoMix(layer="layer2")
    objective.build(model, 3)
    objective.trained_mixer().save_pretrained(tmp_path)
    assert "| method | `AutoMix` |" in (tmp_path / "README.md").read_text()


class Evil:
    def __reduce__(self) -> Any:
        return (sys.exit, ("code of a file ran",))


def test_no_code_of_a_folder_runs(tmp_path: Path) -> None:
    learned().save_pretrained(tmp_path)
    state = load_checkpoint(tmp_path / "mixer.pt")
    torch.save({**state, "about": Evil()}, tmp_path / "mixer.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        mw.LearnedMixer.from_pretrained(tmp_path)
    state["network"]["class"] = "evil_module:Network"
    save_checkpoint(tmp_path / "mixer.pt", state)
    (tmp_path / "evil_module.py").write_text("raise SystemExit('code of a folder ran')")
    with pytest.raises(ValueError, match=r"evil_module:Network, which is not known here"):
        mw.LearnedMixer.from_pretrained(tmp_path)


def test_what_is_not_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no mixer\.pt; expected a folder that save_pre"):
        mw.LearnedMixer.from_pretrained(tmp_path)
    for name in ("owner/name", "no/such/folder", str(tmp_path / "nowhere")):
        with pytest.raises(ValueError, match=rf"there is no folder {name}, and the hub") as caught:
            mw.LearnedMixer.from_pretrained(name)
        assert len(str(caught.value).splitlines()) == 1


def test_a_repository_in_the_cache_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned().save_pretrained(tmp_path)
    asked: list[tuple[str, str, Any]] = []

    def download(repo_id: str, filename: str, revision: Any = None, **rest: Any) -> str:
        asked.append((repo_id, filename, revision))
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(
        huggingface_hub.hub_mixin, "hf_hub_download", lambda **about: download(**about)
    )
    same(learned(), mw.LearnedMixer.from_pretrained("owner/name", revision="v1"))
    assert asked[-1] == ("owner/name", "mixer.pt", "v1")


def test_uploading_sends_what_saving_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, Any] = {}

    def create(self: HfApi, repo_id: str, **rest: Any) -> Any:
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload(self: HfApi, *, repo_id: str, folder_path: Path, **rest: Any) -> str:
        sent[repo_id] = {file.name for file in Path(folder_path).iterdir()}
        return "done"

    monkeypatch.setattr(HfApi, "create_repo", create)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    assert learned().push_to_hub("owner/name") == "done"
    assert sent == {"owner/name": {"README.md", "config.json", "mixer.pt"}}


def test_it_is_the_mixin_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[type] = []
    save = ModelHubMixin.save_pretrained

    def watched(self: ModelHubMixin, *given: Any, **more: Any) -> Any:
        called.append(type(self))
        return save(self, *given, **more)

    monkeypatch.setattr(ModelHubMixin, "save_pretrained", watched)
    learned().save_pretrained(tmp_path)
    assert len(called) == 1
    assert issubclass(called[0], ModelHubMixin)
