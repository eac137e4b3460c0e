"""``mixwright theory`` as it is typed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from mixwright.lab.cli import main
from mixwright.lab.experiments import probe_model, theory_measurements
from mixwright.lab.experiments.probe_model import ProbeModel
from mixwright.lab.models.smallconv import SmallConv


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    """A net that was not trained, and few images to expand the loss around."""

    def untrained(data, *, seed, on_message=None, name=""):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = SmallConv(num_classes=data.num_classes, channels=data.channels, width=2)
        return ProbeModel(net.eval(), "It was not trained.", "an untrained net", data)

    monkeypatch.setattr(probe_model, "train_probe_model", untrained)
    monkeypatch.setattr(theory_measurements, "_EXPANDED", 8)


def test_moments_expansion_and_page(tmp_path, capsys, monkeypatch):
    words = ["theory", "mixup", "cutmix:box=fit", "saliencymix", "--masks", "64", "--image-size"]
    words += ["12", "--mode", "both", "--decomposition", "--out", str(tmp_path / "new")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    for word in ("exact mode", "paper mode", "cutmix:box=fit", "exact", "0.1667"):
        assert word in printed
    note = "It does at each pixel for mixup; on average over the image only, for cutmix:box=fit; "
    assert f"{note}it is not known for saliencymix." in " ".join(printed.split())
    record = json.loads((tmp_path / "new" / "theory.json").read_text())
    assert (record["kind"], record["format"]) == ("theory", 3)
    sections = {
        name: {group["key"]: group["summaries"] for group in part["groups"]}
        for name, part in record["parts"].items()
    }
    assert set(sections) == {
        "moments", "moments-paper", "decomposition", "first-layer",
    }  # fmt: skip
    assert set(sections["moments-paper"]) == {"mixup", "cutmix:box=fit"}
    assert "SaliencyMix" in record["about"]["skipped"][0]
    first = sections["moments"]["cutmix:box=fit"][0]
    assert first["size"] == [12, 12]
    assert first["closed"]["mean"] == pytest.approx(first["mean"], abs=0.05)
    terms = sections["decomposition"]["mixup"][0]
    total = sum(terms[name] for name in ("plain", "labels", "r1", "r2", "r3", "remainder"))
    assert total == pytest.approx(terms["mixed"])
    map_ = np.load(tmp_path / "new" / "maps" / "cutmix-box-fit-exact.npy")
    assert map_.shape == (23, 23)
    page = (tmp_path / "new" / "report.html").read_text()
    for word in ("Second moments of masks", "as published", "R2, gradient products", "first layer"):
        assert word in page
    # Made again from what is stored: the same bytes, without the maps that --design takes.
    shutil.rmtree(tmp_path / "new" / "maps")
    (tmp_path / "new" / "report.html").unlink()
    monkeypatch.setattr(theory_measurements, "measure_theory", None)
    assert main(["report", str(tmp_path / "new" / "theory.json")]) == 0
    assert (tmp_path / "new" / "report.html").read_text() == page


def test_a_design_from_a_map_that_was_written(tmp_path, capsys):
    words = ["--masks", "128", "--image-size", "8", "--out", str(tmp_path)]
    assert main(["theory", "cutmix", *words]) == 0
    written = tmp_path / "maps" / "cutmix-exact.npy"
    assert main(["theory", "mixup", "--design", str(written), *words]) == 0
    record = json.loads((tmp_path / "theory.json").read_text())
    (made,) = record["parts"]["design"]["groups"]
    assert made["summaries"][0]["method"].startswith("mixwright:FieldMix:design=")
    assert (tmp_path / "design.json").is_file()


def test_scenarios_take_the_methods_that_were_named(tmp_path, monkeypatch):
    asked = {}

    def record_and_stop(**arguments):
        asked.update(arguments)
        raise ValueError("seen enough")

    monkeypatch.setattr(theory_measurements, "run_scenarios", record_and_stop)
    words = ["theory", "mixup", "--masks", "8", "--image-size", "8", "--out", str(tmp_path)]
    assert main([*words, "--scenarios", "sprites"]) == 2
    assert set(asked["methods"]) == {"none", "mixup"}
    assert (asked["dataset_kind"], asked["seeds"], asked["data"]) == ("sprites", 3, None)
    assert main([*words, "--scenarios", "cifar", "--seeds", "2"]) == 2
    assert (asked["dataset_kind"], asked["seeds"], asked["data"].name) == ("cifar", 2, "digits")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cutmx"], 'Did you mean "cutmix"'),
        (["none"], "none mixes nothing"),
        (["meada"], "has no masks of its own"),
        (["cutout", "--mode", "paper"], "Cutout"),
        (["--masks", "1"], "--masks is 1; expected at least 2"),
        (["--seeds", "0"], "--seeds is 0; expected at least 1"),
        (["--mode", "papr"], 'Did you mean "paper"'),
        (["mixup", "--masks", "8", "--design", "nar"], 'Did you mean "near"'),
        (["mixup", "--masks", "8", "--design", "near:scale=x"], "near:scale=0.1"),
        (["mixup", "--masks", "8", "--design", "near:size=1"], "near:scale=0.1"),
        (["mixup", "--masks", "8", "--design", "nowhere.npy"], "nowhere.npy"),
        (["mixup", "--run", "nowhere"], "nowhere"),
        (["--device", "cuda:99"], "torch sees"),
    ],
)
def test_mistakes_get_one_line(tmp_path, capsys, words, message):
    assert main(["theory", *words, "--out", str(tmp_path / "o")]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
