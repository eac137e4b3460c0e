"""A run folder belongs to one recipe and one process."""

import errno
import json

import pytest

from lab.training.tiny import recipe
from mixwright.lab.training.folder import RunError, RunFolder, median_step, read_metrics


def test_a_new_folder_takes_the_recipe(tmp_path):
    with RunFolder(tmp_path / "deep" / "run", recipe()) as run:
        assert (run.path / "recipe.json").read_text() == recipe().to_json()
        assert run.result() is None
    with RunFolder(tmp_path / "deep" / "run", recipe()):
        pass  # the same recipe may come again


def test_another_recipe_is_refused_by_the_fields_that_differ(tmp_path):
    with RunFolder(tmp_path, recipe()):
        pass
    with pytest.raises(RunError) as caught, RunFolder(tmp_path, recipe(lr=0.2, seed=8)):
        pass
    message = str(caught.value)
    assert "lr 0.1 there, 0.2 now; seed 7 there, 8 now." in message
    assert "epochs" not in message
    assert (tmp_path / "recipe.json").read_text() == recipe().to_json()


def test_a_folder_of_something_else_is_refused_untouched(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (tmp_path / name).touch()
    with (
        pytest.raises(RunError, match=r"no recipe.json but holds a.jpg, b.jpg, c.jpg, \.\.\."),
        RunFolder(tmp_path, recipe()),
    ):
        pass
    assert len(list(tmp_path.iterdir())) == 4


def test_a_damaged_recipe_is_refused(tmp_path):
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"), RunFolder(tmp_path, recipe()):
        pass


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be used"), RunFolder(tmp_path / "file", recipe()):
        pass


def test_two_processes_do_not_share_a_folder(tmp_path):
    pytest.importorskip("fcntl")
    with (
        RunFolder(tmp_path, recipe()),
        pytest.raises(RunError, match="in use by another process"),
        RunFolder(tmp_path, recipe()),
    ):
        pass
    with RunFolder(tmp_path, recipe()):
        pass


@pytest.mark.parametrize("whole", [0, 1, 2, 3])
@pytest.mark.parametrize("tail", ["", '{"epoch": 3, "lo'])
def test_lines_are_brought_to_the_checkpoint(tmp_path, whole, tail):
    lines = [{"epoch": 1, "loss": float("nan")}, {"epoch": 2}, {"epoch": 3}]
    with RunFolder(tmp_path, recipe()) as run:
        for line in lines[:whole]:
            run.append(line)
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write(tail)
        run.rewrite(lines[:2])
        run.append(lines[2])
    found = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in found] == [1, 2, 3]
    assert found[0]["loss"] is None  # JSON knows no NaN


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with RunFolder(tmp_path, recipe()) as run:
        monkeypatch.setattr("mixwright.lab.training.folder.write_whole", full)
        with pytest.raises(RunError, match=r"No space left on device. Make room"):
            run.finish({})
        assert run.result() is None


def test_a_damaged_result_is_told(tmp_path):
    with RunFolder(tmp_path, recipe()) as run:
        (tmp_path / "result.json").write_text('{"raw": ')
        with pytest.raises(RunError, match=r"is damaged. Delete it"):
            run.result()


def test_median_step_leaves_out_the_first_epoch():
    records = [{"step_seconds": s} for s in (9.0, 1.0, 4.0, 2.0)]
    assert median_step(records) == 2.0
    assert median_step(records[:1]) == 9.0


def test_metrics_are_read_and_half_a_line_is_not(tmp_path):
    assert read_metrics(tmp_path) == []
    lines = [{"epoch": epoch, "train": {"loss": 1.0}, "warnings": []} for epoch in (1, 2, 3)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text("\n" + text + '{"epoch": 4, "te')
    assert read_metrics(tmp_path) == lines
    (tmp_path / "metrics.jsonl").write_text('{"epoch"\n' + text)
    with pytest.raises(ValueError, match="line 1 is no JSON"):
        read_metrics(tmp_path)
