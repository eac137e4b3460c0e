"""The command ``mixwright``: finds the subcommand, and turns users' mistakes into one line."""

import io
import sys
from collections.abc import Sequence
from importlib import import_module

from mixwright import __version__
from mixwright.arguments import did_you_mean
from mixwright.files import DiskFullError
from mixwright.lab.cli.errors import TerminatedError, UsageError, terminated_by_sigterm
from mixwright.lab.reports.plain_text import REPLACE, printable

COMMANDS = {
    "compare": "train with several methods and seeds, and report on them",
    "train": "train one model with one method",
    "evaluate": "measure a trained model",
    "report": "make the page of a record again",
    "export": "write the curves of runs for TensorBoard, or as one CSV",
    "gallery": "draw what methods do to images",
    "list": "list methods, data sets and models",
    "bench": "measure how fast the methods are",
    "theory": "measure what masks do to gradients",
    "reproduce": "make a published table or figure again",
}

HELP = """usage: mixwright COMMAND [options]

Mixed-sample data augmentation: compare methods, train with them, look at them.

commands:
{commands}

mixwright COMMAND --help says more about one; mixwright compare alone is a good start:
it trains a small net on real digits with several methods and writes a report.

examples:
  mixwright compare
  mixwright gallery CutMix PuzzleMix --data folder:photos
  mixwright compare none cutmix miamix --data folder:photos --dry-run
  mixwright evaluate runs/compare
"""

RESUMES = ("compare", "train", "evaluate", "reproduce")
LAB = ("numpy", "scipy", "PIL", "matplotlib", "jinja2", "jsonargparse", "rich")  # what it imports
INTERRUPTED, TERMINATED = 130, 143  # what shells report of commands that SIGINT, SIGTERM ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments behind ``mixwright``; None takes those of the process.

    Returns:
        the exit code: 0 done, 1 something failed, 2 the arguments were not understood,
        130 interrupted, 143 terminated.
    """
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):  # a message must not be lost to what cannot write it
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACE)
    if not argv or argv[0] in ("-h", "--help", "help"):
        names = "\n".join(f"  {name:11}{about}" for name, about in COMMANDS.items())
        print(HELP.format(commands=names), end="")
        return 0 if argv else 2
    if argv[0] in ("--version", "-V"):
        print(f"mixwright {__version__}")
        return 0
    name, *rest = argv
    try:
        if name not in COMMANDS:
            raise UsageError(
                f"there is no command {name}.{did_you_mean(name, COMMANDS)} "
                f"Commands are {', '.join(COMMANDS)}."
            )
        with terminated_by_sigterm():
            return import_module(f"mixwright.lab.cli.{name}").main(rest)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in LAB:
            raise
        print(
            f"mixwright {name}: this needs {error.name}, which is not installed; "
            "pip install 'mixwright[lab]' brings it.",
            file=sys.stderr,
        )
        return 2
    except UsageError as error:
        prog = f"mixwright {name}" if name in COMMANDS else "mixwright"
        print(printable(f"{prog}: {error}", keep="\n"), file=sys.stderr)
        return 2
    except SystemExit as end:  # the parser printed its help
        return int(end.code or 0)
    except DiskFullError as error:
        text = f"mixwright {name}: {error}; make room{_again(argv, ', then')}."
        print(printable(text), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nmixwright {name}: interrupted{_again(argv, ';')}.", file=sys.stderr)
        return INTERRUPTED
    except TerminatedError:
        print(f"\nmixwright {name}: stopped by SIGTERM{_again(argv, ';')}.", file=sys.stderr)
        return TERMINATED
    except BrokenPipeError:  # mixwright list | head
        sys.stderr.close()
        return 1


def _again(argv: Sequence[str], joined: str) -> str:
    dry = any(word.startswith("--dry-run") for word in argv)  # which wrote nothing
    resumes = argv[0] in RESUMES and not dry
    return f"{joined} the same command again goes on where it was" if resumes else ""
