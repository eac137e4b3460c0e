"""``mixwright reproduce``: a table of one's own from end to end, and what is refused."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from mixwright.lab.cli.main import main
from mixwright.lab.experiments.grid import alone_in

MINE = """
title = "does mixing help a net that sees each digit once"
paper = "ours"
[protocol]
epochs = {value = "300", source = "Table 1", ours = "1"}
[rows]
Vanilla = {method = "none"}
MixUp = {method = "mixup"}
[[steps]]
name = "runs"
command = "compare"
options = {data = "digits", epochs = 1, train_size = 20, batch_size = 10, seeds = 2}
[[steps]]
name = "masks"
command = "gallery"
methods = ["cutmix:lam=0.65"]
options = {count = 1}
pictures = ["gallery.png"]
[[columns]]
head = "digits, top-1"
step = "runs"
published = {Vanilla = 70.0, MixUp = 72.5}
source = "Table 1"
"""  # fmt: skip

TINY = """
[[columns]]
head = "how many"
step = "masks"
[scales.tiny]
about = "a picture"
[scales.tiny.steps]
masks = {}
"""


OFFICIAL = """
[[steps]]
name = "corruption"
command = "evaluate"
of = ["runs"]
options = {only = "corruption:source=official,path=nowhere"}
"""


TRAINED = """
[[steps]]
name = "one"
command = "train"
methods = ["mixup"]
options = {data = "digits", epochs = 1, train_size = 20, batch_size = 10}
"""


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(MINE)
    Path("tiny.toml").write_text(MINE + TINY)
    return tmp_path


def test_a_table_of_ones_own_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["reproduce", "mine.toml", "--workers", "1"]
    assert main([*command, "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert "[1/2] runs\n  mixwright compare none mixup --data digits --epochs 1 " in planned
    assert "estimate: about" in planned
    assert "mixwright gallery cutmix:lam=0.65 --count 1 --out " in planned
    assert not Path("runs").exists()

    assert main(command) == 0
    said = capsys.readouterr().out
    out = Path("runs/reproduce/mine-paper")
    assert (out / "runs" / "comparison.json").is_file()
    record = json.loads((out / "mine-paper.json").read_text())
    ours = record["parts"]["published"]["numbers"]["columns"][0]["cells"][0]["ours"]
    # The same by hand: one epoch, so that the median of the last ten is its top-1.
    tops = [
        json.loads(line)["test"]["raw"]["top1"]
        for file in sorted(out.glob("runs/runs/none-*/metrics.jsonl"))
        for line in file.read_text().splitlines()
    ]
    assert len(tops) == 2
    assert ours["mean"] == pytest.approx(100 * sum(tops) / 2)
    assert f"{100 * sum(tops) / 2:.2f}" in said
    page = (out / "mine-paper.html").read_text()
    assert "<title>mine.toml</title>" in page
    assert "interval covers it" in page
    assert '<th class="left">METHOD</th><th>published</th>' in page  # words left, numbers right
    assert '<td class="left">mixup</td><td>72.50</td>' in page
    assert '<td class="left">300</td><td class="left">Table 1</td><td class="left">1</td>' in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # nothing beside itself
    table = (out / "mine-paper.md").read_text()
    assert "| epochs | 300 | Table 1 | 1 |" in table
    assert "interval covers it" in table

    first = (out / "masks" / "gallery.html").stat().st_mtime_ns
    assert main(command) == 0
    again = capsys.readouterr().out
    assert "4 of 4 runs are there already" in again
    assert "done already" in again  # the pictures, by the same words
    assert (out / "masks" / "gallery.html").stat().st_mtime_ns == first

    # A step alone: the others' numbers are those that are there.
    assert main([*command, "--steps", "masks"]) == 0
    alone = capsys.readouterr().out
    assert "[2/2] masks: " in alone
    assert "[1/2]" not in alone
    assert f"{100 * sum(tops) / 2:.2f}" in alone

    (out / "mine-paper.html").unlink()  # a page is made from the record alone
    assert main(["report", str(out / "mine-paper.json")]) == 0
    assert "<title>mine.toml</title>" in (out / "mine-paper.html").read_text()


def test_what_a_dry_run_cannot_measure_is_said_and_the_rest_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("data.toml").write_text(MINE.replace('"digits"', '"cars"') + TRAINED)
    assert main(["reproduce", "data.toml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"mixwright train mixup --data digits .*\n(.*\n)+estimate: about", said)
    assert "mixwright compare none mixup --data cars --epochs 1 " in said
    assert "no estimate: cars: neither " in said
    assert "mixwright gallery cutmix:lam=0.65 " in said


def test_a_step_that_measures_others_can_be_done_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It looks for the runs where they would be, and says that they are not there."""
    evaluated = OFFICIAL.replace("corruption:source=official,path=nowhere", "accuracy")
    Path("more.toml").write_text(MINE + evaluated)
    command = ["reproduce", "more.toml", "--steps", "corruption"]
    assert main([*command, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "mixwright evaluate runs/reproduce/more-paper/runs --only accuracy --out " in said
    assert "[1/1] corruption" in said
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("mixwright reproduce: step corruption: there is no runs/reproduce/mo")
    assert said.count("\n") == 1


def test_a_smaller_scale_says_so_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "tiny.toml", "--out", "here"]) == 0
    said = capsys.readouterr().out
    caution = "tiny scale: other data, net and schedule; not the published table (a picture)"
    assert said.count(caution) == 2
    assert sorted(file.name for file in Path("here").glob("tiny-*")) == [
        "tiny-tiny.html",
        "tiny-tiny.json",
        "tiny-tiny.md",
    ]
    page = Path("here/tiny-tiny.html").read_text()
    assert "<title>tiny.toml, tiny scale</title>" in page
    assert page.count(caution) >= 2
    assert "interval covers it" not in page
    (shown, _) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)  # wide and narrow
    assert base64.b64decode(shown) == Path("here/masks/gallery.png").read_bytes()
    assert "digits, top-1" not in page  # its step is none of this scale
    assert Path("here/tiny-tiny.md").read_text().startswith("# tiny.toml, tiny scale\n")


def test_the_list_names_all_with_their_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--list"]) == 0
    said = capsys.readouterr().out
    assert "\nmiamix: Liang et al. 2023\n" in said
    for name in ("miamix:layers", "hmix:scenarios", "adautomix:figure14", "adautomix:table11"):
        assert re.search(rf"\n  {name} +\S.*\n +tiny about .*, paper ", said), name
    assert not re.search(r"\d{3} (minutes|hours|days|months)", said)
    assert re.search(r"adautomix:figure3 .*\n +a diagram: nothing to run\n", said)
    assert re.search(r"adautomix:figure5 .*\n +the data of adautomix:table7\n", said)
    assert "Times are counted, not measured" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "0 ITEMs given; expected one: mixwright reproduce ITEM."),
        ("a b", "2 ITEMs given; expected one"),
        ("miamix:layer", 'there is no published table miamix:layer. Did you mean "miamix:layers"?'),
        ("adautomix:figure2", "adautomix:figure2 is a diagram (Figure 2: the framework): nothing"),
        ("adautomix:figure8", "adautomix:figure8 shows the data of adautomix:table7: mixwright re"),
        ("hmix:masks --scale small", "--scale is small, which hmix:masks has not; expected tiny o"),
        ("hmix:masks --scale huge", "--scale is huge; expected one of tiny, small, paper"),
        ("gone.toml", "gone.toml cannot be read: No such file or directory; expected a file of a"),
        ("broken.toml", "broken.toml: not TOML ("),
        ("mine.toml --steps run", "there is no step run. Did you mean \"runs\"? Steps are runs, "),
        ("hmix:masks --workers 2", "--workers does nothing here, since no step (gallery) takes it"),
        ("mine.toml --data-dir x", "--data-dir does nothing here"),
        ("mine.toml --steps=", "--steps is empty; expected names with commas between. Steps are "),
        ("mine.toml --steps runs,", "--steps is runs,; expected names with commas between. Steps"),
        ("mine.toml --workers 0", "--workers is 0; expected at least 1."),
        ("mine.toml --dry-run --workers -1", "--workers is -1; expected at least 1."),
        ("mine.toml --device cuba", "--device cuba: torch has no such device here; expected cpu, "),
        ("mine.toml --part 3/2", "step runs: --part is 3/2; expected K/N with K from 1 to N"),
        ("mine.toml --part 1/2 --dry-run", "--part does nothing beside --dry-run, which says what"),
        ("mine.toml --part 1/2 --steps masks", "--part does nothing here, since no step (gallery)"),
        ("hmix:masks --part 1/2", "--part does nothing here, since no step (gallery) takes it"),
        ("mine.toml --resources cpus=2", "step runs: --resources does nothing with --exec"),
        ("mine.toml --executor slurm --resources gpu=1", "step runs: --resources: slurm cannot use "
         'gpu. Did you mean "gpus"?'),
        ("mine.toml --executor ray --device cuda", "step runs: --device cuda needs a GPU; give"),
        ("hmix:masks --executor ray", "--executor does nothing here, since no step (gallery)"),
        ("same.toml", "same.toml: same_as names 'miamix:layer'; expected one of miamix:agmix, "),
        ("both.toml", "both.toml: same_as is miamix:layers beside steps, of which none would be "),
        ("Gone.TOML", "Gone.TOML cannot be read: No such file or directory; expected a file of a"),
        ("mine.toml --list", "ITEM does nothing beside --list; leave it out."),
        ("--list --scale tiny", "--scale does nothing beside --list"),
        ("wrong.toml", "step runs: there is no option --epoch. Did you mean \"--epochs\"?"),
        ("value.toml", "step runs: --epochs is many; expected a whole number"),
        ("method.toml", 'there is no method "mixupp". Did you mean "mixup"?'),
        ("data.toml", "cars: neither "),
        ("official.toml", "step corruption: official corruptions: nowhere has no labels.npy, "),
        ("hmix:masks --trust", "--trust does nothing with hmix:masks, which names no code"),
        ("class.toml", "class.toml names the module nets.own, which is not imported: that would"),
        ("model.toml", "option value nets.own:build: model.toml names the module nets.own, which"),
        ("only.toml", "option value nets.own:Mine: only.toml names the module nets.own, which is"),
        ("config.toml", "step runs: options has 'config'; expected options of what is measured"),
        ("help.toml", "step runs: options has 'help'; expected options of what is measured"),
        ("twice.toml", "step runs: options has 'train-size'; expected options of what is measured, "
         "in small letters with _, not how or where it runs. Write train_size."),
        ("shards.toml", "nowhere is neither a folder nor a file."),
        ("latin.toml", "latin.toml cannot be read: 'utf-8' codec can't decode byte 0xe9"),
        ("deep.toml", "deep.toml: not TOML ("),
        ("mine.toml --out mine.toml", "--out mine.toml: mine.toml is a file; expected a folder"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_before_anything_starts(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.toml").write_text("title = ")
    Path("wrong.toml").write_text(MINE.replace("epochs = 1", "epoch = 1"))
    Path("value.toml").write_text(MINE.replace("epochs = 1", 'epochs = "many"'))
    Path("method.toml").write_text(MINE.replace('"mixup"', '"mixupp"'))
    Path("data.toml").write_text(MINE.replace('"digits"', '"cars"'))
    Path("official.toml").write_text(MINE + OFFICIAL)
    Path("class.toml").write_text(MINE.replace('"mixup"', '"nets.own:Mine"'))
    Path("model.toml").write_text(MINE.replace("epochs = 1", 'model = "nets.own:build"'))
    Path("only.toml").write_text(
        MINE
        + OFFICIAL.replace("corruption:source=official,path=nowhere", "cam:mixer=nets.own:Mine")
    )
    Path("config.toml").write_text(MINE.replace("epochs = 1", 'epochs = 1, config = "c.yaml"'))
    Path("c.yaml").write_text("model: nets.own:build")
    Path("help.toml").write_text(MINE.replace("epochs = 1", "epochs = 1, help = true"))
    Path("twice.toml").write_text(MINE.replace("epochs = 1", 'epochs = 1, "train-size" = 3'))
    Path("shards.toml").write_text(MINE.replace('"digits"', '"webdataset:nowhere"'))
    Path("same.toml").write_text('title = "x"\npaper = "y"\nsame_as = "miamix:layer"')
    Path("both.toml").write_text('same_as = "miamix:layers"\n' + MINE)
    Path("latin.toml").write_bytes(MINE.encode().replace(b"does", b"\xe9"))
    Path("deep.toml").write_text("a = " + 5000 * "[")
    assert main(["reproduce", *words.split()]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.startswith("mixwright reproduce: ")
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not Path("runs").exists()


def test_what_is_damaged_or_was_made_by_other_words_is_no_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["reproduce", "mine.toml", "--out", "here", "--steps", "masks"]
    Path("here/runs").mkdir(parents=True)
    Path("here/runs/comparison.json").write_text('{"format": 2, "par')
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.count("the record of step runs is damaged") == 2
    Path("here/masks/gallery.png").unlink()
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "done already" not in said
    assert Path("here/masks/gallery.png").is_file()

    # One that holds what was measured of runs that are not those of the table any more.
    noted = json.loads(Path("here/steps.json").read_text())
    assert noted["<item>"] == "mine-paper"
    Path("here/steps.json").write_text(json.dumps({**noted, "runs": "mixwright compare none"}))
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.count("step runs was not run") == 2
    assert "step runs was done with other options; it is left out until it is done again." in said

    Path("mine.toml").write_text(MINE.replace('["gallery.png"]', '["galery.png"]') + TINY)
    assert main([*command[:-2], "--scale", "tiny"]) == 2
    assert capsys.readouterr().err == (
        "mixwright reproduce: here holds mine-paper, not mine-tiny; give --out another folder.\n"
    )
    assert main(["reproduce", "mine.toml", "--scale", "tiny", "--out", "there"]) == 0
    assert "step masks made no galery.png; the page is without it." in capsys.readouterr().out


def test_a_part_of_the_runs_and_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Others may do theirs in the same folder at once, and the plain command does the rest."""
    command = ["reproduce", "mine.toml", "--out", "here", "--workers", "1"]
    with alone_in(Path("here")):  # as another part would not, but the whole command does
        assert main([*command, "--part", "3/4"]) == 0
    said = capsys.readouterr().out
    assert "[1/1] runs: mixwright compare none mixup " in said
    assert "part 3 of 4: 1 of 4 runs\n" in said
    assert said.endswith(
        "\nthe same command without --part does what is left, and writes the table\n"
    )
    (run,) = Path("here/runs/runs").iterdir()
    assert run.name.startswith("none-s1-")  # of none 0, mixup 0, none 1, mixup 1
    assert sorted(file.name for file in Path("here").iterdir()) == [".lock", "runs", "steps.json"]
    assert main(["reproduce", "tiny.toml", "--out", "here"]) == 2  # it belongs to an item already
    assert "here holds mine-paper, not tiny-tiny; give" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("a file")
    Path("mine.toml").write_text(MINE)
    assert main(["reproduce", "mine.toml", "--out", "taken/x"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mixwright reproduce: ")
    assert "taken" in said
    assert said.count("\n") == 1
