"""``python -m mixwright`` is the command ``mixwright``."""

import sys

from mixwright.cli import main

if __name__ == "__main__":
    sys.exit(main())
