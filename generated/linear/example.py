"""The linear network that counts ones: data and settings to try it with.

Three sequences of three steps, from J. D. Seo's tutorial.
"""

import numpy as np

from .network import Parameters

X = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
t = np.array([1, 2, 3])
START = Parameters(Wx=0.2, Wrec=1.5)
LEARNING_RATES = Parameters(Wx=0.02, Wrec=0.0006)
EPOCHS = 30_000
