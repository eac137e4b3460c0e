"""What a reader must know before believing a comparison."""

from __future__ import annotations

import math

from mixwright.lab.analysis.cost import read_cost
from mixwright.lab.analysis.findings import Findings, Group
from mixwright.lab.reports.formatting import count_range, joined
from mixwright.lab.reports.sections.equal_time import at_equal_time, more_time


def caveats(findings: Findings) -> list[str]:
    """Return plain sentences, those first that matter most for this comparison."""
    about, scores = findings.about, findings.parts["scores"]
    raw = [group for group in scores.groups if group.weights == "raw"]
    found: list[str] = []
    if about.failures:
        names = "; ".join(failure.name for failure in about.failures)
        found.append(f"Runs that did not finish are missing from every number: {names}.")
    found += _about_equal_time(findings)
    found += _about_seeds(raw)
    found.append(_about_choice(findings))
    found.append(_about_images(findings))
    found += _about_set_by_data(findings)
    if alone := mixed_alone(findings):
        found.append(
            f"All numbers of {joined(alone)} are those of the last layer that learns from mixed "
            "images, since the model's own learned nothing."
        )
    found += _about_claims(raw)
    found += _about_epochs(raw)
    found.append(_about_ema(findings))
    found += _about_nll(raw)
    found += _about_cost(findings)
    return found + _about_recipes(findings)


def _about_recipes(findings: Findings) -> list[str]:
    """What is one for all methods, and in what their recipes differ."""
    data = findings.about.data
    own: dict[str, dict[str, object]] = findings.about.details.get("own_fields", {})
    names = sorted({name.replace("_", " ") for fields in own.values() for name in fields})
    found = [
        f"This is {'one set of recipes' if own else 'one recipe'}, one model and {data.train:,} "
        f"training images of {data.name}; methods that mix usually need longer training, and their "
        "order changes with all three."
    ]
    if own:
        found.append(
            f"Methods do not share one recipe: they differ in {joined(names)}, as the published "
            "recipe has it, so a difference between them may be that of their recipes."
        )
    return found


def mixed_alone(findings: Findings) -> list[str]:
    """Return the methods, by METHOD, whose last layer for mixed images alone learned."""
    heads: dict[str, dict[str, str]] = findings.about.details.get("heads", {})
    return [method for method, columns in heads.items() if columns.get("raw") == "mixed"]


def _about_equal_time(findings: Findings) -> list[str]:
    """That methods differ in their epochs, where each was given the same time."""
    found = read_cost(findings.parts["cost"])
    if not found.own_epochs:
        return []
    time = "device time" if found.clock == "device events" else "processor time"
    return [
        f"Methods had the same {time}, not the same epochs "
        f"({at_equal_time(found.own_epochs, clock=found.clock)}): a difference is one of what a "
        "given time buys, and says nothing of equal epochs. Without --equal-time all have the same."
        f"{more_time(found)}"
    ]


def _about_choice(findings: Findings) -> str:
    """On which images the best epoch was chosen, which is no score of the tables."""
    said = "Scores are those of the last epoch. The best epoch, listed for each run, was chosen on "
    chosen = findings.about.details.get("chosen_on", ["test"])
    if chosen == ["test"]:
        return f"{said}the test images and flatters every method."
    kind = (
        "training images that were held out" if "training share" in chosen else "validation images"
    )
    end = (
        "in runs from before there were any it was chosen on the test images, which flatters it."
        if "test" in chosen
        else "the test images decided nothing."
    )
    return f"{said}{findings.about.data.validation:,} {kind}; {end}"


def _about_images(findings: Findings) -> str:
    """Whether intervals over seeds include the choice of the images to train on."""
    if (findings.about.recipe or {}).get("subset_seeds"):
        return (
            "Each seed drew its own images to train on, so intervals include that choice too, but "
            "not that of the test images."
        )
    return (
        "Every seed trains on the same images: intervals leave out the choice of images "
        "(--subset-seeds true draws those of --train-size anew for each seed)."
    )


def _about_set_by_data(findings: Findings) -> list[str]:
    """Which options of methods follow from the data instead of their defaults."""
    told: dict[str, dict[str, bool]] = findings.about.details.get("set_by_data", {})
    return [
        f"{name} is {str(value).lower()} in {method}, since the data"
        + (" may be mirrored." if value else " are not to be mirrored.")
        for method, options in told.items()
        for name, value in options.items()
    ]


def _about_seeds(raw: list[Group]) -> list[str]:
    """Which methods have no interval, and how few seeds the others have."""
    alone = [group.name for group in raw if len(group.seeds) == 1]
    several = [len(group.seeds) for group in raw if len(group.seeds) > 1]
    if not several:
        return ["One seed per method: differences are what was seen, and chance cannot be judged."]
    found: list[str] = []
    if alone:
        has = "has" if len(alone) == 1 else "have"
        found.append(
            f"{joined(alone)} {has} one seed: what was seen is there, and chance cannot be judged."
        )
    if min(several) < 5:
        found.append(
            f"Intervals of a method alone are Student's t over {count_range(several)} seeds; with "
            "so few they are wide for a good reason. More seeds (--seeds) make them narrower: runs "
            "that are there are kept."
        )
    return found


def _about_claims(raw: list[Group]) -> list[str]:
    """How methods are compared with the baseline, and on what that rests."""
    asked = [found for group in raw if (found := group.differences.get("top1")) is not None]
    pooled = [found.freedom for found in asked if found.pooled]
    if len(asked) < 2 or not pooled:
        return []
    return [
        f"{len(asked)} methods are compared with one baseline at once, by Dunnett's method: of "
        "twenty such comparisons without any true difference, one claims some. How far runs vary "
        f"by chance is taken to be alike for all methods ({max(pooled)} degrees of freedom). One "
        "that varies far more is judged apart, where the seeds are enough to show that: at three "
        "seeds a method that varies three times as much errs in 7 to 11 cases of 100, not in 5."
    ]


def _about_epochs(raw: list[Group]) -> list[str]:
    """What the medians of the last epochs lack."""
    notes = {
        median["note"]
        for group in raw
        for summary in group.summaries
        if (median := summary["protocols"].get("median10")) and median["note"]
    }
    return [f"Medians are of fewer than ten epochs: {note}." for note in sorted(notes)]


def _about_ema(findings: Findings) -> str:
    recipe = findings.about.recipe or {}
    decay = float(recipe["ema_decay"])
    own_epochs = read_cost(findings.parts["cost"]).own_epochs.values()
    batch, epochs = int(recipe["batch_size"]), min(own_epochs, default=int(recipe["epochs"]))
    kind = "the shortest" if len({*own_epochs}) > 1 else "such a"
    steps = epochs * max(1, math.ceil(findings.about.data.train / batch))
    full, reached = 1 / max(1 - decay, 1e-9), (10 + steps) / 9
    text = (
        "EMA is the same average of weights for every method, no method's own teacher; compare "
        "raw with raw and EMA with EMA."
    )
    if reached < full:
        text += (
            f" Its decay warms up, so after the {steps:,} steps of {kind} run it spans about the "
            f"last {reached:,.0f} of them, not the {full:,.0f} of a long one."
        )
    if any(group.weights == "teacher" for group in findings.parts["scores"].groups):
        text += " A method's own teacher averages weights too, and is set against the EMA of none."
    return text


def _about_nll(raw: list[Group]) -> list[str]:
    base = next((group for group in raw if group.baseline), None)
    others = [group for group in raw if not group.baseline]
    if base is None or not others:
        return []
    worse = [group for group in others if group.intervals["nll"].mean > base.intervals["nll"].mean]
    if not worse:
        return []
    return [
        f"Negative log-likelihood is worse than without mixing for {len(worse)} of {len(others)} "
        "methods: mixed labels teach caution, which costs likelihood where the model is right, "
        "also when accuracy rises. A high ECE then often means too little confidence, not too "
        "much."
    ]


def _about_cost(findings: Findings) -> list[str]:
    """By what costs were measured, and methods whose steps do not show theirs."""
    found = read_cost(findings.parts["cost"])
    if found.clock is None:
        return [
            "What training costs was not measured. Times are of the wall clock on a machine that "
            "other work may share, so nothing is ranked by them."
        ]
    said = [
        "Costs are ratios of training steps that were taken in turn on this machine; on another "
        "one, and with more threads, they differ. mixwright bench measures more of them."
    ]
    outside = [
        f"{method.name} ({method.mean_ratio:.1f}x)"
        for method in found.methods
        if method.outside and method.mean_ratio is not None
    ]
    if outside:
        said.append(
            f"Step costs do not show all that {', '.join(outside)} cost: in brackets stands the "
            "wall-clock time of the whole run, evaluation included, relative to that of the "
            "baseline."
        )
    return said
