"""What a METHOD on the command line means: ``none``, ``cutmix:alpha=0.2``, ``mixup+cutmix``.

``trained:run=PATH`` is the mixer that a run has learned, frozen. Every mixer takes ``p`` and
``clean`` beside its own options, see ``mixing_options``.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.arguments import did_you_mean
from mixwright.lab.experiments.alternatives import alternatives, method_parts
from mixwright.lab.experiments.method_names import (
    TRAINED,
    check_one_method,
    known_method,
    unknown_method,
)
from mixwright.lab.experiments.mixing_options import (
    DEFAULTS,
    mixing_with_chance,
    read_mixing,
    take_mixing,
)
from mixwright.lab.experiments.own_class import own_class
from mixwright.lab.experiments.schedules import (
    Number,
    Ramp,
    RampedMixer,
    take_ramps,
)
from mixwright.lab.settings import (
    default_texts,
    option_pairs,
    option_types,
    read_options,
    write_value,
)

if TYPE_CHECKING:
    from mixwright.mixers import Mixer
    from mixwright.objectives.criteria import Criterion
    from mixwright.objectives.objective import Objective

_CLASS = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)(?=:|$)")  # module:Class
_PATHS = (
    "A path behind trained:run= can have neither a comma nor a + before a letter; rename the "
    "folder, or bring its mixer to a file of another name by load_mixer and save_mixer."
)
_LONGEST = 64  # letters of a slug


@dataclass(frozen=True)
class MethodPart:
    """One named method with its options.

    Args:
        name: its name in ``MIXERS`` or ``OBJECTIVES``, ``trained``, or ``package.module:Class``.
        cls: its class.
        options: keyword arguments of the class; a ``Ramp`` for a number that changes.
        learns: True for an objective, False for a mixer.
        trust: whether modules are imported that a file behind ``trained:run=`` names.
    """

    name: str
    cls: type
    options: dict[str, Any]
    learns: bool
    trust: bool = False

    def text(self, more: Mapping[str, Any]) -> str:
        """The canonical form, options sorted, with ``more`` of them."""
        every = {**self.options, **more}
        options = ",".join(f"{k}={write_value(v)}" for k, v in sorted(every.items()))
        return f"{self.name}:{options}" if options else self.name

    @property
    def settings(self) -> dict[str, str]:
        """The options as text, defaults included, without values that Python alone can give."""
        texts = default_texts(self.cls) | {k: write_value(v) for k, v in self.options.items()}
        return {name: text for name, text in texts.items() if text is not None}

    def label(self, more: Mapping[str, Any]) -> str:
        """The paper's spelling and the options, for people; presets by their names."""
        display = {**self.options, **more}
        display = {k: v.name if isinstance(v, Path) else v for k, v in display.items()}
        for name, preset in presets_of(self.cls).items():
            if preset.items() <= display.items():
                rest = {k: v for k, v in display.items() if k not in preset}
                display = {"preset": name} | rest
        options = _displayed(display)
        return f"{self.cls.__name__} ({options})" if options else self.cls.__name__

    def make(self, **more: Any) -> Any:
        """Return the object itself; ``more`` is passed where the class takes it.

        An option that was given wins, unless it is None, as after ``criterion=none``.
        """
        if any(isinstance(value, Ramp) for value in self.options.values()):
            from mixwright.mixers.combine import Scheduled

            return Scheduled(RampedMixer(self.cls, self.options))
        taken = option_types(self.cls)
        given = {k: v for k, v in more.items() if k in taken and self.options.get(k) is None}
        made = self.cls(**self.options | given)
        return made.load(trust=self.trust) if self.name == TRAINED else made

    def check(self) -> None:
        """Make it once, at both ends of its schedules, so that bad values and files show."""
        made = self.make()
        if isinstance(getattr(made, "at", None), RampedMixer):
            for progress in (0.0, 1.0):
                made.at(progress)


@dataclass(frozen=True)
class Method:
    """A METHOD, read and checked; no part at all for ``none``, several are drawn by ``OneOf``.

    Args:
        parts: the methods that are joined by ``+``.
        mixing: ``p`` and ``clean`` of the whole, where they were given; see ``mixing_options``.
        by_batch: whether one of several is drawn for each batch, not for each sample.
    """

    parts: tuple[MethodPart, ...]
    mixing: Mapping[str, Number] = field(default_factory=dict[str, Number])
    by_batch: bool = False

    @property
    def text(self) -> str:
        """The canonical form; reading it again gives an equal method."""
        if not self.parts:
            return "none"
        last = {} if self.by_batch else self.mixing
        texts = [*(part.text({}) for part in self.parts[:-1]), self.parts[-1].text(last)]
        if not self.by_batch:
            return "+".join(texts)
        behind = ",".join(f"{k}={write_value(v)}" for k, v in sorted(self.mixing.items()))
        return "+".join(texts) + "@batch" + (f":{behind}" if behind else "")

    @property
    def label(self) -> str:
        """How tables and figures call it."""
        if not self.parts:
            return "No mixing"
        if len(self.parts) == 1:
            return self.parts[0].label(self.mixing)
        joined = " + ".join(part.label({}) for part in self.parts)
        joined += " per batch" if self.by_batch else ""
        return f"{joined}, {_displayed(self.mixing)}" if self.mixing else joined

    @property
    def slug(self) -> str:
        """A name for folders and files; long ones end in a hash, since paths begin alike."""
        slug = re.sub(r"[^A-Za-z0-9._]+", "-", self.text).strip("-")
        if len(slug) <= _LONGEST:
            return slug
        digits = hashlib.sha256(self.text.encode(errors="surrogateescape")).hexdigest()[:8]
        return f"{slug[: _LONGEST - 9].strip('-')}-{digits}"

    @property
    def options(self) -> dict[str, str]:
        """The options of its parts as text, defaults included, under ``name.option``.

        Those of the whole stand under the name of a single mixer, and of several under no name.
        """
        own = {
            f"{part.name}.{name}": text
            for part in self.parts
            for name, text in part.settings.items()
        }
        return self._of_whole(DEFAULTS) | own | self._of_whole(self.mixing)

    @property
    def given(self) -> set[str]:
        """The names of those ``options`` that the METHOD gives."""
        own = {f"{part.name}.{option}" for part in self.parts for option in part.options}
        return own | set(self._of_whole(self.mixing))

    @property
    def meaning(self) -> tuple[object, ...]:
        """What two texts of one method have in common: names and all options with defaults."""
        parts = tuple((part.name, tuple(sorted(part.settings.items()))) for part in self.parts)
        mixing = {name: write_value(value) for name, value in {**DEFAULTS, **self.mixing}.items()}
        return parts, tuple(mixing.items()), self.by_batch

    def _of_whole(self, values: Mapping[str, Number]) -> dict[str, str]:
        if not self.parts or self.parts[0].learns:
            return {}
        name = f"{self.parts[0].name}." if len(self.parts) == 1 else ""
        return {f"{name}{option}": write_value(value) for option, value in values.items()}

    def mixer(self) -> "Mixer | None":
        """Return the mixer; None for ``none`` and for objectives without a ``mixer`` attribute.

        Schedules stand at the middle of training until ``set_progress`` says where it is.
        """
        if not self.parts:
            return None
        if self.parts[0].learns:
            return getattr(self.parts[0].make(), "mixer", None)
        from mixwright.mixers.combine import OneOf, set_progress

        mixers = [part.make() for part in self.parts]
        per = "batch" if self.by_batch else "sample"
        one = mixers[0] if len(mixers) == 1 else OneOf(*mixers, per=per)
        mixer = mixing_with_chance(one, self.mixing.get("p", DEFAULTS["p"]))
        set_progress(mixer, 0.5)
        return mixer

    def objective(self, criterion: "Criterion") -> "Objective":
        """Return a fresh objective, not yet built for a model; ``criterion`` where it takes one."""
        from mixwright.objectives.mixed import Mixed

        if self.parts and self.parts[0].learns:
            return self.parts[0].make(criterion=criterion)
        return Mixed(self.mixer(), criterion, clean=self.mixing.get("clean", DEFAULTS["clean"]))


def _displayed(options: Mapping[str, Any]) -> str:
    texts = {k: v.label if isinstance(v, Ramp) else write_value(v) for k, v in options.items()}
    return ", ".join(f"{name} {text}" for name, text in sorted(texts.items()))


def parse_method(text: str, *, file: Path | None = None, trust: bool = False) -> Method:
    """Read a METHOD.

    Args:
        text: ``none``; a name, as ``MIXERS`` and ``OBJECTIVES`` have it or as its paper spells it
            (``Manifold Mixup``); ``name:option=value,...``, where ``preset=NAME`` stands for
            several options (``adautomix:preset=paper``) and those beside it win;
            ``trained:run=PATH``, see ``load_mixer``; several of them joined by ``+``, drawn for
            each sample, or with ``@batch`` behind them for each batch; or a class of your own as
            ``package.module:Class``, options behind one more colon. Mixers take ``p`` and ``clean``
            too, see ``mixing_options``, and for a number ``0to1``, see ``schedules.Ramp``.
        file: where the text was read, if the user did not write it here and now. Of other modules
            than ours it may name those that are imported already: importing runs their code.
        trust: import the modules that files name, ``file`` and those behind ``trained:run=``.

    Returns:
        the method; its mixers were made once, so that bad values and files show here.

    Raises:
        ValueError: a name, option or value is not understood, and the nearest right one is named;
            no mixer can be read from a path, or a file names a module that is not imported.

    Example:
        >>> parse_method("none").label
        'No mixing'
    """
    if len(several := alternatives(text)) > 1:
        raise ValueError(
            f'method "{text}" stands for {len(several)} methods; expected one. Take one of '
            f"{', '.join(several)}."
        )
    words, batch = method_parts(text)
    nothing = [known_method(word) == "none" for word in words]
    if nothing == [True]:
        return Method(())
    if any(nothing):
        raise ValueError(f'method "{text}": none cannot be joined with others; leave it out.')
    read = [
        _part(word, before, file, trust) for before, word in zip(["", *words], words, strict=False)
    ]
    parts = tuple(part for part, _ in read)
    learning = next((part for part in parts if part.learns), None)
    if learning and len(parts) > 1:
        raise ValueError(
            f'method "{text}": {learning.name} is a training objective and stands alone; only '
            "mixers can be joined with +."
        )
    mixing = read_mixing(
        f'method "{text}"', [pairs for _, pairs in read], batch.removeprefix("@batch").strip()
    )
    try:
        for part in parts:
            part.check()
    except TypeError as error:
        raise ValueError(f'method "{text}": {error}') from None
    return Method(parts, mixing, by_batch=bool(batch))


def parse_methods(texts: Iterable[str], *, trust: bool = False) -> list[Method]:
    """Read several METHODs, options with several values among them; duplicates count once.

    Args:
        texts: see ``parse_method`` and ``alternatives``.
        trust: see ``parse_method``.

    Raises:
        ValueError: see ``parse_method`` and ``alternatives``.

    Example:
        >>> [method.text for method in parse_methods(["none", "cutmix:alpha=0.2|1"])]
        ['none', 'cutmix:alpha=0.2', 'cutmix:alpha=1']
    """
    single = (alternative for text in texts for alternative in alternatives(text))
    methods = [parse_method(text, trust=trust) for text in single]
    return list({method.text: method for method in methods}.values())


def each_once(methods: Iterable[Method], *, say: Callable[[str], None]) -> list[Method]:
    """Return methods without those that are others again, their defaults written out.

    ``say`` is told of each that is left out.

    Example:
        >>> methods = parse_methods(["cutmix", "cutmix:alpha=1,p=1", "mixup"])
        >>> [method.text for method in each_once(methods, say=print)]
        cutmix:alpha=1,p=1 is cutmix with its defaults written out: it is trained once.
        ['cutmix', 'mixup']
    """
    found: dict[tuple[object, ...], Method] = {}
    for method in methods:
        first = found.setdefault(method.meaning, method)
        if first is not method:
            other, plain = sorted((first.text, method.text), key=len, reverse=True)
            say(f"{other} is {plain} with its defaults written out: it is trained once.")
    return list(found.values())


def _part(
    word: str, before: str, file: Path | None, trust: bool
) -> tuple[MethodPart, dict[str, str]]:
    """Read one of the words between the ``+``, and take out what is of the whole.

    The word before it tells whether a path was cut.
    """
    from mixwright.mixers import MIXERS
    from mixwright.objectives import OBJECTIVES

    name, rest = _name_and_rest(word)
    if name == TRAINED:
        cls, learns = _trained(word), False
    elif own := _CLASS.fullmatch(name):
        cls, learns = own_class(own[1], own[2], file, trust)
    elif name in MIXERS:
        cls, learns = MIXERS[name], False
    elif name in OBJECTIVES and name != "mixed":
        cls, learns = OBJECTIVES[name], True
    elif name == "none":
        raise ValueError(
            f'method "{word}": none mixes nothing and has no options; expected "none".'
        )
    elif "@" in name:
        raise ValueError(
            f'method "{word}": expected @batch behind the last of several methods joined by +, '
            "which are then drawn for each batch, and no other @; many mixers draw so by "
            "themselves with per=batch."
        )
    else:
        raise unknown_method(word, f" {_PATHS}" if before.startswith(f"{TRAINED}:") else "")
    pairs = option_pairs(f'method "{word}"', rest)
    mixing = {} if learns else take_mixing(pairs, option_types(cls))
    # Written out, so that a record shows every value and is that of whoever wrote them by hand.
    preset = _preset(cls, pairs.pop("preset")) if presets_of(cls) and "preset" in pairs else {}
    also = () if learns else DEFAULTS
    options = preset | take_ramps(cls, pairs) | read_options(cls, pairs, also=also)
    return MethodPart(name, cls, options, learns, trust), mixing


def _name_and_rest(word: str) -> tuple[str, str]:
    """The canonical name, or that of a class of the user's, and what stands behind it."""
    from mixwright.mixers import MIXERS
    from mixwright.objectives import OBJECTIVES

    written = word.partition(":")[0]
    if written == TRAINED:
        return written, word.removeprefix(written)
    classes: dict[str, type] = {**MIXERS, **OBJECTIVES}
    name = known_method(written)
    own = None if written in classes else _CLASS.match(word)
    # A module of the user's may be called like a method: co_mixup:Mine.
    if own and not (name in classes and own[2] in option_types(classes[name])):
        return own[0], word.removeprefix(own[0])
    check_one_method(word)
    return name or written, word.removeprefix(written)


def presets_of(cls: type) -> Mapping[str, Mapping[str, Any]]:
    """Return the named sets of options of a class of ours; empty where it has none.

    In a METHOD ``preset=NAME`` stands for them; options beside it win.
    """
    from mixwright.objectives.objective import Objective

    return cls.presets if issubclass(cls, Objective) else {}


def _preset(cls: type, name: str) -> dict[str, Any]:
    known = presets_of(cls)
    if name not in known:
        raise ValueError(
            f"{cls.__name__}: option preset={name}: expected one of {', '.join(known)}."
            f"{did_you_mean(name, known)}"
        )
    return dict(known[name])


def _trained(word: str) -> type:
    from mixwright.lab.experiments.trained import Trained

    items = word.partition(":")[2].split(",")
    own = [item for item in items if item.partition("=")[0].strip() not in DEFAULTS]
    if len(own) != 1 or not re.fullmatch(r"\s*run\s*=.+", own[0]):
        raise ValueError(
            f'method "{word}": expected trained:run=PATH, the folder of a run whose method learns '
            f"a mixer, or a file that save_mixer wrote. {_PATHS}"
        )
    return Trained
