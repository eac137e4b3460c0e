"""What of a published item was carried out already, and by which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mixwright.lab.cli.errors import UsageError
from mixwright.lab.cli.reproduce_steps import Planned, StepNotes
from mixwright.lab.experiments.published.commands import Command
from mixwright.lab.experiments.published.item import Runs

OUT = Path("out")


def step(
    name: str, command: Runs, *words: str, pictures: tuple[str, ...] = (), out: Path = OUT
) -> Planned:
    """A step as it is planned, with ``--workers 2`` where that is taken."""
    own = Command(
        step=name, command=command, words=words, options={}, folder=out / name, data="digits",
        pictures=pictures,
    )  # fmt: skip
    plain = [command, *words, "--out", str(own.folder)]
    more = ["--workers", "2"] if command == "compare" else ["--device", "cpu"]
    return Planned(own, [*plain[:-2], *more, *plain[-2:]], plain)


def notes(*planned: Planned, file: str = "mine-tiny") -> StepNotes:
    return StepNotes(OUT, file, planned)


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("masks", "bench", "after"):
        (OUT / name).mkdir(parents=True)


def test_a_step_is_done_when_all_that_it_leaves_is_there_whole() -> None:
    masks, bench = step("masks", "gallery", "mixup", pictures=("a.png",)), step("bench", "bench")
    there = notes(masks, bench)
    there.note(masks.command)
    there.note(bench.command)
    assert not there.done(masks.command)
    (OUT / "masks" / "gallery.html").write_text("")
    assert not there.done(masks.command)  # its picture is not there
    (OUT / "masks" / "a.png").write_text("")
    assert there.done(masks.command)
    assert not notes(step("masks", "gallery", "cutmix", pictures=("a.png",))).done(masks.command)
    for text, done in (("{}", True), ('{"format', False), ("", False)):
        (OUT / "bench" / "bench.json").write_text(text)
        assert there.done(bench.command) == done, text


def test_what_a_step_read_belongs_to_its_words() -> None:
    """The same pictures, of a mixer that learned for longer, are not there yet."""
    masks = step("masks", "gallery", "trained:run=out/after,p=1")
    (OUT / "masks" / "gallery.html").write_text("")
    runs, more = (step("runs", "compare", "--epochs", epochs) for epochs in "12")
    after, longer = step("after", "train", "--init", "out/runs/best.pt"), step("runs2", "compare")
    first = notes(runs, longer, after, masks)
    first.note(masks.command)
    assert first.done(masks.command)
    assert not notes(more, longer, after, masks).done(masks.command)
    # Of steps that it does not read nothing depends, however alike their names are.
    assert notes(runs, step("runs2", "compare", "none"), after, masks).done(masks.command)


def test_a_folder_may_be_moved_and_named_in_another_way() -> None:
    def planned(out: Path) -> StepNotes:
        trained = step("after", "train", "mixup", out=out)
        masks = step("masks", "gallery", f"trained:run={out}/after,p=1", "without/after", out=out)
        return StepNotes(out, "mine-tiny", (trained, masks))

    masks = step("masks", "gallery").command
    (OUT / "masks" / "gallery.html").write_text("")
    planned(OUT).note(masks)
    assert "@out/after,p=1" in (OUT / "steps.json").read_text()
    assert "without/after" in (OUT / "steps.json").read_text()
    elsewhere = OUT.rename("my folder").absolute()
    masks = step("masks", "gallery", out=elsewhere).command
    assert planned(elsewhere).done(masks)
    assert not planned(elsewhere).of_other_words(masks)

    # As notes were written before.
    noted = f"mixwright gallery mixup --out {OUT}/masks"
    (elsewhere / "steps.json").write_text(json.dumps({"masks": noted}))
    elsewhere.rename(OUT)
    assert notes(step("masks", "gallery", "mixup")).done(step("masks", "gallery").command)


def test_where_runs_are_done_changes_nothing_but_a_bench() -> None:
    runs, bench = step("runs", "compare"), step("bench", "bench")
    first = notes(runs, bench)
    first.note(runs.command)
    first.note(bench.command)
    (OUT / "bench" / "bench.json").write_text("{}")
    elsewhere = notes(*(Planned(one.command, one.plain, one.plain) for one in (runs, bench)))
    assert not elsewhere.of_other_words(runs.command)
    assert not elsewhere.done(bench.command)
    assert not elsewhere.of_other_words(bench.command)  # what is there may be shown
    assert notes(runs, step("bench", "bench", "mixup")).of_other_words(bench.command)


def test_a_damaged_note_is_none_and_another_items_folder_is_refused() -> None:
    runs = step("runs", "compare")
    there = notes(runs)
    for text in ('{"runs": "mixw', "[1]"):
        (OUT / "steps.json").write_text(text)
        there.check_folder()
        assert not there.of_other_words(runs.command)
    there.begin()
    there.note(runs.command)
    there.check_folder()
    with pytest.raises(UsageError, match=r"^out holds mine-tiny, not mine-paper; give"):
        notes(runs, file="mine-paper").check_folder()
