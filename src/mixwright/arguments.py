"""What constructors take and refuse: plain numbers, ranges, words; and which word was meant."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from torch import Tensor

HIGHEST_RATE = 1e6
"""Highest learning rate and weight decay; beyond, float32 overflows, by a traceback of torch's."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


class MissingModelError(ValueError):
    """A mixer looks at the model and was given none."""

    def __init__(self, why: str, instead: str = "") -> None:
        # What is raised in a loader's worker is made again of its text alone.
        super().__init__(
            f"{why} Pass model=... to plan() or Mix, or {instead}." if instead else why
        )
        self.why, self.instead = why, instead

    def at(self, place: str) -> ValueError:
        """Give the error of a place that has no model to pass on."""
        return ValueError(
            f"{self.why} {place} has no model: mix in the training loop by Mix, "
            f"mix(images, labels, model=model), or {self.instead}."
        )


def plain(value: Any) -> Any:
    """Return NumPy's scalars and 0-d tensors, and those in a tuple or list, as Python's numbers.

    Anything else is returned as it is.

    Example:
        >>> import torch
        >>> plain(torch.tensor(2)), plain((torch.tensor(0.5), None)), plain("fit")
        (2, (0.5, None), 'fit')
    """
    if type(value) in (tuple, list):
        return type(value)(plain(part) for part in value)
    # Of NumPy, torch and their like alike, none of which needs to be imported.
    scalar = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if scalar else value


def check_settings(record: Any) -> None:
    """Make every setting of a dataclass plain, and refuse one that is not of its declared type.

    For the start of ``__post_init__``, so that all that follows knows what it has before it. A
    setting shows, compares, hashes and is stored as one that was made of Python's numbers.
    """
    name, kinds = type(record).__name__, _known_hints(type(record))
    for field in dataclasses.fields(record):
        if field.init:
            value = getattr(record, field.name)
            # A default is of its type whatever is declared, in classes of users.
            kind = Any if value is field.default else kinds.get(field.name, Any)
            made = _typed(name, field.name, value, kind)
            if made is not value:
                object.__setattr__(record, field.name, made)


def check_arguments(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function, or an ``__init__`` that is written out, as ``check_settings`` does.

    Its arguments arrive plain and of the types that its signature declares.
    """
    signature = inspect.signature(function)
    owned = next(iter(signature.parameters), "") == "self"

    @functools.wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        call: Any = function
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            bound = None
        if bound is None:
            return call(*args, **kwargs)  # Python's own words name the function
        name = type(args[0]).__name__ if owned else function.__name__
        kinds = _known_hints(function)
        for argument, value in bound.arguments.items():
            kind = kinds.get(argument, Any)
            if signature.parameters[argument].kind is inspect.Parameter.VAR_POSITIONAL:
                value = tuple(_typed(name, argument, one, kind) for one in value)
            elif not (owned and value is args[0]):
                value = _typed(name, argument, value, kind)
            bound.arguments[argument] = value
        return call(*bound.args, **bound.kwargs)

    return checked


UNIONS = (typing.Union, types.UnionType)


class _Module(type):
    """Lets a name that only type checkers know have attributes, as a module's ``np.ndarray``."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):  # typing asks for these
            raise AttributeError(name)
        return cls


class Unresolved(metaclass=_Module):
    """Stands for a type whose name is known to type checkers only."""

    def __class_getitem__(cls, inner: object) -> type:
        return cls


def type_hints(of: Any) -> dict[str, Any]:
    """Types by name; names imported under ``TYPE_CHECKING`` alone stand for ``Unresolved`` ones."""
    known: dict[str, Any] = {}
    while True:
        try:
            return typing.get_type_hints(of, localns=known or None)
        except NameError as error:
            if not error.name or error.name in known:
                return {}
            known[error.name] = _Module(error.name, (Unresolved,), {})
        except (TypeError, AttributeError, SyntaxError):
            return {}


_known_hints = functools.cache(type_hints)


def shown(value: object) -> str:
    """Show a value in a message: as Python writes it, or by its type where that is long.

    Example:
        >>> shown("fit"), shown(list(range(99)))
        ("'fit'", 'a list of 99')
    """
    if hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, type):
        array: Any = value
        return f"{of_type(value)} of shape {tuple(array.shape)} and dtype {array.dtype}"
    text = repr(value)
    if len(text) <= 80 and "\n" not in text:
        return text
    several = isinstance(value, list | tuple | dict | set | str | bytes)
    count = f" of {len(value)}" if several else ""  # pyright: ignore[reportUnknownArgumentType]
    return f"{of_type(value)}{count}"


def _typed(name: str, argument: str, value: Any, kind: Any) -> Any:
    """Give a value plain, a list as the tuple that is declared; refuse one of another type."""
    members = typing.get_args(kind) if typing.get_origin(kind) in UNIONS else (kind,)
    forms = [plain(value), value]  # as it is where NumPy's scalars or tensors are declared
    if any(getattr(member, "__name__", "") == "Tensor" for member in members):
        forms.reverse()
    for form in forms:
        if _fits(form, kind):
            return form
    for made, other in ((tuple, list), (list, tuple)):
        if any((typing.get_origin(one) or one) is made for one in members):
            for form in forms:
                if type(form) is other and _fits(made(form), kind):
                    return made(form)
    value = forms[0]
    hint = f" Make an object of it: {value.__name__}(...)." if isinstance(value, type) else ""
    raise ValueError(f"{name}: {argument} is {shown(value)}; expected {_expected(kind)}.{hint}")


def of_type(value: object) -> str:
    """Name the type of a value, with its article.

    Example:
        >>> of_type(3), of_type("three")
        ('an int', 'a str')
    """
    return with_article(type(value).__name__)


def with_article(word: str) -> str:
    """Return a word behind a or an.

    Example:
        >>> with_article("int"), with_article("Tensor")
        ('an int', 'a Tensor')
    """
    return f"a{'n' if word[:1] in 'AEIOUaeio' else ''} {word}"


def counted(number: int, word: str) -> str:
    """Return a number with what it counts, one or several, as messages show it.

    Example:
        >>> counted(1, "epoch"), counted(1200, "epoch"), counted(2, "class"), counted(0, "run")
        ('1 epoch', '1,200 epochs', '2 classes', '0 runs')
    """
    ending = "es" if word.endswith(("s", "tch", "x")) else "s"
    return f"{number:,} {word}{'' if number == 1 else ending}"


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a declared type; a bool is no number, a class no callable object."""
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in UNIONS:
        return any(_fits(value, member) for member in inner)
    if origin is Literal:
        same = (word for word in inner if isinstance(value, str) or type(value) is type(word))
        return any(value == word for word in same)
    if origin is bool or origin is type(None):
        return isinstance(value, origin)
    if origin in (int, float):
        numbers = int if origin is int else (int, float)
        finite = isinstance(value, numbers) and (origin is int or _finite(value))
        return finite and not isinstance(value, bool)
    if not isinstance(value, type) and not inner and origin in (tuple, list, Sequence):
        return isinstance(value, origin)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        several: tuple[Any, ...] = value
        if inner[1:] == (Ellipsis,):
            inner = (inner[0],) * len(several)
        return len(several) == len(inner) and all(map(_fits, several, inner))
    if origin in (Sequence, list):
        if isinstance(value, str | bytes) or not isinstance(value, origin):
            return False
        return all(_fits(one, inner[0]) for one in value)
    if origin is Callable:
        return callable(value) and not isinstance(value, type)
    if origin in (Any, object) or not isinstance(origin, type) or issubclass(origin, Unresolved):
        return True
    if isinstance(value, type):
        return origin is type
    if not _tells(origin):
        return True
    if not isinstance(value, origin):
        return False
    if origin.__name__ != "Tensor":
        return True
    return str(value.layout) == "torch.strided" and not value.is_quantized  # torch is not imported


def _finite(number: float) -> bool:
    """Whether a number is one that floats can hold; whole numbers may be larger."""
    return -sys.float_info.max <= number <= sys.float_info.max


def _tells(kind: type) -> bool:
    """Whether ``isinstance`` knows a type: every one but protocols that only checkers read."""
    return not getattr(kind, "_is_protocol", False) or getattr(kind, "_is_runtime_protocol", False)


_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    type(None): "None",
}


def _expected(kind: Any) -> str:
    """Say what a value of a declared type is, without a full stop."""
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in UNIONS:
        return " or ".join(_expected(member) for member in inner)
    if origin is Literal:
        return f"one of {', '.join(map(repr, inner))}"
    if origin is tuple and inner and inner[1:] != (Ellipsis,):
        if inner in ((float, float), (int, int)):
            return f"two {'whole ' if inner[0] is int else ''}numbers, (low, high)"
        return f"a tuple ({', '.join(_expected(member) for member in inner)})"
    if origin in (tuple, Sequence, list):
        row = "a list" if origin is list else "a tuple"
        return f"{row}, each of it {_expected(inner[0])}" if inner else row
    if origin is Callable:
        known: Any = inner[0] if inner and inner[0] is not Ellipsis else ()
        takes = ", ".join(getattr(one, "__name__", "...") for one in known) or "..."
        return f"a callable ({takes})"
    if getattr(origin, "_is_protocol", False):
        methods = [name for name, what in vars(origin).items() if inspect.isfunction(what)]
        public = [name for name in methods if not name.startswith("_")]
        if public:
            return f"an object with a {public[0]}(...) method"
        return "a callable"
    word = getattr(origin, "__name__", str(origin))
    if word == "Tensor":
        return "a dense tensor"
    return _WORDS.get(origin, with_article(word))


def check_number(
    name: str,
    argument: str,
    value: object,
    *,
    low: float = 0.0,
    high: float = math.inf,
    open_low: bool = False,
) -> None:
    """Refuse what is no number (a bool is none), not finite, or out of range, by a ValueError."""
    inside = False
    value = plain(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        inside = _finite(value) and low <= value <= high and not (open_low and value == low)
    if not inside:
        above = f" above {low:g}" if open_low else f" at least {low:g}"
        below = "" if math.isinf(high) else f" and at most {high:g}"
        raise ValueError(
            f"{name}: {argument} is {value!r}; expected a finite number"
            f"{'' if math.isinf(low) else above}{below}."
        )


def check_choice(name: str, argument: str, value: object, known: tuple[object, ...]) -> None:
    """Refuse a word that is none of the known ones."""
    if value not in known:
        words = ", ".join(map(repr, known))
        raise ValueError(f"{name}: {argument} is {value!r}; expected one of {words}.")


def check_range(
    name: str,
    argument: str,
    value: object,
    *,
    low: float = 0.0,
    high: float = float("inf"),
    open_low: bool = False,
) -> None:
    """Refuse anything but a pair of numbers in rising order."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name}: {argument} is {value!r}; expected two numbers, (low, high).")
    first, second = cast(tuple[float, float], plain(value))
    for number in (first, second):
        check_number(name, argument, number, low=low, high=high, open_low=open_low)
    if first > second:
        raise ValueError(
            f"{name}: {argument} is {value!r}; expected (low, high) with low <= high. Swap them."
        )


def check_whole(
    name: str, argument: str, value: object, *, low: int, high: int | None = None
) -> None:
    """Refuse anything but a whole number from ``low``, to ``high`` where that is given."""
    value = plain(value)
    most = math.inf if high is None else high
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= most:
        below = "" if high is None else f" and at most {high:,}"
        raise ValueError(
            f"{name}: {argument} is {value!r}; expected a whole number, at least {low}{below}."
        )


def check_unit(name: str, images: Tensor) -> None:
    """Refuse images that are not floating or not within [0, 1]; reads values.

    What rounding leaves beside 0 and 1, up to a hundred-thousandth, passes.
    """
    if not images.is_floating_point():
        raise ValueError(
            f"{name}: images have dtype {images.dtype}; expected floating ones in [0, 1]. Bytes "
            "become that by images.float() / 255."
        )
    if images.numel() == 0:
        return
    low, high = (float(end) for end in images.detach().aminmax())
    if not (low >= -1e-5 and high <= 1 + 1e-5):  # so that NaN is refused too
        raise ValueError(
            f"{name}: images run from {low:.3g} to {high:.3g}; expected values in [0, 1]. Undo a "
            "normalisation and let the model make it: Normalised(model, mean, std)."
        )


def nearest(word: str, known: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return up to ``count`` known words most like ``word``, the nearest first.

    Case and the signs ``-``, ``_`` and spaces do not count.

    Example:
        >>> nearest("cut_mx", ["mixup", "cutmix"]), nearest("zebra", ["mixup", "cutmix"])
        (['cutmix'], [])
    """
    from difflib import get_close_matches  # needed for mistakes alone: startup does without it

    named = {letters(name): name for name in known}
    near = get_close_matches(letters(word), named, n=count, cutoff=cutoff)
    return [named[found] for found in near]


def spelled(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is written like this but for case, ``-``, ``_`` and spaces.

    Example:
        >>> spelled("Cut-Mix", ["mixup", "cutmix"]), spelled("cutmx", ["mixup", "cutmix"])
        ('cutmix', None)
    """
    return {letters(name): name for name in known}.get(letters(word))


def did_you_mean(word: str, known: Iterable[str], *, quote: str = '"') -> str:
    """Return a sentence that names the nearest known word, a blank before it; or nothing.

    Example:
        >>> did_you_mean("mixupp", ["mixup", "cutmix"])
        ' Did you mean "mixup"?'
    """
    near = nearest(word, known)
    return f" Did you mean {quote}{near[0]}{quote}?" if near else ""


def letters(word: str) -> str:
    """Return a word in small letters, without ``-``, ``_`` and spaces.

    Example:
        >>> letters("Manifold Mixup")
        'manifoldmixup'
    """
    return word.lower().replace("-", "").replace("_", "").replace(" ", "")
