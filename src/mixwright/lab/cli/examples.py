"""Commands to begin with, by subcommand: what ``--help`` shows of each, with what they do."""

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "compare": (
        ("", "seven methods on real handwritten digits, in minutes"),
        (
            "none CutMix PuzzleMix --data cifar10 --epochs 30 --seeds 5",
            "the real thing: methods that you name, and more seeds",
        ),
        (
            "none cutmix --data folder:photos --dry-run",
            "what it would take on images of your own, a folder for each class",
        ),
        (
            "none 'cutmix:alpha=0.2|1' --data cifar100 --recipe automix-cifar",
            "a grid over an option, under a published recipe",
        ),
    ),
    "train": (
        ("cutmix", "a small net on digits, in seconds"),
        (
            "miamix --data cifar10 --model wrn28_10 --out runs/wide",
            "one model of a known size, into a folder of its own",
        ),
        (
            "mixup+cutmix --data folder:photos --recipe finetune",
            "fine-tune a small network on photographs of your own",
        ),
        (
            "none --data cifar100 --init runs/wide --model wrn28_10 --freeze backbone",
            "a new last layer on the weights of a run",
        ),
    ),
    "evaluate": (
        ("runs/compare", "all that is measured, methods side by side"),
        (
            'runs/wide/best.pt --only "accuracy corruption:types=fog;snow"',
            "two evaluations of one checkpoint, one with options",
        ),
        (
            "mynets:build --data cifar10 --test-size 1000",
            "the network that build of your mynets.py returns, on some of the images",
        ),
    ),
    "report": (
        ("runs/compare", "the page of a folder's record, beside it"),
        ("runs/compare/comparison.json --out page", "the same into another folder"),
    ),
    "export": (
        ("runs/compare --to csv", "one table of a comparison: a row a run, epoch and measure"),
        (
            "runs --to tensorboard --follow",
            "all runs while they train, for tensorboard --logdir runs/export",
        ),
    ),
    "gallery": (
        ("", "every mixer on digits"),
        (
            "CutMix PuzzleMix --data folder:photos --count 4",
            "two mixers on images of your own",
        ),
        (
            "saliencymix --data cifar10 --run runs/wide",
            "what a method sees through a model that you have trained",
        ),
    ),
    "list": (
        ("", "everything there is"),
        ("methods", "each method with its options, source and cost"),
        ("data models recipes", "what --data, --model and --recipe take"),
    ),
    "bench": (
        ("", "all mixers, on two shapes of batches"),
        ("cutmix miamix --shapes 256x3x64x64", "two of them on a shape of your own"),
        ("mixup puzzlemix --training --shapes none", "what a training step costs"),
    ),
    "theory": (
        ("", "all mixers on digits"),
        (
            "mixup cutmix hmix --masks 1024 --mode both",
            "three of them, exactly and by the published law",
        ),
        (
            "cutmix --data cifar10 --run runs/wide --decomposition",
            "the loss of a model of yours, expanded",
        ),
        ("--design ring", "a mixer for moments that you want"),
    ),
    "reproduce": (
        ("--list", "every table and figure, with what it costs here"),
        ("miamix:layers", "the rows of a table on digits, in minutes"),
        ("adautomix:table1 --scale paper --dry-run", "what the published protocol would take"),
    ),
}


def examples_text(command: str) -> str:
    """Return the paragraph of a command's examples.

    Example:
        >>> print(examples_text("report").partition(" --out")[0])
        examples:
          mixwright report runs/compare
              the page of a folder's record, beside it
          mixwright report runs/compare/comparison.json
    """
    lines = ["examples:"]
    for words, about in EXAMPLES[command]:
        lines += [f"  mixwright {command} {words}".rstrip(), f"      {about}"]
    return "\n".join(lines)
