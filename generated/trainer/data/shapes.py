"""The sizes of a cell's dimensions: read off the data, and asked for where the data do not tell."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Array: TypeAlias = npt.NDArray[Any]

Shape: TypeAlias = tuple[str | int, ...]
"""The dimensions of an array, each by its name, a fixed one by its size; () is a number."""

ONE_NUMBER_A_STEP: dict[str, Shape] = {"X": ("N", "T"), "t": ("N",)}
"""The data of a cell that reads one number a step and has one target a sequence."""

NOUNS = {"N": "sequence", "T": "step"}
"""What the dimensions that every cell has are called."""


def in_words(shape: Shape) -> str:
    """Write a shape as N x T x D."""
    return " x ".join(map(str, shape)) or "one number"


def counted(number: int, noun: str) -> str:
    """Write 1 step, 2 steps."""
    return f"{number} {noun}{'s' * (number != 1)}"


def measure(shapes: Mapping[str, Shape], arrays: Mapping[str, npt.ArrayLike]) -> dict[str, int]:
    """Read the sizes of named dimensions off arrays.

    Args:
        shapes: The shape of every array, by name.
        arrays: The arrays.

    Returns:
        The size of each dimension.

    Raises:
        ValueError: An array has another shape, or a dimension that is empty.
    """
    sizes: dict[str, int] = {}
    told_by: dict[str, str] = {}
    for name, array in arrays.items():
        shape, dimensions = np.shape(array), shapes[name]
        fixed = [given if isinstance(size, str) else size for size, given in zip(dimensions, shape, strict=False)]
        if len(shape) != len(dimensions) or list(shape) != fixed:
            raise ValueError(f"{name} has shape {shape}, expected {in_words(dimensions)}")
        if 0 in shape:
            raise ValueError(f"{name} has shape {shape}: none of {in_words(dimensions)} may be zero")
        for dimension, size in zip(dimensions, shape, strict=True):
            if not isinstance(dimension, str):
                continue
            other = told_by.setdefault(dimension, name)
            if size != sizes.setdefault(dimension, size):
                noun = NOUNS.get(dimension)
                first = counted(sizes[dimension], noun) if noun else f"{sizes[dimension]} entries along {dimension}"
                raise ValueError(
                    f"{other} has {first} and {name} has {size}; "
                    f"{other} has shape {np.shape(arrays[other])} and {name} has shape {shape}"
                )
    return sizes


def size_of_all(shapes: Mapping[str, Shape], sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Put sizes into the shapes of the weights.

    Args:
        shapes: The shape of every weight, by name.
        sizes: The size of every dimension.

    Returns:
        The shapes in numbers.

    Raises:
        InputError: A dimension has no size.
    """
    for name, shape in shapes.items():
        for dimension in shape:
            if isinstance(dimension, str) and dimension not in sizes:
                raise InputError(
                    f"the size of {dimension} is not known: {name} is {in_words(shape)}; "
                    f"give it, as in --size {dimension}=16"
                )
    return {
        name: tuple(sizes[each] if isinstance(each, str) else each for each in shape) for name, shape in shapes.items()
    }
