"""The LSTM with peepholes: a task and settings to try it with.

The adding problem: two numbers of a hundred, marked, are to be remembered and added.
"""

from ..trainer.data.tasks import adding_problem

TASK = adding_problem(examples=5_000, steps=100, seed=1)
SIZES = {"H": 16}
START_AT = {"bf": 3}
METHOD = "adam"
LEARNING_RATE = 0.01
BATCH = 50
EPOCHS = 20
SEED = 1
