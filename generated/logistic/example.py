"""The logistic network that counts zeros: data and settings to try it with.

Three sequences of three steps, from J. D. Seo's tutorial.
"""

import numpy as np

from .network import Parameters

X = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 1]])
t = np.array([3, 2, 1])
START = Parameters(Wx=0.2, Wrec=1.5)
LEARNING_RATES = Parameters(Wx=0.001, Wrec=0.001)
EPOCHS = 15_000
