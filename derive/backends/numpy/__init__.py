"""The NumPy modules: printers, a frame per module, update rules, `lambdify`, and the adapter for the certificate."""
