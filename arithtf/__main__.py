"""`python -m arithtf` is the command `arithtf`."""

import sys

from arithtf.cli import main

if __name__ == "__main__":
    sys.exit(main())
