"""``python -m mixwright`` is the command ``mixwright``."""

import sys

from mixwright.lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
