"""The vanilla recurrent network: a task and settings to try it with.

The adding problem: two numbers of ten, marked, are to be remembered and added.
"""

from ..trainer.data.tasks import adding_problem

TASK = adding_problem(examples=5_000, steps=10, seed=1)
SIZES = {"H": 16}
METHOD = "adam"
LEARNING_RATE = 0.005
BATCH = 50
EPOCHS = 30
SEED = 1
