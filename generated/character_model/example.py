"""The character model: a task and settings to try it with.

A nursery rhyme, or any text of yours.
"""

from ..trainer.data.tasks import next_character

TASK = next_character(steps=25, seed=1)
SIZES = {"H": 64}
METHOD = "adam"
LEARNING_RATE = 0.005
BATCH = 20
EPOCHS = 30
SEED = 1
