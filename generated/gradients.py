"""The size of the gradient on its way back through time, from the command line.

python -m generated.gradients --help
"""

import sys

from .trainer.commands.gradients import main

if __name__ == "__main__":
    sys.exit(main())
