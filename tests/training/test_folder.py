"""A run folder belongs to one recipe and one process."""

import json

import pytest

from mixwright.training.folder import RunError, RunFolder, median_step
from training.tiny import recipe


def test_a_new_folder_takes_the_recipe(tmp_path):
    with RunFolder(tmp_path / "deep" / "run", recipe()) as run:
        assert (run.path / "recipe.json").read_text() == recipe().to_json()
        assert run.result() is None
        assert run.records(0) == []
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


@pytest.mark.parametrize(
    "tail", ["", '{"epoch": 3, "a": 1}\n', '{"epoch": 3, "a', '{"epoch": 3}\n{"epoch": 4}\n[']
)
def test_lines_after_the_checkpoint_are_removed(tmp_path, tail):
    with RunFolder(tmp_path, recipe()) as run:
        for epoch in (1, 2):
            run.append({"epoch": epoch, "loss": float("nan")})
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write(tail)
        assert [record["epoch"] for record in run.records(2)] == [1, 2]
        run.append({"epoch": 3})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    assert json.loads(lines[0])["loss"] is None  # JSON knows no NaN


def test_missing_lines_are_told(tmp_path):
    with RunFolder(tmp_path, recipe()) as run:
        run.append({"epoch": 1})
        run.append({"epoch": 3})
        with pytest.raises(RunError, match=r"lacks epoch 2, while last.pt stands at epoch 3"):
            run.records(3)


def test_a_damaged_result_is_told(tmp_path):
    with RunFolder(tmp_path, recipe()) as run:
        (tmp_path / "result.json").write_text('{"raw": ')
        with pytest.raises(RunError, match=r"is damaged. Delete it"):
            run.result()


def test_median_step_leaves_out_the_first_epoch():
    records = [{"step_seconds": s} for s in (9.0, 1.0, 4.0, 2.0)]
    assert median_step(records) == 2.0
    assert median_step(records[:1]) == 9.0
