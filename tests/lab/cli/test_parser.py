"""Words to dataclasses, and what is said about words that are wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from mixwright.lab.cli.errors import UsageError
from mixwright.lab.cli.options import CompareOptions
from mixwright.lab.cli.parser import parse
from mixwright.lab.training.recipe import Recipe


def read(*words: str) -> CompareOptions:
    return parse(CompareOptions, words, prog="mixwright compare", about="About.")


def test_words_in_any_order() -> None:
    options = read("none", "--epochs", "3", "mixup", "--lr=0.1", "--skip-unreadable", "a+b:c=1")
    assert options.methods == ("none", "mixup", "a+b:c=1")
    assert (options.epochs, options.lr, options.skip_unreadable) == (3, 0.1, True)
    assert options.model is None
    assert options.recipe_fields() == {"data": "digits", "epochs": 3, "lr": 0.1}


def test_underscores_negative_numbers_and_truth() -> None:
    options = read("--batch_size", "8", "--min-lr", "-1", "--flip", "false")
    assert (options.batch_size, options.min_lr, options.flip) == (8, -1.0, False)


def test_a_file_gives_options_and_words_win(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("epochs: 7\nlr: 0.5\nmethods: [none, cutmix]\n")
    options = read("--lr", "0.3", "--config", str(tmp_path / "c.yaml"))
    assert (options.epochs, options.lr, options.methods) == (7, 0.3, ("none", "cutmix"))
    assert read("fmix", "--config", str(tmp_path / "c.yaml")).methods == ("fmix",)
    (tmp_path / "c.yaml").write_text("epchs: 7\n")
    with pytest.raises(UsageError, match='Did you mean "epochs"'):
        read("--config", str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epochs: 2.5", "--epochs is 2.5; expected a whole number."),
        ("lr: fast", "--lr is fast; expected a number."),
        ("flip: 3", "--flip is 3; expected true or false."),
        ("methods: 3", "--methods is 3; expected a list."),
    ],
)
def test_what_is_wrong_in_a_file_is_named(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(line)
    with pytest.raises(UsageError) as caught:
        read("--config", str(tmp_path / "c.yaml"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- epochs\n- lr\n", "holds a list; expected YAML or JSON with options by name"),
        (b"3", "holds one value; expected YAML or JSON"),
        (b"", "holds nothing; expected YAML or JSON"),
        (b"epochs: [3\nlr: 2", "c.yaml, line 2, column 3: "),
        (b'{"epochs": 3,,}', "c.yaml, line 1, column 14: "),
        (b"\xff\xfe\x00", "cannot be read ('utf-8' codec can't decode byte 0xff"),
        (b"epochs: 3\nlr: 1\nepochs: 4\n", "names epochs twice"),
        (
            b'{"lr": 1' + b"0" * 400 + b"}",
            "--lr is 1000000000000000000000000000000000000000...; exp",
        ),
        (b'{"lr": 1' + b"0" * 5000 + b"}", "cannot be read (Exceeds the limit (4300 digits)"),
        (b'{"lr": 1e400}', "--lr is inf; expected a finite number."),
    ],
)
def test_a_file_that_is_none_of_options_is_told_in_one_sentence(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read("--config", str(tmp_path / "c.yaml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "gone.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError) as caught:
            read("--config", str(path))
        assert f"--config {path} cannot be read: {reason}" in str(caught.value)


def test_a_file_may_write_numbers_as_python_does(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("lr: 1e-3\nmin_lr: 0\nmethods: cutmix:minmax=0.2;0.8\n")
    options = read("--config", str(tmp_path / "c.yaml"))
    assert (options.lr, options.min_lr) == (0.001, 0.0)
    assert type(options.min_lr) is float
    assert options.methods == ("cutmix:minmax=0.2;0.8",)


def test_every_field_of_a_recipe_that_says_what_it_is_about_is_an_option() -> None:
    named = {field.name for field in fields(Recipe)} - {"method", "seed", "init_digest"}
    options = {field.name: field for field in fields(CompareOptions)}
    assert named <= set(options)
    for name in named - {"data"}:
        assert options[name].default is None, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epoch", "3"], 'no option --epoch. Did you mean "--epochs"?'),
        (["--epochs"], "--epochs needs a value"),
        (["--epochs", "--lr", "1"], "--epochs needs a value"),
        (["--epochs", "x"], "--epochs is x; expected a whole number."),
        (["--epochs", "2.5"], "--epochs is 2.5; expected a whole number."),
        (["--lr", "fast"], "--lr is fast; expected a number."),
        (["--flip", "maybe"], "--flip is maybe; expected true or false."),
        (["--precision", "fp61"], "--precision is fp61; expected fp32 or bf16."),
        (["--optimizer", "sgdd"], 'Did you mean "sgd"?'),
        (["--skip-unreadable=1"], "--skip-unreadable takes no value"),
        (["-e", "3"], "no option -e"),
    ],
)
def test_what_is_wrong_is_named(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(*words)
    assert said in str(caught.value)


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        read("--help")
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for name in CompareOptions.__dataclass_fields__:
        if name != "methods":
            assert f"--{name.replace('_', '-')} " in shown, name
    assert "mixwright compare [METHOD ...] [options]" in shown
    assert "About." in shown


@pytest.mark.parametrize("flag", ["--method", "--methods"])
def test_what_stands_without_dashes_is_no_option(flag: str) -> None:
    with pytest.raises(UsageError, match=rf"{flag} is no option: METHOD is written without dashes"):
        read(flag, "cutmix")
