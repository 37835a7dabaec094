"""Update rules and the Levenberg–Marquardt method, as equations."""
