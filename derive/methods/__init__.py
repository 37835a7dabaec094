"""Update rules and the method of Levenberg and Marquardt, as equations."""
