"""The moments of a data set that may be larger than memory, from the command line.

python -m generated.moments_of --help
"""

import sys

from .trainer.commands.moments_of import main

if __name__ == "__main__":
    sys.exit(main())
