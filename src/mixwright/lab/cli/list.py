"""``mixwright list``: methods, data sets, models and evaluations."""

import inspect
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwright.arguments import did_you_mean
from mixwright.lab.cli.errors import UsageError
from mixwright.lab.cli.parser import option, parse

ABOUT = """List what there is.

WHAT is methods, data, models, recipes or evaluations; without it, all."""

if TYPE_CHECKING:
    from mixwright.mixers.cards import Card

KINDS = ("methods", "data", "models", "recipes", "evaluations")

_EVERY_MIXER = (
    "Each mixer takes p=1 too, the chance of mixing, for each sample or, if it draws once a batch, "
    "for each batch; and clean=0, the weight w of a loss on whole images, "
    "(mixed + w * whole) / (1 + w): one more forward and backward, 1.00 x a plain step more. "
    "Numbers may change evenly over training: p=0to1."
)

_Row = tuple[str, str, dict[str, str]]

_OTHER_MODELS: tuple[_Row, ...] = (
    ("any timm name", "where timm is installed; timm:NAME where we have one of that name", {}),
    ("module:function", "a network of your own: package.module:function, see docs/models.md", {}),
)


@dataclass(frozen=True)
class ListOptions:
    """``mixwright list``."""

    what: tuple[str, ...] = option(
        (), "methods, data, models, recipes or evaluations", metavar="WHAT"
    )


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``mixwright.lab.cli.main``."""
    options = parse(ListOptions, argv, prog="mixwright list", about=ABOUT)
    for kind in options.what:
        if kind not in KINDS:
            raise UsageError(
                f"there is no list of {kind}.{did_you_mean(kind, KINDS)} "
                f"Known are {', '.join(KINDS)}."
            )
    show = {
        "methods": _methods,
        "data": _data,
        "models": _models,
        "recipes": _recipes,
        "evaluations": _evaluations,
    }
    for kind in options.what or KINDS:
        show[kind]()
    return 0


def _methods() -> None:
    from mixwright.mixers import CARDS, MIXERS
    from mixwright.objectives import OBJECTIVE_CARDS, OBJECTIVES

    rows: list[_Row] = [("none", "train on images as they are", {})]
    rows += [_method(name, cls, CARDS.get(name)) for name, cls in MIXERS.items()]
    _print("methods: mixers", rows, note=_EVERY_MIXER)
    learners = [
        _method(name, cls, OBJECTIVE_CARDS.get(name))
        for name, cls in OBJECTIVES.items()
        if name != "mixed"
    ]
    if learners:
        _print("methods: training objectives", learners)


def _method(name: str, cls: type, card: "Card | None") -> _Row:
    if card is None:
        return name, first_line(cls), {"options": options_of(cls)}
    return name, card.note.rstrip("."), _card(card) | {"options": options_of(cls)}


def _data() -> None:
    from mixwright.lab.data.names import DATA_LINES

    _print("data sets (--data)", [(name, line, {}) for name, line in DATA_LINES.items()])


def _evaluations() -> None:
    from mixwright.lab.experiments.evaluations.parts import PARTS, part_class

    classes = {name: part_class(name) for name in PARTS}
    _print(
        "evaluations (evaluate --only)",
        [(name, cls.about, {"options": options_of(cls)}) for name, cls in classes.items()],
    )


def _models() -> None:
    from mixwright.lab.models.names import MODELS

    rows: list[_Row] = [(name, line, {}) for name, line in MODELS.items()]
    _print("models (--model)", [*rows, *_OTHER_MODELS])


def _recipes() -> None:
    from mixwright.lab.experiments.presets import PRESETS, shown

    rows: list[_Row] = []
    for name, preset in PRESETS.items():
        more = {"source": preset.source, "options": shown(preset.fields)}
        if preset.learned:
            more["learned"] = f"with methods that learn a mixer: {shown(preset.learned)}"
        if preset.methods:
            more["METHOD"] = preset.methods
        rows.append((name, preset.title, {**more, "departs": " ".join(preset.departs)}))
    _print("recipes (--recipe)", rows)


def first_line(cls: type) -> str:
    """The first sentence of a class's docstring, without its full stop."""
    return (inspect.getdoc(cls) or "").partition("\n")[0].rstrip(".")


def options_of(cls: type) -> str:
    """The options that a METHOD of this class takes, with their defaults."""
    from mixwright.lab.experiments.methods import presets_of
    from mixwright.lab.settings import default_texts, option_types

    defaults = default_texts(cls)
    options = [
        name
        if name not in defaults
        else f"{name}={'(Python only)' if defaults[name] is None else defaults[name]}"
        for name in option_types(cls)
        if name != "criterion"  # follows --loss
    ]
    return ", ".join([*options, *(f"or preset={name}" for name in presets_of(cls))])


def _card(card: "Card") -> dict[str, str]:
    from mixwright.lab.bench.recorded_times import describe_times

    dims = "any number of spatial dimensions" if card.dims == "any" else "2-D images"
    return {
        "source": f"{card.paper}, {card.link}",
        "needs": f"{card.needs}; {dims}",
        "cost": card.cost,
        "passes": passes(card),
        **({"measured": times} if (times := describe_times(card.title.lower())) else {}),
    }


def passes(card: "Card") -> str:
    """What a training step with a method asks of the model, in words and in plain steps."""
    many = [
        f"{count:g} {word}{'' if count == 1 else 's'}{rest}"
        for count, word, rest in (
            (card.forwards, "forward", ""),
            (card.backwards, "backward", ""),
            (card.input_backwards, "backward", " to the input"),
        )
        if count
    ]
    exact = "a plain step" if card.times == 1 else f"{card.times:.2f} x a plain step"
    return f"{', '.join(many)}: {exact}"


def _print(title: str, rows: Sequence[_Row], *, note: str = "") -> None:
    wide = max(len(name) for name, _, _ in rows) + 4
    room = max(40, shutil.get_terminal_size((100, 24)).columns - wide)
    print(f"\n{title}")
    if note:
        _block("  ", note, room + wide - 2)
    for name, line, more in rows:
        _block(f"  {name}".ljust(wide), line, room)
        for heading, text in more.items():
            _block(" " * wide + heading.ljust(9), text, room - 9)


def _block(head: str, text: str, room: int) -> None:
    for number, line in enumerate(textwrap.wrap(text, room) or [""]):
        print((head if number == 0 else " " * len(head)) + line)
