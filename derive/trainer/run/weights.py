"""The weights: where they start, their learning rates, and the file that keeps them.

On the command line weights are written `Wx=0.2,Wrec=1.5`, in a file as the JSON object
`{"Wx": 0.2, "Wrec": 1.5}`. In the program they are a cell's `Parameters`, a NamedTuple with one
field a weight. No function here knows which weights a cell has: their names are the fields.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..data.input_files import read_text
from ..data.numerals import read_number
from ..errors import InputError
from ..files import write_whole


def choose_start(
    template: NamedTuple, seed: int | None, init: str | None, preset: Mapping[str, float] = MappingProxyType({})
) -> NamedTuple:
    """Choose the weights with which training starts.

    Args:
        template: Parameters with the names and the shapes of the weights.
        seed: What `init` leaves out is drawn with this seed, see `draw`, whether `init` names it or
            not. None: it is the template's.
        init: `NAME=VALUE,…` or the path of a weights file ending in .json; some weights suffice.
        preset: Weights that are not drawn, each with the value of all its entries.

    Returns:
        Parameters like the template.

    Raises:
        InputError: `init` cannot be read, or a weight in it is unknown or not a finite number.
    """
    start = template
    if seed is not None:
        random = np.random.default_rng(seed)
        start = template._make(draw(np.shape(leaf), random) for leaf in template)
    start = start._replace(**{name: np.full_like(getattr(start, name), value) for name, value in preset.items()})
    if init is None:
        return start
    if init.lower().endswith(".json"):
        return start._replace(**read_weights(Path(init), template))
    given = _named_numbers("--init", init, template._fields, "a file that ends in .json")
    for name, value in given.items():
        if not math.isfinite(value):
            raise InputError(f"--init {init}: {name} must be a finite number")
        if np.ndim(getattr(template, name)) > 0:
            raise InputError(f"--init {init}: {name} is an array: give it in a .json file")
    return start._replace(**given)


def draw(shape: tuple[int, ...], random: np.random.Generator) -> Any:
    """Draw a weight to start from.

    Returns:
        A number from the uniform distribution on [-1, 1); a row of zeros, as is usual for a bias; a
        matrix from the normal distribution whose variance is 1 / (number of rows), so that a
        product with it is about as large as what goes in (LeCun et al., Efficient BackProp, 1998).
    """
    if not shape:
        return random.uniform(-1, 1)
    return random.normal(0, 1 / math.sqrt(shape[0]), shape) if len(shape) > 1 else np.zeros(shape)


def choose_learning_rates(defaults: NamedTuple, text: str | None) -> NamedTuple:
    """Choose one learning rate a weight.

    Args:
        defaults: Parameters with the learning rates of the weights that `text` leaves out.
        text: One number for all weights, or `NAME=VALUE,…`.

    Returns:
        Parameters like the defaults.

    Raises:
        InputError: `text` cannot be read, names an unknown weight, or a rate is not positive.
    """
    if text is None:
        return defaults
    try:
        rates = dict.fromkeys(defaults._fields, read_number(text))
    except ValueError:
        rates = _named_numbers("--learning-rate", text, defaults._fields, "one number for all weights")
    for rate in rates.values():
        if not (rate > 0 and math.isfinite(rate)):
            raise InputError(f"--learning-rate {text}: a learning rate must be finite and above 0")
    return defaults._replace(**rates)


def format_weights(parameters: NamedTuple) -> str:
    """Write parameters as --init reads them, each number with all its digits; of an array its shape."""
    if not any(map(np.ndim, parameters)):
        return ",".join(f"{name}={value!r}" for name, value in plain(parameters).items())
    shapes = {name: " x ".join(map(str, np.shape(leaf))) for name, leaf in parameters._asdict().items()}
    return ", ".join(f"{name} {shapes[name] or repr(float(leaf))}" for name, leaf in parameters._asdict().items())


def read_weights(path: Path, template: NamedTuple) -> dict[str, Any]:
    """Read a weights file.

    Args:
        path: A JSON object with one entry a weight; some weights suffice.
        template: Parameters with the names and the shapes of the weights.

    Returns:
        The weights in the file, by name.

    Raises:
        InputError: The file cannot be read, or an entry is no weight of the template's shape.
    """
    try:
        entries = json.loads(read_text(path))
    except InputError as error:
        raise InputError(f"--init {error}") from None
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        raise InputError(f"--init {path} is no JSON object like the one that --output writes")

    weights = {}
    for name, value in entries.items():
        _check_name(f"--init {path}", name, template._fields)
        shape = np.shape(getattr(template, name))
        try:
            leaf = np.asarray(value)
        except ValueError:  # rows of different length
            leaf = np.asarray(None)
        if leaf.dtype.kind not in "iuf" or not np.all(np.isfinite(leaf)):
            raise InputError(f"--init {path}: {name} is not {'finite numbers' if shape else 'one finite number'}")
        if leaf.shape != shape:
            held, expected = (f"numbers of shape {each}" if each else "one number" for each in (leaf.shape, shape))
            raise InputError(
                f"--init {path}: {name} is {held}, and this network takes {expected}: name a file of the same cell and "
                "sizes"
            )
        weights[name] = leaf.astype(float) if shape else float(leaf)
    return weights


def write_weights(path: Path, parameters: NamedTuple) -> None:
    """Write the weights to a JSON file, whole or not at all.

    Args:
        path: The file; it is replaced if it exists.
        parameters: The weights, all finite.

    Raises:
        OSError: The file could not be written. What was there is untouched.
    """
    text = json.dumps(plain(parameters), indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def plain(parameters: NamedTuple) -> dict[str, Any]:
    """Return the weights by name, as Python numbers and lists of them."""
    return {name: np.asarray(leaf).tolist() for name, leaf in parameters._asdict().items()}


def _named_numbers(option: str, text: str, names: Sequence[str], instead: str) -> dict[str, float]:
    """Read `NAME=VALUE,…`, each name once and one of `names`; the option also takes what `instead` says."""
    numbers: dict[str, float] = {}
    for pair in text.split(","):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            example = ",".join(f"{name}=0.1" for name in names)
            raise InputError(f"{option} {text}: {pair!r} is not NAME=VALUE, as in {example}, nor {instead}")
        _check_name(f"{option} {text}", name, names)
        if name in numbers:
            raise InputError(f"{option} {text}: {name} is given twice")
        try:
            numbers[name] = read_number(value)
        except ValueError:
            raise InputError(f"{option} {text}: {value!r} is not a number") from None
    return numbers


def _check_name(where: str, name: str, names: Sequence[str]) -> None:
    """Refuse a weight that the cell does not have."""
    if name not in names:
        raise InputError(f"{where}: unknown weight {name!r}, expected {', '.join(names)}")
