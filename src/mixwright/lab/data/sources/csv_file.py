"""Images that a table of the user's names: a CSV with a column of paths and one of labels."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from torch import Tensor

from mixwright.arguments import did_you_mean
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.parts import PartName, choose_parts
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.columns import LABEL_NAMES, OTHER_LABEL_NAMES
from mixwright.lab.data.sources.divided import Part, divided_source
from mixwright.lab.data.sources.labels import number_parts
from mixwright.lab.data.sources.walk import readable

IMAGE_COLUMNS = ("path", "filepath", "file_path", "filename", "file_name", "file", "image", "img")
SPLIT_COLUMNS = ("split", "subset", "partition", "set")
"""Names that columns have where no option says; the first that is there is taken."""


@dataclass(frozen=True, kw_only=True)
class CsvOptions:
    """The options after the path, ``csv:PATH:option=value,...``.

    Args:
        image: column of paths.
        label: column of the classes' names.
        split: column that says the part of each row; ``none`` where there is none.
        test: the part to test on; by default the one called test, else validation.
        root: folder below which the paths lie, relative to the table's.
        suffix: ending that the paths lack, e.g. ``.jpg``.
    """

    image: str = ""
    label: str = ""
    split: str = ""
    test: str = ""
    root: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class _Row:
    line: int
    path: str
    label: str
    split: str
    file: Path


def load_csv_file(request: Request) -> Source:
    """Return images and labels that a table names, a line an image; the first line names columns.

    Fields are separated by commas, semicolons or tabs. Paths are relative to the table's folder.
    Classes are in the order of the alphabet, or of the numbers that all of them are. Parts are by
    the names in the column of splits (see ``choose_parts``); without one a fifth of each class is
    held out.
    """
    path, options = _taken_apart(request.path)
    rows, has_split = _rows(path, options)
    if not request.skip_unreadable:
        _check_files(path, rows)
    of_part: dict[PartName, list[_Row]] = {"train": rows}
    words: dict[PartName, str] = {"train": "train"}
    if has_split:
        words, of_part = _parts(path, rows, options, request.left_out)
    elif options.test:
        raise DataError(
            f"{path}: test={options.test} names a part, but there is no column of parts; expected "
            f"one called {', '.join(SPLIT_COLUMNS)}, or split=COLUMN."
        )
    where = readable(path)

    def part(role: PartName) -> Part:
        some = of_part[role]
        title = f"rows of {words[role]}"
        return Part(
            name=f"{where} ({title})" if has_split else where,
            title=title,
            labels=[row.label for row in some],
            images=partial(_images, some),
        )

    parts, classes = number_parts(
        {role: partial(part, role) for role in of_part},
        classes=(),
        what="the labels",
        sure=True,
        left_out=request.left_out,
    )
    return divided_source(
        parts,
        classes=classes,
        where=where,
        title=f"images of the table {readable(path.name)}",
        split=f"rows of {words['train']} and {words.get('test')} as found",
        request=request,
    )


def _taken_apart(spec: str) -> tuple[Path, CsvOptions]:
    """Return the table and the options after it; a path may hold colons."""
    path = Path(spec).expanduser()
    given: dict[str, str] = {}
    head, _, behind = spec.rpartition(":")
    if not path.exists() and head and "=" in behind:
        path = Path(head).expanduser()
        known = [field.name for field in fields(CsvOptions)]
        for pair in behind.split(","):
            name, sign, value = (text.strip() for text in pair.partition("="))
            if not sign or not value or name in given:
                raise DataError(
                    f"csv:{spec}: cannot read {pair!r}; expected csv:PATH:option=value, several "
                    "with commas between them, each once."
                )
            if name not in known:
                raise DataError(
                    f"csv has no option {name!r}.{did_you_mean(name, known)} It has "
                    f"{', '.join(known)}."
                )
            given[name] = value
    if not path.is_file():
        raise DataError(
            f"{readable(path)} is not a file. Give the table that names the images: csv:PATH, e.g. "
            "csv:pets/labels.csv:image=filename,label=breed."
        )
    return path, CsvOptions(**given)


def _rows(path: Path, options: CsvOptions) -> tuple[list[_Row], bool]:
    """Return the lines of a table, and whether one of its columns says their part."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{readable(path)} is not text in UTF-8 ({error}). Save it as UTF-8."
        ) from error
    first = text.partition("\n")[0]
    # Of the three, the one that is there most often; a comma where none is.
    table = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        lines = [(table.line_num, cells) for cells in table]
    except csv.Error as error:
        raise DataError(
            f"{readable(path)} line {table.line_num} cannot be read ({error}); expected fields of "
            "paths and names. Look for a quotation mark that is not closed."
        ) from error
    head = [name.strip() for name in lines[0][1]] if lines else []
    image = _column(path, head, "image", options.image, IMAGE_COLUMNS)
    label = _column(path, head, "label", options.label, (*LABEL_NAMES, *OTHER_LABEL_NAMES))
    split = None
    if options.split != "none":
        there = options.split or _known(head, SPLIT_COLUMNS)
        split = _column(path, head, "split", options.split, SPLIT_COLUMNS) if there else None
    root = path.parent / Path(options.root).expanduser()
    rows: list[_Row] = []
    label_of: dict[str, _Row] = {}
    for line, cells in lines[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(head):
            raise DataError(
                f"{readable(path)} line {line} has {len(cells)} fields; expected {len(head)}, one "
                f"for each of {', '.join(head)}."
            )
        part = "" if split is None else cells[split].strip()
        listed = cells[image].strip()
        row = _Row(line, listed, cells[label].strip(), part, root / (listed + options.suffix))
        for word, value in (("path", row.path), ("label", row.label)):
            if not value or (word == "label" and value == "-1"):
                raise DataError(
                    f"{readable(path)} line {line} has no {word} ({value!r}); expected one in "
                    "each. Remove the line."
                )
        known = label_of.setdefault(os.path.normpath(row.path), row)
        if known.label != row.label:
            raise DataError(
                f"{readable(path)} calls {row.path} {known.label!r} in line {known.line} and "
                f"{row.label!r} in line {line}; expected one class for each image."
            )
        rows.append(row)
    if not rows:
        raise DataError(
            f"{readable(path)} names no images; expected at least one line below its head."
        )
    return rows, split is not None


def _known(head: Sequence[str], known: Sequence[str]) -> str | None:
    plain = {name.casefold(): name for name in reversed(head)}
    return next((plain[name] for name in known if name in plain), None)


def _column(path: Path, head: Sequence[str], option: str, given: str, known: Sequence[str]) -> int:
    """Return the place of a column, by the option or else by its name."""
    name = given if given in head else None if given else _known(head, known)
    if name is not None and head.count(name) == 1:
        return head.index(name)
    expected = repr(given) if given else f"one called {', '.join(known)}"
    raise DataError(
        f"{readable(path)} has the columns {', '.join(head)}; expected {expected}, once. Name the "
        f"column with {option}=COLUMN behind the path, csv:PATH:{option}=COLUMN."
    )


def _parts(
    path: Path, rows: list[_Row], options: CsvOptions, left: list[str]
) -> tuple[dict[PartName, str], dict[PartName, list[_Row]]]:
    """Return what each part is called in the column of splits, and its rows."""
    names = sorted({row.split for row in rows})
    chosen = choose_parts(names, where=readable(path), wanted=options.test or None)
    if chosen.train is None or chosen.test is None:
        raise DataError(
            f"{readable(path)} has the parts {', '.join(map(repr, names))}; expected train and "
            "test or validation. Leave the column out with split=none: a fifth of each class is "
            "then held out."
        )
    if chosen.left:
        count = sum(row.split in chosen.left for row in rows)
        left.append(f"{count:,} row(s) of no part ({', '.join(map(repr, chosen.left))})")
    words = chosen.taken
    return words, {part: [row for row in rows if row.split == word] for part, word in words.items()}


def _check_files(path: Path, rows: Sequence[_Row]) -> None:
    """Refuse a table that names images which are not there."""
    gone = [row for row in rows if not row.file.is_file()]
    if gone:
        first = readable(gone[0].file)
        raise DataError(
            f"{len(gone):,} of the {len(rows):,} images that {readable(path)} names are not there "
            f"or no files, such as {first} (line {gone[0].line}). Say where they lie with "
            "root=FOLDER and how they end with suffix=.jpg behind the path, or leave them out with "
            "skip_unreadable (--skip-unreadable)."
        )


def _images(some: Sequence[_Row], rows: Tensor, labels: Tensor) -> EncodedImages:
    """Return the images of some rows, not read yet."""
    chosen = [some[row] for row in rows.tolist()]
    return EncodedImages([row.file for row in chosen], [row.path for row in chosen], labels)
