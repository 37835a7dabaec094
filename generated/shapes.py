"""The sizes of a cell's dimensions: read off the data, and asked for where the data do not tell."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy.typing as npt

from .errors import InputError

Shape: TypeAlias = tuple[str | int, ...]
"""The dimensions of an array, each by its name, a fixed one by its size; () is a number."""

ONE_NUMBER_A_STEP: dict[str, Shape] = {"X": ("N", "T"), "t": ("N",)}
"""The data of a cell that reads one number a step and has one target a sequence."""


def in_words(shape: Shape) -> str:
    """Write a shape as N x T x D."""
    return " x ".join(map(str, shape)) or "one number"


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
    for name, array in arrays.items():
        shape = getattr(array, "shape", ())
        for dimension, size in zip(shapes[name], shape, strict=True):
            expected = sizes.setdefault(dimension, size) if isinstance(dimension, str) else dimension
            if size != expected or size == 0:
                raise ValueError(f"{name} has shape {shape}, and {dimension} is {expected}")
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
