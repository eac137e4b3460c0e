"""Values of settings as text: what stands behind ``=`` in a METHOD or on the command line."""

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from mixwright.arguments import UNIONS, Unresolved, did_you_mean, spelled, with_article
from mixwright.lab.settings.declared import MisfitError, choices, option_types

_NUMBERS = re.compile(r"[\d.]+(-[\d.]+)+")  # 2-6; not -1 and not 1e-3


class _PythonOnlyError(ValueError):
    """No text is a value of this type."""

    def __init__(self, kind: Any) -> None:
        name = getattr(kind, "__name__", str(kind))
        super().__init__(f"it takes {with_article(name)}, which can be given in Python only.")


def option_pairs(what: str, rest: str) -> dict[str, str]:
    """Take apart what stands behind a name, ``:option=value,...`` or nothing.

    ``what`` is how messages call the whole, e.g. ``method "cutmix:alpha="``.

    Example:
        >>> option_pairs("method", ":alpha=0.2,p=1")
        {'alpha': '0.2', 'p': '1'}
    """
    pairs: dict[str, str] = {}
    for item in rest.removeprefix(":").split(",") if rest else []:
        if not item.strip():
            raise ValueError(
                f"{what}: an option is missing behind a colon or a comma; options are written "
                "name:option=value, several with commas between them."
            )
        option, sign, value = item.partition("=")
        if not sign or not option.strip() or not value.strip():
            raise ValueError(
                f'{what}: cannot read "{item}"; options are written name:option=value, several '
                "with commas between them."
            )
        if option.strip() in pairs:
            raise ValueError(f"{what}: option {option.strip()} is given twice; keep one.")
        pairs[option.strip()] = value.strip()
    return pairs


def read_options(
    cls: Callable[..., Any], pairs: Mapping[str, str], *, also: Iterable[str] = ()
) -> dict[str, Any]:
    """Turn the text of options into keyword arguments of the types that ``cls`` declares.

    ``also`` are options that were read before, which a message on an unknown one names too.

    Raises:
        ValueError: there is no such option, or its text does not fit its type.

    Example:
        >>> class Blend:
        ...     def __init__(self, alpha: float = 1, layers: int | tuple[int, int] = 2): ...
        >>> read_options(Blend, {"alpha": "0.2", "layers": "2-4"})
        {'alpha': 0.2, 'layers': (2, 4)}
    """
    known = option_types(cls)
    values: dict[str, Any] = {}
    for name, text in pairs.items():
        if name not in known:
            names = [*known, *(other for other in also if other not in known)]
            has = f"It has {', '.join(names)}." if names else "It has none."
            raise ValueError(
                f'{cls.__name__} has no option "{name}".{did_you_mean(name, names)} {has}'
            )
        try:
            values[name] = read_value(text, known[name])
        except ValueError as error:
            raise ValueError(f"{cls.__name__}: option {name}={text}: {error}") from None
    return values


def read_value(text: str, kind: Any) -> Any:
    """Read one value of a declared type from its text.

    Numbers as Python writes them; ``true`` and ``false``; ``none``; several numbers as ``2-6`` or
    ``2;6``, several words as ``a;b``; one of the words of a ``Literal``; a path; the short name of
    a mixer, which then has its defaults. Of a union the first type that fits is taken; types that
    can be given in Python only, such as a callable, are passed over where there are others.

    Example:
        >>> read_value("2;6", tuple[int, int]), read_value("none", int | None)
        ((2, 6), None)
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in UNIONS:
        return _read_union(text, inner)
    if origin is Literal:
        return _read_literal(text, kind)
    if origin in (tuple, list) or kind in (tuple, list):
        return _read_many(text, inner)
    if kind is type(None):
        if text.lower() == "none":
            return None
        raise MisfitError("none")
    if kind is bool:
        if text.lower() in ("true", "yes", "on", "1", "false", "no", "off", "0"):
            return text.lower() in ("true", "yes", "on", "1")
        raise MisfitError("true or false")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise MisfitError("a whole number" if kind is int else "a number") from None
    if kind in (str, Any):
        return text
    if kind is Path:
        return Path(text)
    if getattr(kind, "__name__", "") in ("Mixer", "MaskMethod"):
        return _read_mixer(text, kind)
    raise _PythonOnlyError(kind)


def option_flag(name: str) -> str:
    """Return an option of the command line as it is written.

    Example:
        >>> option_flag("batch_size")
        '--batch-size'
    """
    return f"--{name.replace('_', '-')}"


def write_value(value: object) -> str:
    """Return the shortest text that ``read_value`` reads as the same value.

    Of anything but numbers, truth values, text, None, paths, mixers with their defaults and tuples
    of these it is ``str(value)``, which cannot be read.

    Example:
        >>> write_value(1.0), write_value((2, 6)), write_value(True)
        ('1', '2;6', 'true')
    """
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ";".join(write_value(item) for item in typing.cast("tuple[object, ...]", value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e6 else repr(value)
    if callable(getattr(value, "plan", None)):
        return _mixer_name(value)
    return str(value)


def default_texts(cls: Callable[..., Any]) -> dict[str, str | None]:
    """Return the text of each option that has a default; None where no text stands for it.

    Example:
        >>> def blend(size: int, alpha: float = 1.0, pick: object = print) -> None: ...
        >>> default_texts(blend)
        {'alpha': '1', 'pick': None}
    """
    kinds = option_types(cls)
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if name in kinds and parameter.default is not inspect.Parameter.empty
    }
    return {name: _readable(value, kinds[name]) for name, value in defaults.items()}


def _readable(value: object, kind: Any) -> str | None:
    text = write_value(value)
    try:
        return text if read_value(text, kind) == value else None
    except ValueError:
        return None


def _read_union(text: str, kinds: tuple[Any, ...]) -> Any:
    # None and numbers before text, since text fits anything; several words before one.
    def rank(kind: Any) -> tuple[bool, bool, bool]:
        words = kind is str
        several = typing.get_origin(kind) in (tuple, list) and str in typing.get_args(kind)
        return kind is not type(None), words or several, words if ";" in text else several

    misfits: list[MisfitError] = []
    python_only: _PythonOnlyError | None = None
    for kind in sorted(kinds, key=rank):
        try:
            return read_value(text, kind)
        except _PythonOnlyError as error:
            python_only = error
        except MisfitError as error:
            misfits.append(error)
    if python_only is not None and all(misfit.expected == "none" for misfit in misfits):
        raise python_only
    hint = "".join(misfit.hint for misfit in misfits)
    raise MisfitError(" or ".join(misfit.expected for misfit in misfits), hint)


def _read_literal(text: str, kind: Any) -> Any:
    words = choices(kind)
    if text in words:
        return typing.get_args(kind)[words.index(text)]
    raise MisfitError(f"one of {', '.join(words)}", did_you_mean(text, words))


def _read_mixer(text: str, kind: Any) -> Any:
    from mixwright.mixers import MIXERS
    from mixwright.mixers.mixer import Mixer
    from mixwright.mixers.pair_mixer import MaskMethod

    layered = kind is MaskMethod  # MiAMix stacks the masks of these
    if kind is not Mixer and not layered and not issubclass(kind, Unresolved):
        raise _PythonOnlyError(kind)
    known = [name for name, cls in MIXERS.items() if not layered or hasattr(cls, "keep")]
    if name := spelled(text, known):
        return MIXERS[name]()
    hint = did_you_mean(text, known)
    raise MisfitError(f"the name of a mixer without options ({', '.join(known)})", hint)


def _mixer_name(mixer: object) -> str:
    """The short name of a mixer with its defaults, which ``read_value`` reads as that mixer."""
    from mixwright.mixers import MIXERS

    return next((name for name, cls in MIXERS.items() if mixer == cls()), str(mixer))


def _read_many(text: str, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    # Commas can stand where no other option follows: --crop-scale 0.08,1.
    parts = text.strip("()[]").replace(",", ";").split(";")
    if len(parts) == 1 and _NUMBERS.fullmatch(parts[0]):
        parts = parts[0].split("-")
    parts = [part for part in parts if part]
    if len(kinds) < 2 or kinds[1] is Ellipsis:
        return tuple(read_value(part, kinds[0] if kinds else float) for part in parts)
    if len(parts) != len(kinds):
        raise MisfitError(f"{len(kinds)} values, as in {';'.join(['1'] * len(kinds))}")
    return tuple(read_value(part, kind) for part, kind in zip(parts, kinds, strict=True))
