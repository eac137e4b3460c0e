"""``mixwright gallery``: pictures of what methods do."""

from collections.abc import Sequence
from dataclasses import dataclass

from mixwright.cli.errors import UsageError, users_words
from mixwright.cli.options import DataOptions
from mixwright.cli.parser import option, parse

ABOUT = """Draw what methods do to images: pairs, masks, mixed images and label bars, as
gallery.png and gallery.html. METHOD as in mixwright compare --help; without any, all mixers."""


@dataclass(frozen=True)
class GalleryOptions(DataOptions):
    """``mixwright gallery``."""

    methods: tuple[str, ...] = option((), "what to draw", metavar="METHOD")
    count: int = option(6, "samples of each method (default 6)", metavar="COUNT")
    seed: int = option(0, "of the draws", metavar="NUMBER")
    out: str = option("runs/gallery", "folder (default runs/gallery)", metavar="DIR")


def main(words: Sequence[str]) -> int:
    """Run the command; see ``cli.main``."""
    options = parse(GalleryOptions, words, prog="mixwright gallery", about=ABOUT)
    if not 1 <= options.count <= 64:
        raise UsageError(f"--count is {options.count}; expected 1 to 64.")
    from mixwright.data.names import parse_data

    with users_words():
        parse_data(options.data)
    from mixwright.cli.prepare import load, out_folder

    out = out_folder(options.out)
    from mixwright.experiments.methods import parse_methods
    from mixwright.mixers import MIXERS
    from mixwright.reports.gallery import choose_images, exhibit
    from mixwright.reports.html import write_gallery
    from mixwright.reports.tables import short_name

    with users_words():
        methods = parse_methods(options.methods or MIXERS)
        data = load(options, train_size=options.train_size)
        images, labels = choose_images(data, max(8, options.count))
        exhibits = [
            exhibit(method, images, labels, data.classes, count=options.count, seed=options.seed)
            for method in methods
            if method.parts
        ]
        drawn = [one for one in exhibits if one.samples]
        for one in exhibits:
            if not one.samples:
                print(f"{one.label}: {one.note}")
        if not drawn:
            raise UsageError("none of these can be drawn; try mixup, cutmix or fmix.")
        page = write_gallery(drawn, out, title=f"Mixing {short_name(data.name)}", note=data.note)
    print(f"gallery  {page}\npicture  {page.with_suffix('.png')}")
    return 0
