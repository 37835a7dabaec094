"""Training a derived network, from the command line.

python -m generated.train --help
"""

import sys

from .trainer.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
