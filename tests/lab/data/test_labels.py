"""One rule for labels, in parquet files, tables and sets of the hub (folders: test_folder.py)."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.data.pictures import picture, png, write
from mixwright.lab.data import DataError, Dataset, load_data
from mixwright.lab.data.sources.columns import Kind, label_column

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def save(root: Path, name: str, names: list[str] | None = None, /, **columns: Any) -> None:
    """A parquet file of pictures; ``names`` are the classes of a Hugging Face schema."""
    count = len(next(iter(columns.values())))
    first = sum(name.encode()) * 10  # other files have other pictures
    table = pa.table({"image": [png(picture(first + k)) for k in range(count)], **columns})
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        told = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": told})
    root.mkdir(exist_ok=True)
    pq.write_table(table, root / f"{name}.parquet")


def load(root: Path | str) -> Dataset:
    return load_data(f"parquet:{root}", image_size=8)


def test_schemas_in_another_order_are_matched_by_name(tmp_path: Path):
    save(tmp_path, "train-0", ["dog", "cat"], label=[0, 0, 1])
    save(tmp_path, "train-1", ["cat", "dog"], label=[0, 0, 1])
    save(tmp_path, "test", ["cat", "dog"], label=[0, 1, 1])
    save(tmp_path, "val", ["cat"], label=[0])
    data = load(tmp_path)
    assert data.classes == ("dog", "cat")
    assert data.train.labels.tolist() == [0, 0, 1, 1, 1, 0]
    assert data.test.labels.tolist() == [1, 0, 0]
    assert data.validation is not None
    assert data.validation.labels.tolist() == [1]


def test_schemas_with_other_names_are_refused(tmp_path: Path):
    save(tmp_path, "train", ["dog", "cat"], label=[0, 1])
    save(tmp_path, "test", ["cat", "hen"], label=[0])
    with pytest.raises(DataError, match=r"test.parquet has 1 of 2 classes .*'hen'.*'dog', 'cat'"):
        load(tmp_path)


@pytest.mark.parametrize("other", ["width", "number", "__index_level_0__", "coarse", "kind"])
@pytest.mark.parametrize("name", ["label", "Label", "class", "category"])
@pytest.mark.parametrize("categorical", [False, True])
def test_text_is_used_and_never_the_other_column(
    tmp_path: Path, other: str, name: str, categorical: bool
):
    text = pa.array(["dog", "cat", "dog"])
    text = text.dictionary_encode() if categorical else text
    save(tmp_path, "train", None, **{other: [0, 1, 1], name: text})
    save(tmp_path, "test", None, **{other: [7], name: ["dog"]})
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [1, 0, 1]
    assert data.test.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("kinds", "label"),
    [
        ({"fine_label": Kind.NUMBER, "coarse_label": Kind.NUMBER}, "fine_label"),
        ({"label": Kind.OTHER, "kind": Kind.NUMBER}, None),
        ({"label": Kind.TEXT, "labels": Kind.NUMBER}, "label"),
        ({"kind": Kind.NUMBER, "caption": Kind.TEXT}, "kind"),
        ({"width": Kind.NUMBER}, None),
        ({"width": Kind.NUMBER, "height": Kind.NUMBER, "kind": Kind.NUMBER}, "kind"),
        ({"image_id": Kind.NUMBER, "ID": Kind.NUMBER}, None),
        ({"Unnamed: 0": Kind.NUMBER}, None),
        ({"a": Kind.NUMBER, "b": Kind.NUMBER}, None),
        ({"kind": Kind.TEXT}, None),
    ],
)
def test_which_column_holds_the_labels(kinds: dict[str, Kind], label: str | None):
    assert label_column(kinds) == label


def test_an_index_of_pandas_is_no_label(tmp_path: Path):
    table = pa.table({"image": [png(picture(k)) for k in range(3)], "place": [0, 1, 1]})
    table = table.replace_schema_metadata({"pandas": json.dumps({"index_columns": ["place"]})})
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(DataError, match="expected one of class numbers, named label"):
        load(tmp_path)


def alone(**columns: Any) -> Callable[[Path], None]:
    return lambda root: save(root, "all", None, **columns)


def with_test(train: Any, test: Any, names: list[str] | None = None) -> Callable[[Path], None]:
    def prepare(root: Path) -> None:
        save(root, "train", names, label=train)
        save(root, "test", names, label=test)

    return prepare


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (alone(label=[-1, -1, -1]), "labels from -1 to -1 in 'label'.*without labels"),
        (alone(label=[0, 1, -1]), "labels from -1 to 1 in 'label'.*without labels"),
        (alone(label=[0, 1, 10**9]), "labels from 0 to 1000000000 in 'label' for 3 images"),
        (alone(label=[0, 1, 3]), "labels from 0 to 3 in 'label' for 3 images"),
        (alone(kind=[2, 0, 1]), "another number in 'kind' for each of its 3 images"),
        (alone(label=[0, 0, 0]), "images of one class, '0'; expected images of at least two"),
        (alone(label=["a", "a"]), "images of one class, 'a'; expected images of at least two"),
        (alone(label=["a", None]), "1 rows have no 'label'"),
        (alone(label=["a", ""]), "1 rows have no 'label'"),
        (alone(label=[0.0, 1.0], kind=[0, 1]), "expected one of class numbers"),
        (alone(label=[[0], [1]], kind=[0, 1]), "expected one of class numbers"),
        (with_test([0, 1], [2]), "test.* labels from 2 to 2 in 'label'; expected 0 to 1"),
        (with_test([0, 2, 0], [1]), "test.* has the class '1', which .*train.* has not"),
        (with_test([0, 1], [2], ["x", "y", "z"]), "test.* has the class 'z', which .* has not"),
        (with_test(["a", "b"], ["c", "d", "a"]), "has the class 'c' and 1 more, which is not trai"),
        (
            with_test(["a", "b"], [0]),
            "has int64 in 'label', the first file text; expected one of cl",
        ),
        (with_test([0, 1], ["a"]), "has string in 'label', the first file whole numbers"),
    ],
)
def test_labels_that_are_refused(tmp_path: Path, prepare: Callable[[Path], None], says: str):
    prepare(tmp_path)
    with pytest.raises(DataError, match=says):
        load(tmp_path)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([-1], "labels from -1 to -1"),
        ([1, 5], "labels from 1 to 5"),
        (["x"], "string in 'label'"),
    ],
)
def test_validation_files_that_cannot_be_used_are_told(tmp_path: Path, labels: Any, says: str):
    with_test([0, 1], [1])(tmp_path)
    save(tmp_path, "validation", None, label=labels)
    data = load(tmp_path)
    assert data.validation is None
    assert "Left out: the validation part (" in data.summary
    assert says in data.summary


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "TEST"),
        ("pets_train-0-of-1", "pets_test-0-of-1"),
        ("train_set", "eval"),
        ("train_of_test", "test_of_train"),  # the first word
    ],
)
def test_parts_by_the_names_of_files(tmp_path: Path, train: str, test: str):
    save(tmp_path, train, None, label=[0, 1, 1])
    save(tmp_path, test, None, label=[1])
    data = load(tmp_path)
    assert (len(data.train), len(data.test)) == (3, 1)


def test_a_file_says_more_than_its_folder(tmp_path: Path):
    save(tmp_path / "train", "data-0", None, label=[0, 1, 1])
    save(tmp_path / "train", "test-0", None, label=[1])
    save(tmp_path / "__MACOSX", "train-0", None, label=[5])
    data = load(tmp_path)
    assert (len(data.train), len(data.test)) == (3, 1)


def test_a_validation_part_and_the_part_behind_the_path(tmp_path: Path):
    with_test([0, 1, 1], [1])(tmp_path)
    save(tmp_path, "dev", None, label=[0, 1])
    data = load(tmp_path)
    assert data.validation is not None
    assert (len(data.test), len(data.validation)) == (1, 2)
    assert "files for train and test as found, validation files to choose by" in data.note
    tuning = load(f"{tmp_path}:val")
    assert (len(tuning.train), len(tuning.test), tuning.validation) == (3, 2, None)
    assert "1 parquet file(s) of no part, such as test.parquet" in tuning.summary
    with pytest.raises(DataError, match="'vla' is no part of it"):
        load(f"{tmp_path}:vla")
    with pytest.raises(DataError, match="is one file and has no part 'val'"):
        load(f"{tmp_path / 'dev.parquet'}:val")


def table(root: Path, *lines: str, name: str = "labels.csv") -> Path:
    """A table, and a picture for each path in it that ends in .png."""
    root.mkdir(exist_ok=True)
    for k, path in enumerate(sorted({word for line in lines for word in line.split(",")})):
        if path.endswith(".png") and not (root / path).exists():
            write(root / path, picture(k))
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / name


def load_table(path: Path | str, **more: Any) -> Dataset:
    return load_data(f"csv:{path}", image_size=8, **more)


SPLIT = (
    *("filename,label,split", "x/1.png,dog,train", "x/2.png,cat,train", "x/3.png,dog,train"),
    *("y/4.png,cat,val", "", "y/5.png,dog,Test", "z/6.png,dog,extra"),
)


def test_a_table_with_parts(tmp_path: Path):
    data = load_table(table(tmp_path, *SPLIT))
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [1, 0, 1]
    assert data.test.labels.tolist() == [1]
    assert data.validation is not None
    assert data.validation.labels.tolist() == [0]
    assert "Left out: 1 row(s) of no part ('extra')" in data.summary
    assert "the table labels.csv: rows of train and Test as found, rows of val to ch" in data.note


@pytest.mark.parametrize(
    ("options", "sizes"),
    # Of 2 cats and 4 dogs in all, one of each is held out.
    [("test=val", (3, 1, 0)), ("test=extra", (3, 1, 1)), ("split=none", (4, 2, 0))],
)
def test_which_part_of_a_table_is_tested_on(
    tmp_path: Path, options: str, sizes: tuple[int, int, int]
):
    path = table(tmp_path, *SPLIT)
    data = load_table(f"{path}:{options}")
    assert (len(data.train), len(data.test), len(data.validation or ())) == sizes


def test_columns_by_options_and_a_fifth_held_out(tmp_path: Path):
    lines = ["id;breed;label", *(f"{k};{'hen' if k % 2 else 'cat'};x" for k in range(10))]
    for k in range(10):
        write(tmp_path / "photos" / f"{k}.png", picture(k))
    path = table(tmp_path / "lists:all", *lines)
    data = load_table(f"{path}:image=id,label=breed,root=../photos,suffix=.png")
    assert data.classes == ("cat", "hen")
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0, 1] * 4, [0, 1])
    assert "a fifth of each class held out" in data.note


@pytest.mark.parametrize(
    ("image", "label"),
    [("path", "class"), ("Filename", "Label"), ("file_name", "category"), ("image", "target")],
)
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_usual_columns(tmp_path: Path, image: str, label: str, mark: str):
    for k in range(4):
        write(tmp_path / f"{k}.png", picture(k))
    lines = [f"{label}{mark}{image}", *(f"{k % 2}{mark}{k}.png" for k in range(4))]
    path = tmp_path / "a.tsv"
    path.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")  # as Excel writes it
    data = load_table(path)
    assert data.classes == ("0", "1")
    assert len(data.train) == 2


def test_names_may_hold_any_sign(tmp_path: Path):
    names = ["a\u2028b", "c\x1cd", 'e, "f"', "g\nh"]
    for k in range(8):
        write(tmp_path / f"{k}.png", picture(k))
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("path", "label"), *((f"{k}.png", names[k // 2]) for k in range(8))]
        )
    data = load_table(tmp_path / "a.csv")
    assert data.classes == tuple(names)
    assert data.train.labels.tolist() == [0, 1, 2, 3]


def test_paths_may_be_absolute_and_missing_images_are_named(tmp_path: Path):
    path = table(tmp_path / "a", "path,label", "1.png,x", "2.png,y", "3.png,x", "4.png,y")
    away = write(tmp_path / "b" / "5.png", picture(9))
    with path.open("a") as file:
        file.write(f"{away},x\n")
    assert len(load_table(path).train) == 3
    (path.parent / "1.png").unlink()
    (path.parent / "2.png").unlink()
    with pytest.raises(DataError, match=r"2 of the 5 images .*labels\.csv names .*1\.png \(line 2"):
        load_table(path)
    data = load_table(path, skip_unreadable=True)
    assert len(data.train) + len(data.test) == 3


@pytest.mark.parametrize(
    ("lines", "options", "says"),
    [
        (["a,b", "1.png,x"], "", "has the columns a, b; expected one called path, .*image=COLUMN"),
        (["path,b", "1.png,x"], "", "expected one called label, labels, .*label=COLUMN"),
        (["path,label", "1.png,x"], ":image=photo", "columns path, label; expected 'photo', once"),
        (["path,label,label", "1.png,x,y"], "", "expected one called label"),
        (
            ["path,label", "1.png"],
            "",
            "line 2 has 1 fields; expected 2, one for each of path, labe",
        ),
        (["path,label", "1.png,x", "2.png,"], "", r"line 3 has no label \(''\)"),
        (["path,label", "1.png,0", "2.png,-1"], "", r"line 3 has no label \('-1'\)"),
        (["path,label", ",x"], "", r"line 2 has no path \(''\)"),
        (["path,label", "1.png,x", "1.png,y"], "", "calls 1.png 'x' in line 2 and 'y' in line 3"),
        (
            ["path,label", "1.png,x", "./a/../1.png,y"],
            "",
            r"calls \./a/\.\./1.png 'x' in line 2 and 'y'",
        ),
        (["path,label", '"1.png,x', "z" * 140_000], "", "line 3 cannot be read .*quotation mark"),
        (["path,label"], "", "names no images; expected at least one line below its head"),
        (["path,label", "1.png,x", "2.png,x"], "", "images of one class, 'x'"),
        (["path,label", "1.png,x", "2.png,y"], "", "every class has a single image"),
        (["path,label", "1.png,x", "2.png,y"], ":test=val", "there is no column of parts"),
        (["path,label,split", "1.png,x,0", "2.png,y,1"], "", "has the parts '0', '1'; expected tr"),
        (["path,label,split", "1.png,x,train", "2.png,y,train"], ":test=val", "'val' is no part"),
        (
            ["path,label,split", "1.png,x,train", "2.png,y,train", "3.png,z,test"],
            "",
            "has the class 'z', which is not trained on",
        ),
        (["path,label", "1.png,x"], ":imgae=path", r"no option 'imgae'\. Did you mean .image.\?"),
        (["path,label", "1.png,x"], ":image=path,image=path", "cannot read 'image=path'"),
        (["path,label", "1.png,x"], ":image=", "cannot read 'image='"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, lines: list[str], options: str, says: str):
    path = table(tmp_path, *lines)
    with pytest.raises(DataError, match=says):
        load_table(f"{path}{options}")


def test_what_is_no_table(tmp_path: Path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match=r"is not a file\. Give the table"):
            load_table(path)
    (tmp_path / "a.csv").write_bytes("path,label\ncafé.png,x".encode("latin-1"))
    with pytest.raises(DataError, match="is not text in UTF-8"):
        load_table(tmp_path / "a.csv")


def test_classes_that_are_numbers_are_in_their_order(tmp_path: Path):
    lines = [f"{number}-{k}.png,{number}" for number in (10, 2, 1000000000) for k in range(2)]
    data = load_table(table(tmp_path, "path,label", *lines))
    assert data.classes == ("2", "10", "1000000000")


def test_a_table_whose_images_are_decoded_when_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = table(tmp_path, *SPLIT)
    whole = load_table(path)
    monkeypatch.setattr("mixwright.lab.data.memory.WHOLE_SET_BYTES", 100)
    lazy = load_table(path)
    rows = lazy.train.labels.argsort(stable=True)
    assert (lazy.train.take(rows) == whole.train.take(rows)).all()
    assert lazy.summary.endswith("Identical pictures were not looked for (not in memory).")
