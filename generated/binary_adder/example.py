"""The network that adds binary numbers: a task and settings to try it with.

Adding two numbers below 64, after P. Roelants.
"""

from ..trainer.data.tasks import binary_addition

TASK = binary_addition(examples=2_000, bits=7, seed=1)
SIZES = {"H": 6}
METHOD = "adam"
LEARNING_RATE = 0.02
BATCH = 100
EPOCHS = 50
SEED = 1
