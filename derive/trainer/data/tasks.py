"""Tasks to try a network on: data that are made here, and what the trained network does with data that it has not seen.

A function that returns a Task is one that a cell's example can name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from ..errors import InputError
from .shapes import Array

UNSEEN = 2_000
SHOWN = 5
SAMPLED = 200

Predict: TypeAlias = Callable[[Array], Array]
"""The trained network: from X to its output."""


class Task(NamedTuple):
    """Data to train on, and the end of the report."""

    X: Array
    t: Array
    show: Callable[[Predict], list[str]]
    read_text: Callable[[str], Task] | None = None
    """Makes the same task of a text of the user's."""


def binary_addition(examples: int, bits: int, seed: int) -> Task:
    """The sum of two binary numbers, least significant bit first; shows how many of 2,000 unseen sums are right.

    Args:
        examples: How many pairs to train on.
        bits: How many bits are read and written; the numbers have one less, so that the sum fits.
        seed: For the pairs; none is drawn twice.

    Returns:
        X: examples × bits × 2, and t: examples × bits × 1.
    """
    numbers = 2 ** (bits - 1)
    if not 2 <= bits <= 31 or examples >= numbers**2:
        raise InputError(
            f"binary_addition: {examples} pairs of numbers of {bits - 1} bits leave none unseen, or bits is above 31"
        )
    drawn = min(examples + UNSEEN, numbers**2)
    first, second = np.divmod(np.random.default_rng(seed).choice(numbers**2, drawn, replace=False), numbers)
    places = np.arange(bits)
    X = np.stack([number[:, np.newaxis] // 2**places % 2 for number in (first, second)], axis=-1)
    t = (first + second)[:, np.newaxis, np.newaxis] // 2 ** places[:, np.newaxis] % 2

    def show(predict: Predict) -> list[str]:
        answers = (predict(X[examples:]) > 0).astype(int)  # unseen, bits, 1: above 0, the logistic of it is above 1/2
        right = np.all(answers == t[examples:], axis=(1, 2))
        lines = []
        for n in range(min(SHOWN, len(right))):
            sums = [first[examples + n], second[examples + n], int(answers[n, :, 0] @ 2**places)]
            a, b, c = (f"{number:0{bits}b}" for number in sums)
            lines.append(f"{a} + {b} = {c}   {sums[0]} + {sums[1]} = {sums[2]}{'' if right[n] else ', which is wrong'}")
        return [*lines, f"{right.sum()} of {len(right)} unseen additions are right in all bits"]

    return Task(X[:examples], t[:examples], show)


def adding_problem(examples: int, steps: int, seed: int) -> Task:
    """The sum of the two marked numbers of a sequence; shows the mean squared error on 2,000 unseen sequences.

    The marks are one in each half (S. Hochreiter and J. Schmidhuber, Long short-term memory, 1997). Whoever always
    says 1 has the error 1/6.

    Args:
        examples: How many sequences to train on.
        steps: How many numbers a sequence has, 2 or more.
        seed: For the sequences.

    Returns:
        X: examples × steps × 2, a number between 0 and 1 and the mark, and t: examples × 1.
    """
    if steps < 2:
        raise InputError(f"adding_problem: {steps} steps have no two places to mark: give 2 or more")
    random = np.random.default_rng(seed)
    N = examples + UNSEEN
    X = np.zeros((N, steps, 2))
    X[..., 0] = random.uniform(size=(N, steps))
    for low, high in ((0, steps // 2), (steps // 2, steps)):
        X[np.arange(N), random.integers(low, high, N), 1] = 1
    t = np.sum(X[..., 0] * X[..., 1], axis=1, keepdims=True)

    def show(predict: Predict) -> list[str]:
        answers = predict(X[examples:])
        lines = [
            f"sum {target:.4f}, predicted {answer:.4f}"
            for target, answer in zip(t[examples:, 0], answers[:SHOWN, 0], strict=False)
        ]
        error = np.mean((answers - t[examples:]) ** 2)
        return [*lines, f"mean squared error on {UNSEEN} unseen sequences: {error:.2g} (always saying 1: 0.17)"]

    return Task(X[:examples], t[:examples], show)


def next_character(steps: int, seed: int, text: str = "") -> Task:
    """The next character of a text; shows how well each is foreseen, and a text that the network writes.

    Args:
        steps: How many characters the network reads; the windows of the text overlap by half.
        seed: For the text that is written.
        text: What to learn; a nursery rhyme unless given.

    Returns:
        X: N × steps × V, 1 at each character's place among the V of the text and 0 elsewhere, and t: N × steps, the
        place of the character that follows.
    """
    text = text or nursery_rhyme()
    alphabet, codes, counts = np.unique(list(text), return_inverse=True, return_counts=True)
    if len(codes) <= steps or len(alphabet) < 2:
        raise InputError(f"the text has {len(codes)} characters, {len(alphabet)} of them different: give a longer one")
    V = len(alphabet)
    windows = np.lib.stride_tricks.sliding_window_view(codes, steps + 1)[:: max(steps // 2, 1)]
    X, t = np.eye(V, dtype=np.int8)[windows[:, :-1]], windows[:, 1:]
    shares = counts / counts.sum()
    entropy = -np.sum(shares * np.log(shares))

    def show(predict: Predict) -> list[str]:
        scores = predict(X[:UNSEEN])  # N, steps, V
        right = np.take_along_axis(log_softmax(scores), t[:UNSEEN, :, np.newaxis], axis=-1)
        random = np.random.default_rng(seed)
        written = list(windows[0, :steps])
        for _ in range(SAMPLED):
            last = predict(np.eye(V)[np.newaxis, written[-steps:]])[0, -1]  # V
            written.append(int(random.choice(V, p=np.exp(log_softmax(last)))))
        return [
            f"loss a character: {-right.mean():.3f}; {entropy:.3f} for someone who only knows how frequent each is",
            "the text up to the bar is given; the network writes on",
            "",
            "".join(alphabet[written[:steps]]) + "|" + "".join(alphabet[written[steps:]]),
        ]

    return Task(X, t, show, read_text=lambda other: next_character(steps, seed, other))


def log_softmax(scores: Array) -> Array:
    """Logarithms of the probabilities that scores stand for, along the last axis."""
    shifted = scores - np.max(scores, axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    return result


def nursery_rhyme() -> str:
    """The House that Jack Built, first printed in 1755: each verse says all those before it once more."""
    lines = (
        "the house that Jack built.",
        "the malt\nThat lay in ",
        "the rat,\nThat ate ",
        "the cat,\nThat killed ",
        "the dog,\nThat worried ",
        "the cow with the crumpled horn,\nThat tossed ",
        "the maiden all forlorn,\nThat milked ",
        "the man all tattered and torn,\nThat kissed ",
        "the priest all shaven and shorn,\nThat married ",
        "the cock that crowed in the morn,\nThat waked ",
        "the farmer sowing his corn,\nThat kept ",
    )
    verses = ("This is " + "".join(reversed(lines[: number + 1])) for number in range(len(lines)))
    return "\n\n".join(verses) + "\n"
