"""The tanh network with an output weight: data and settings to try it with.

The sequences of the linear network.
"""

import numpy as np

from .network import Parameters

X = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
t = np.array([1, 2, 3])
START = Parameters(Wx=0.2, Wrec=1, Wy=5)
LEARNING_RATES = Parameters(Wx=0.001, Wrec=0.001, Wy=0.001)
EPOCHS = 30_000
