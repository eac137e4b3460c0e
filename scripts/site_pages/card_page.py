"""The page of one method, made of its card, its docstring, its pictures and our records."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any

from mixwright.lab.cli.list import passes
from mixwright.lab.experiments.methods import presets_of
from mixwright.lab.reports.formatting import number, p_value, signed, spread
from mixwright.lab.settings import default_texts, option_types
from mixwright.lab.theory.assumption import expected_mask
from mixwright.mixers import CARDS, MIXERS
from mixwright.mixers.cards import Card
from mixwright.objectives import OBJECTIVE_CARDS, OBJECTIVES
from site_pages.arguments_text import argument_texts, first_paragraphs, last_paragraphs
from site_pages.bibliography import entries
from site_pages.examples import TRANSFORMERS, command_example, python_example
from site_pages.pictures import SHARES, Picture, measured_share
from site_pages.places import source_link
from site_pages.record_rows import comparisons, groups_of, mixing_times, setting, step_times

METHODS: dict[str, Any] = MIXERS | OBJECTIVES
METHOD_CARDS: dict[str, Card] = CARDS | OBJECTIVE_CARDS

RULES = {
    "mask": "by the mean of the mask, measured from what was done",
    "share": "by the shares that were drawn, whatever the mask shows",
    "content": "by what of each image is seen: saliency, activation or attention",
    "own": "not mixed: the label stays the sample's own",
}
"""What ``Card.labels`` means, in words."""

SECTIONS = (
    "What it does",
    "Formula",
    "How to use it",
    "What it costs",
    "Labels, and the share that is shown",
    "When not to use it",
    "Options",
    "Citation",
)
"""The headings that every card has."""


def card_page(name: str, pictures: Sequence[Picture], why_none: str = "") -> str:
    """Return the Markdown of a method's page; ``pictures`` lie beside it in ``pictures/``."""
    cls, card = METHODS[name], METHOD_CARDS[name]
    kind = "Mixer" if name in MIXERS else "Training objective"
    parts = [
        f"---\ntitle: {card.title}\ndescription: {json.dumps(card.note)}\n---",
        f"# {card.title}",
        card.note,
        _facts(name, card, kind),
        f"## {SECTIONS[0]}",
        first_paragraphs(cls).partition("\n\n")[2] or first_paragraphs(cls),
        _figures(name, pictures, why_none),
        f"## {SECTIONS[1]}",
        f"```text\n{card.formula}\n```",
        "`x` and `y` are a sample and its label, `x'` and `y'` those of its partner, `x~` and `y~` "
        "the mixture; `M` is the share of the sample's own pixels, pixel by pixel.",
        f"## {SECTIONS[2]}",
        f"```python\n{python_example(name, card)}\n```",
        f"```bash\n{command_example(name, card)}\n```",
        _how(name),
        f"## {SECTIONS[3]}",
        _cost(name, card),
        f"## {SECTIONS[4]}",
        _labels(name, card),
        f"## {SECTIONS[5]}",
        card.limits,
        _in_records(name),
        f"## {SECTIONS[6]}",
        _options(cls),
        _source(cls),
        f"## {SECTIONS[7]}",
        "```bibtex\n" + "\n\n".join(entries()[key] for key in card.cites) + "\n```",
        f"Reference of the class: [`mixwright.{cls.__name__}`](../reference/"
        f"{'mixers' if name in MIXERS else 'objectives'}.md#mixwright.{cls.__name__}).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(name: str, card: Card, kind: str) -> str:
    dims = "any number of spatial dimensions" if card.dims == "any" else "2-D images"
    needs = {
        "images": "images alone",
        "labels": "images and labels",
        "model": "the model that is trained, and labels",
    }[card.needs]
    for_whom = "; for transformers" if card.note.endswith(TRANSFORMERS) else ""
    rows = {
        "kind": kind,
        "on the command line": f"`{name}`" if name != "mixed" else "behind every mixer: `clean=1`",
        "paper": f"{card.paper}: [{card.link.removeprefix('https://')}]({card.link})",
        "needs": f"{needs}; {dims}{for_whom}",
        "labels": RULES[card.labels],
        "E[M] = lambda": _expected(name)[0],
        "passes of a training step": passes(card),
        "code": source_link(_file(METHODS[name])),
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {head} | {text} |" for head, text in rows.items())


def _figures(name: str, pictures: Sequence[Picture], why_none: str) -> str:
    if not pictures:
        return why_none
    shown = [
        f'<figure markdown="span">![{one.alt}](pictures/{one.file})'
        f"<figcaption>{one.caption}</figcaption></figure>"
        for one in pictures
    ]
    looks = METHOD_CARDS[name].needs == "model" and name in MIXERS
    return (
        f"{_SHOWN.get(name, _PAIR)}{_THROUGH if looks else ''}\n\n"
        '<div class="mixtures" markdown="1">\n\n' + "\n\n".join(shown) + "\n\n</div>"
    )


_PAIR = (
    "The sample is a photograph of a cat, its partner one of a cup of coffee: the mask on the "
    "left, the mixture on the right. White in the mask is the sample's own."
)
_SHOWN = {
    "cutout": "Three draws for a photograph of a cat: the mask on the left, what is left of the "
    "image on the right.",
    "comixup": "Four photographs are mixed with each other: in the mask, on the left, the cat is "
    "white, the coffee black, the rocket orange, the astronaut blue.",
    "guidedmixup": "Four photographs, each mixed with the one that it overlaps least with: the "
    "mask on the left, white where the first of the label is seen, the mixture on the right.",
}
_THROUGH = " It looks at them through EfficientNet-Lite0 with its ImageNet weights."


def _how(name: str) -> str:
    if name in MIXERS:
        return (
            "Mixed `images` and `targets` go into the loop you have: [your own loop]"
            "(../own-loop.md). In the own loop of mixwright, and on the command line, `p` says how "
            "often it mixes, and `clean` adds a loss on whole images: [methods]"
            "(../methods.md#how-often-how-many-and-whole-images-beside)."
        )
    page = "learned-mixers.md" if name in ("automix", "samix", "adautomix") else "model-aware.md"
    return (
        "An objective runs the model itself and gives the loss to step on; its parameters, where "
        f"it has any, belong into the optimiser: [how](../{page}). Every objective takes a "
        "criterion of your own, a loss for each sample."
    )


def _cost(name: str, card: Card) -> str:
    lines = [f"- **Exactly:** {passes(card)}, beside {card.cost}."]
    steps = step_times(name)
    if steps:
        said = ", ".join(f"{times:.2f} plain steps ({net})" for net, times in steps.items())
        lines.append(
            f"- **Measured, a training step:** {said}; medians on one thread of a shared CPU, "
            "where 0.1 is chance."
        )
    for one in mixing_times(name):
        shape = " x ".join(map(str, one.shape))
        lines.append(
            f"- **Measured, plan and pixels of a batch of {shape}:** {one.milliseconds:.2g} ms, "
            f"{number(one.times_lerp, 2)} times one weighted mean of two such batches."
        )
    if len(lines) == 1:
        lines.append("- **Measured:** no record of its time is kept.")
    lines.append("\nFrom [the records of speed](../records/index.md#what-mixing-costs).")
    return "\n".join(lines)


def _expected(name: str) -> tuple[str, str]:
    """Whether the mean mask is the share that was asked for: in a word, and in a sentence."""
    if name not in MIXERS:
        return _expected_of_objective(name)
    mixer = MIXERS[name]()
    holds = expected_mask(mixer)
    if holds is None:
        if "lam" in option_types(MIXERS[name]) and name != "smoothmix":
            why = "The mask follows the images: the share is a wish, and what is done is measured."
            return "not known: the mask follows the images", why
        why = "No share is drawn, so there is none that masks could keep to."
        return "no lambda is drawn", why
    means = ", ".join(f"{measured_share(mixer, lam):.2f} at lam {lam}" for lam in SHARES)
    word = {
        "each pixel": "yes, at each pixel",
        "on average": "on average over the image, not at each pixel",
        "neither": "no",
    }[holds]
    return f"{word} ({means})", (
        f"Is the mean mask the share that was asked for? {word.capitalize()}. On 1,000 masks of "
        f"32 x 32 pixels the own share is {means} ([why it matters]"
        "(../theory.md#is-the-mean-mask-the-share-that-was-asked-for))."
    )


_SHARES_OF_OBJECTIVES = {
    "mixed": ("as its mixer", "Shares are those of the mixer."),
    "recursivemix": (
        "no",
        "The box is clipped at the border, so the sample keeps more than was asked for.",
    ),
    "tokenmix": (
        "no",
        "The share is fixed, and one token in fourteen is taken beyond it, as the authors do.",
    ),
    "mixpro": (
        "yes, at each pixel, up to whole cells",
        "Cells are drawn evenly; their number is rounded up in favour of the sample.",
    ),
    "smmix": (
        "no lambda is drawn",
        "The side of the windows is drawn, not a share, and labels follow their area.",
    ),
    "tokenmixup": ("no lambda is drawn", "How much is replaced follows the saliency of tokens."),
}
_LEARNED = (
    "not held",
    "What masks show is learned. Where a penalty pulls their mean to the share, it does so within "
    "a margin; labels weigh by the shares all the same.",
)


def _expected_of_objective(name: str) -> tuple[str, str]:
    card, inner = METHOD_CARDS[name], getattr(METHODS[name](), "mixer", None)
    own = CARDS.get(type(inner).__name__.lower())
    if name in _SHARES_OF_OBJECTIVES:
        return _SHARES_OF_OBJECTIVES[name]
    if own is not None:
        word, _ = _expected(own.title.lower())
        return f"{word}, as in {own.title}", (
            f"What it draws is [{own.title}]({own.title.lower()}.md)'s, and so are its shares."
        )
    if card.labels == "own":
        return "no lambda is drawn", "Labels are not mixed, so there is no share to keep to."
    assert card.labels == "share", name
    return _LEARNED


def _labels(name: str, card: Card) -> str:
    return f"Labels are weighed {RULES[card.labels]}.\n\n{_expected(name)[1]}"


def _in_records(name: str) -> str:
    rows: list[str] = []
    for record in comparisons():
        for group in groups_of(name, record):
            found = group.differences.get("top1")
            verdict = "" if found is None else p_value(found.p)
            rows.append(
                f"| [{record.slug}](../records/{record.slug}.md) | {setting(record)} | "
                f"`{group.method}` | {spread(group.intervals['top1'])} | "
                f"{signed(None if found is None else found.interval)} | {verdict} |"
            )
    if not rows:
        return (
            "None of our [records](../records/index.md) has it beside no mixing; what is said here "
            "is from papers and from how it works."
        )
    return (
        "What our own records say: trained weights after the last epoch, top-1 in percent, and the "
        "difference to no mixing in points.\n\n"
        "| record | setting | METHOD | top-1 | to none | p |\n|---|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\nWhere a network has not learned its own training images, mixing costs accuracy, "
        "whichever method it is ([how to read them](../records/index.md)). Which method when: "
        "[the guide](../which-method.md)."
    )


def _options(cls: type) -> str:
    texts, defaults = argument_texts(cls), default_texts(cls)
    signature = inspect.signature(cls).parameters
    typed = option_types(cls)
    rows: list[str] = []
    for option, parameter in signature.items():
        if option == "criterion":
            default = "cross-entropy"
        elif option in typed and option in defaults and defaults[option] is not None:
            default = f"`{defaults[option]}`"
        else:
            default = f"`{parameter.default!r}`" if parameter.default is not None else "`None`"
        rows.append(f"| `{option}` | {default} | {_cell(texts.get(option, ''))} |")
    presets = [f"`preset={name}`" for name in presets_of(cls)]
    more = f"\n\nSets of options by name: {', '.join(presets)}." if presets else ""
    if not rows:
        return "None."
    return (
        "Defaults are written as the command line takes them.\n\n"
        "| option | default | meaning and range |\n|---|---|---|\n" + "\n".join(rows) + more
    )


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def _source(cls: type) -> str:
    text = last_paragraphs(cls)
    return f"## Source, and where we depart from it\n\n{text}" if text else ""


def _file(cls: type) -> str:
    return "src/" + cls.__module__.replace(".", "/") + ".py"
