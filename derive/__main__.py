"""python -m derive: cells in, derivations and NumPy modules out."""

import sys

from derive.output.command_line import main

if __name__ == "__main__":
    sys.exit(main())
