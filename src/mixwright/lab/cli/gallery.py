"""``mixwright gallery``: pictures of what methods do."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.options import DataOptions, probe_option
from mixwright.lab.cli.parser import option, parse
from mixwright.lab.cli.unused import check_probe
from mixwright.lab.reports.plain_text import printable
from mixwright.lab.settings import option_flag

ABOUT = """Draw what methods do to images: pairs, masks, mixed images and label bars, as
gallery.png and gallery.html. METHOD as in mixwright compare --help; without any, all mixers.

Methods that look through a model look through that of --run, or through a small net that is
trained on the data first: for some seconds, or a minute, until it knows clearly more of held-out
images than chance does. Where it does not, their pictures say so.

With --playground it writes playground.html instead, a page on which two pictures, built in or your
own, are mixed by hand: choose a method and lambda, and see mask, mixture and label change. The page
needs no server and nothing beside it."""


@dataclass(frozen=True)
class GalleryOptions(DataOptions):
    """``mixwright gallery``."""

    methods: tuple[str, ...] = option((), "what to draw", metavar="METHOD")
    count: int = option(6, "samples of each method (default 6)", metavar="COUNT")
    seed: int = option(0, "of the draws", metavar="NUMBER")
    run: str | None = option(
        None, "run folder or checkpoint whose model is looked through", metavar="DIR"
    )
    model: str | None = probe_option()
    playground: bool = option(
        False, "write a page to mix two pictures on by hand instead; takes --out alone"
    )
    out: str = option("runs/gallery", "folder (default runs/gallery)", metavar="DIR")


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``mixwright.lab.cli.main``."""
    options = parse(GalleryOptions, argv, prog="mixwright gallery", about=ABOUT)
    if options.playground:
        return _playground(options)
    if not 1 <= options.count <= 64:
        raise UsageError(f"--count is {options.count}; expected 1 to 64.")
    from mixwright.lab.data.names import parse_data

    with users_words():
        parse_data(options.data)
    from mixwright.lab.cli.prepare import load, out_folder, tell

    out = out_folder(options.out)
    from mixwright.lab.experiments.methods import parse_methods
    from mixwright.lab.experiments.probe_model import find_probe_model, looks_through_model
    from mixwright.lab.experiments.samples import choose_images, draw_samples
    from mixwright.lab.reports.comparison_page import short_name
    from mixwright.lab.reports.gallery import samples_of, write_gallery
    from mixwright.mixers import MIXERS

    with users_words():
        methods = parse_methods(options.methods or MIXERS, trust=options.trust)
        data = load(options, train_size=options.train_size)
        if data.withheld:
            raise UsageError(f"{data.withheld}. Name other data for a gallery, such as cifar10.")
        probe = None
        looking = any(map(looks_through_model, methods))
        check_probe(options.model, used=looking or options.run is not None)
        if looking or options.run is not None:
            probe = find_probe_model(
                data,
                options.run,
                seed=options.seed,
                on_message=tell,
                trust=options.trust,
                model=options.model,
            )
            data = probe.data
        images, labels = choose_images(data, max(8, options.count))
        model = None if probe is None else probe.model
        every = [
            samples_of(
                *draw_samples(
                    method, images, labels, data.classes,
                    count=options.count, seed=options.seed, flips=data.mirrored, model=model,
                )
            )
            for method in methods
            if method.parts
        ]  # fmt: skip
        if probe is not None and probe.doubt:
            looking = {method.text for method in methods if looks_through_model(method)}
            every = [
                replace(one, note=f"{one.note} {probe.doubt}".strip())
                if one.key in looking and one.samples
                else one
                for one in every
            ]
        drawn = [samples for samples in every if samples.samples]
        for samples in every:
            if not samples.samples:
                print(printable(f"{samples.title}: {samples.note}"))
        if not drawn:
            raise UsageError("none of these can be drawn; try mixup, cutmix or fmix.")
        note = data.note if probe is None else f"{probe.note} {data.note}"
        page = write_gallery(drawn, out, title=f"Mixing {short_name(data.name)}", note=note)
    print(printable(data.summary))
    for word, file in (("gallery", page), ("picture", page.with_suffix(".png"))):
        print(printable(f"{word}  {file}"))
    return 0


def _playground(options: GalleryOptions) -> int:
    """Write the playground."""
    given = [
        "METHOD" if field.name == "methods" else option_flag(field.name)
        for field in fields(options)
        if field.name not in ("playground", "out") and getattr(options, field.name) != field.default
    ]
    if given:
        raise UsageError(
            f"--playground and {', '.join(given)} are both given; expected --out alone beside "
            "--playground, whose page has methods and pictures of its own."
        )
    from mixwright.lab.cli.prepare import out_folder, tell
    from mixwright.lab.reports.playground import write_playground

    out = out_folder(options.out)
    tell("drawing the plans of every method, for some seconds ...")
    with users_words():
        page = write_playground(out / "playground.html")
    print(printable(f"playground  {page}"))
    return 0
