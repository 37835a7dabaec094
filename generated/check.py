"""The analytic gradient against a numeric one, entry by entry, from the command line.

python -m generated.check --help
"""

import sys

from .trainer.commands.check import main

if __name__ == "__main__":
    sys.exit(main())
