"""Bad arguments of the command line: each ends with exit code 2 and one line, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mixwright.lab.cli.main import main

LONG = "x" * 300
NUMBERS = ("x", "", "nan", "1e400", "-1", "1.5", "1,5", "ten", "[1]", "1e-400x")
# Options that take a whole number from 1, and those that take a share or a positive number.
COUNTS = ("--epochs", "--batch-size", "--train-size", "--eval-every")
SHARES = ("--lr", "--weight-decay", "--val-share", "--warmup-epochs", "--label-smoothing")
METHODS = (
    "cutmix:minmax=.5", "cutmix:minmax=a;b", "cutmix:alpha=x", "cutmix:alpha=nan",
    "cutmix:alpha=inf", "cutmix:alpha=-1", "cutmix:box=round", "cutmix:per=epoch", "cutmix:alpha",
    "cutmix:", "cutmix:alpha=", "cutmix:=1", "cutmix:alpha=1,alpha=2", "cutmix:nothing=1",
    "miamix:methods=5", "miamix:k_max=1000000000", "miamix:layers=1000000000", "miamix:k_max=1.5",
    "miamix:views=3", "cutout:holes=1000000000", "cutout:fill=red", "agmix:rotate=maybe",
    "attentivecutmix:teacher=x", "attentivecutmix:grid=-1", "puzzlemix:iterations=1000000000",
    "comixup:iters=1000000000", "puzzlemix:n_labels=7", "puzzlemix:transport=2",
    "adautomix:sources=1000000000", "adautomix:sources=1-2-3", "manifoldmix:criterion=x",
    "mixed:criterion=x", "cutmix+", "+cutmix", "cutmix+nothing", "json:loads", "json:nothing",
    "nothing:Class", "json", ":", "none:alpha=1", "trained:run=nowhere", "trained:", "cutmx",
    "os:system", "builtins:print", "spectral:steps=1000000000", "meada:steps=1000000000",
    "alignmix:iters=1000000000", "tokenmixup:layer=-1", "resizemix:scope=0.8-0.1",
    "smoothmix:sigma=nan;1", "recursivemix:alpha=[1]", "scheduled:at=1", "automix:image_size=-1",
)  # fmt: skip


def arguments(tmp_path: Path) -> list[list[str]]:
    """The table; files that it names are written to ``tmp_path``."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("out: Stra\u00dfe\n".encode("latin-1"))
    nul = tmp_path / "nul.yaml"
    nul.write_bytes(b"out: \x00\x01\n")
    words = tmp_path / "words.yaml"
    words.write_text("just words\n")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    listed = tmp_path / "list.yaml"
    listed.write_text("- epochs\n")
    odd = tmp_path / "odd.yaml"
    odd.write_text("epochs: [1, 2]\n")
    unknown = tmp_path / "unknown.yaml"
    unknown.write_text("epoch: 1\n")
    file = tmp_path / "file"
    file.write_text("")
    deep = tmp_path / "deep.yaml"
    deep.write_text("epochs: " + "[" * 2000 + "]" * 2000)
    out = ["--out", str(tmp_path / "out")]
    rows: list[list[str]] = [
        ["nothing"], ["--nothing"], [LONG], ["train"], ["train", "cutmix", "mixup"], ["evaluate"],
        ["compare", "cutmix", "--equal-time"], ["train", "cutmix", "--equal-time"],
        ["train", "cutmix", "--out", LONG], ["compare", "--out", LONG],
        ["train", "cutmix", "--out", f"{tmp_path}/{LONG}/{LONG}"],
        ["train", "cutmix", "--out", str(file)], ["train", "cutmix", "--out", f"{file}/in"],
        ["train", "cutmix", "--out", ""], ["compare", "--out", ""], ["gallery", "--out", ""],
        ["evaluate", "torch.nn:Identity", "--data", "digits", "--out", ""],
        ["train", "cutmix", "--out", "a\0b"], ["evaluate", "json:loads", *out],
        ["evaluate", LONG, *out], ["evaluate", f"{LONG}.pt", *out], ["evaluate", f"./{LONG}", *out],
        ["evaluate", "os:getcwd", *out], ["evaluate", "os:nothing", *out],
        ["evaluate", "nothing:model", *out], ["evaluate", "builtins:print", *out],
        ["evaluate", "torch:nn", *out], ["evaluate", "torch.nn:Linear", *out],
        ["evaluate", "torch:zeros", *out],
        ["evaluate", str(file), *out], ["evaluate", str(tmp_path), *out],
        ["evaluate", "resnet20", *out], ["evaluate", "a\0b", *out], ["evaluate", "", *out],
        ["evaluate", "torch.nn:Identity", "--only", "nothing", *out],
        ["evaluate", "torch.nn:Identity", "--only", "attack:steps=x", *out],
        ["evaluate", "torch.nn:Identity", "--only", "attack:steps=0", *out],
        ["evaluate", "torch.nn:Identity", "--only", "attack:", *out],
        ["evaluate", "torch.nn:Identity", "--only", "corruption:types=rain", *out],
        ["evaluate", "torch.nn:Identity", "--only", "occlusion:ratios=0.5", *out],
        ["evaluate", "torch.nn:Identity", "--only", "calibration:bins=0", *out],
        ["evaluate", "torch.nn:Identity", "--weights", "best", *out],
        ["evaluate", "torch.nn:Identity", "--device", "meta", *out],
        ["evaluate", "torch.nn:Identity", "--batch-size", "0", *out],
        ["evaluate", "torch.nn:Identity", "--test-size", "0", *out],
        ["report"], ["report", "nowhere"], ["report", str(file)], ["report", LONG],
        ["report", str(tmp_path)], ["list", "nothing"], ["list", LONG],
        ["gallery", "nothing", *out], ["gallery", "--out", LONG], ["gallery", "json:loads", *out],
        ["gallery", "--image-size", "100000", *out], ["gallery", "--device", "meta", *out],
        ["theory", "--device", "meta", *out], ["theory", "nothing", *out],
        ["theory", "--out", LONG], ["bench", "nothing"], ["bench", "--out", LONG, "mix"],
        ["bench", "--device", "meta"], ["compare", "--seeds", "0", *out],
        ["compare", "--workers", "0", *out], ["compare", "--workers", "x", *out],
        ["compare", "cutmix", "cutmix", "--seeds", "1000000000", *out],
    ]  # fmt: skip
    digits = ["--data", "digits", *out]
    models = (
        "json:loads", "os:getcwd", "os:nothing", "nothing:model", "builtins:print", "torch:nn",
        "torch.nn:Linear", "torch.nn:Identity", "torch:zeros", "sys:path", "builtins:dict",
        "torch.nn:Module", "builtins:KeyboardInterrupt", "torch:rand", "time:time",
        "torch.nn:Flatten",
    )  # fmt: skip
    rows += [["evaluate", model, "--test-size", "10", *digits] for model in models]
    parts = (
        "nothing", "attack:steps=x", "attack:steps=0", "attack:eps=nan", "attack:",
        "attack:eps=300", "corruption:types=rain", "corruption:severities=6",
        "occlusion:ratios=0.5", "occlusion:patch=5", "calibration:bins=0", "gap:images=-1",
        "calibration:bins=1000000000", "cam:lam=2", "cam:layer=", "gradients:of=x",
        "fidelity:bins=1", "diversity:draws=1", "probe:data=nothing", "accuracy:x=1",
    )  # fmt: skip
    own = "mixwright.lab.models:build_model"
    rows += [["evaluate", own, "--only", part, *digits] for part in parts]
    # An empty file would set nothing.
    configs = (latin, nul, words, broken, listed, odd, unknown, deep, tmp_path, "nowhere", LONG)
    devices = ("meta", "tpu", "cuda:x", "cuda:99", "", "cpu:x", LONG, "cpu,cuda", "fpga", "sparse")
    values = {
        "--config": map(str, configs),
        "--device": devices,
        "--image-size": ("100000", "0", "1000000000", "7", *NUMBERS),
        "--model": ("nothing", "", LONG, "a b", "json:loads"),
        "--data": ("nothing", "", LONG, "a b", "json:loads"),
        **dict.fromkeys(COUNTS, NUMBERS),
        **{share: [number for number in NUMBERS if number != "1.5"] for share in SHARES},
    }
    given = [(option, value) for option, listed in values.items() for value in listed]
    for command in ("train", "compare"):
        rows += [[command, "cutmix", option, value, *out] for option, value in given]
        odd_words = ("--epoch", "--nothing", "--epochs", "--amp", "-x", "--out", "--trust=1")
        rows += [[command, "cutmix", *out, word] for word in odd_words]
    rows += [["train", method, *out] for method in METHODS]
    rows += [["train", method + LONG, *out] for method in ("cutmix", "cutmix:alpha=", "json:")]
    return rows


def fault(row: list[str], capsys: pytest.CaptureFixture[str]) -> str | None:
    """What is wrong with how a command was refused; None where nothing is."""
    try:
        code = main(row)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    told = capsys.readouterr().err.strip()
    if code != 2:
        return f"exit code {code}: {told}"
    return None if one_line(told) else told


def one_line(told: str) -> bool:
    """Whether the last line is the message, and what stands before it are notes of the work."""
    words = [line.startswith("mixwright") for line in told.splitlines()]
    return words[-1:] == [True] and sum(words) == 1 and "Traceback" not in told


def test_every_bad_argument_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = arguments(tmp_path)
    assert len(table) > 400
    wrong = {" ".join(row): found for row in table if (found := fault(row, capsys)) is not None}
    assert not wrong, "\n".join(f"{row}: {found}" for row, found in wrong.items())


@pytest.mark.parametrize(
    "row",
    [
        ["train", "cutmix", "--out", LONG],
        ["evaluate", "json:loads", "--data", "digits"],
    ],
)
def test_so_does_a_process_of_its_own(row: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mixwright", *row],
        capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert one_line(done.stderr)
    assert "expected" in done.stderr
