"""The command line of the trainer: from its words to checked Settings.

What the command line leaves open, the cell's example.py answers: the data or the task that makes them,
the start, the sizes, the method with its learning rates, the batches and the number of epochs. A cell
without an example needs --data, and has the defaults of options.py and the method's usual learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..cells import choose_cell, find_cells, method_module
from ..data.sequences import Sequences
from ..errors import InputError
from ..files import check_writable, resolved
from ..report.history import check_log
from ..report.plots import check_plot
from ..run.protocols import Method
from ..run.second_order import ITERATIONS, LEVENBERG_MARQUARDT, check_second_order
from ..run.settings import Settings
from ..run.weights import choose_learning_rates
from .choices import read_choices
from .options import DEFAULT_CHECKPOINT_EPOCHS, DEFAULT_EPOCHS, parser

GRADIENT_DESCENT = "gradient_descent"
"""The method that every network has itself, as `descend`."""


def read_settings(argv: Sequence[str] | None = None) -> Settings:
    """Read the command line, and the files it names.

    Args:
        argv: The words after the program's name; by default those of this process.

    Returns:
        The settings of the run.

    Raises:
        InputError: An argument or a file cannot be used.
        SystemExit: The user asked for --help.
    """
    cells = find_cells()
    methods: Mapping[str, Method] = method_module("update_rules").METHODS
    arguments = parser(cells, [*methods, LEVENBERG_MARQUARDT]).parse_args(argv)
    cell = choose_cell(arguments.cell, cells)
    second_order = arguments.method == LEVENBERG_MARQUARDT
    if second_order:
        _check_second_order(cell, arguments)
    _check_files(arguments)

    network, example, data, task, sizes, start, seed = read_choices(cell, arguments)
    usual = example.get("METHOD", GRADIENT_DESCENT)
    name = arguments.method or usual
    of_example = example if name == usual else {}  # another method takes steps of another size
    usual_epochs = ITERATIONS if second_order else example.get("EPOCHS", DEFAULT_EPOCHS)

    data, held_back = _hold_back(data, arguments.validation, arguments.patience, seed)
    batch = arguments.batch or (None if second_order else example.get("BATCH")) or len(data)
    if arguments.tolerance is not None and batch < len(data):
        raise InputError(
            f"--tolerance looks at the gradient of all {len(data)} sequences: give --batch {len(data)} with it"
        )
    return Settings(
        cell=cell,
        network=network,
        data=data,
        held_back=held_back,
        task=task,
        sizes={name: sizes[name] for shape in network.SHAPES.values() for name in shape if name in sizes},
        start=start,
        method_name=name,
        method=methods.get(name) if name != GRADIENT_DESCENT else None,
        learning_rates=None if second_order else _rates(methods[name], of_example, start, arguments.learning_rate),
        clip=arguments.clip,
        epochs=usual_epochs if arguments.epochs is None else arguments.epochs,
        batch=batch if batch < len(data) else None,
        seed=seed,
        tolerance=arguments.tolerance,
        patience=math.inf if arguments.patience is None else arguments.patience,
        output=arguments.output,
        checkpoint=arguments.checkpoint,
        checkpoint_every=arguments.checkpoint_every or DEFAULT_CHECKPOINT_EPOCHS,
        resume=arguments.resume,
        log=arguments.log,
        plot=arguments.plot,
        quiet=arguments.quiet,
        json=arguments.json,
    )


def _rates(method: Method, example: Mapping[str, Any], start: Any, given: str | None) -> NamedTuple:
    """Return the learning rates: as --learning-rate says, else as the example has them, else the method's usual one."""
    usual = example.get("LEARNING_RATES")
    if usual is None:
        usual = start._make([example.get("LEARNING_RATE", method.learning_rate)] * len(start))
    return choose_learning_rates(usual, given)


def _check_second_order(cell: str, arguments: Any) -> None:
    """Refuse what Levenberg–Marquardt has no use for, and a cell that it cannot train."""
    check_second_order(cell)
    for option, given, why in (
        ("--learning-rate", arguments.learning_rate, "chooses its own steps"),
        ("--clip", arguments.clip, "follows no gradient that could be too long"),
        ("--batch", arguments.batch, "takes all sequences at every step"),
    ):
        if given is not None:
            raise InputError(f"{option} {given}: {LEVENBERG_MARQUARDT} {why}: leave {option} out")


def _check_files(arguments: Any) -> None:
    """Make sure that all files can be written, and that none is overwritten that a run has made."""
    if arguments.output:
        check_writable("--output", arguments.output)
    if arguments.checkpoint:
        check_writable("--checkpoint", arguments.checkpoint)
        if arguments.checkpoint.exists() and not arguments.resume:
            raise InputError(
                f"--checkpoint {arguments.checkpoint} is there already: go on with --resume, or name another file"
            )
    elif arguments.resume or arguments.checkpoint_every:
        option = "--resume" if arguments.resume else "--checkpoint-every"
        raise InputError(f"{option} without --checkpoint: give the file with --checkpoint FILE")
    if arguments.log:
        check_log(arguments.log, resumed=arguments.resume and arguments.checkpoint.exists())
    if arguments.plot:
        check_plot(arguments.plot)
    written = [
        resolved(f"--{option}", path)
        for option in ("output", "checkpoint", "log", "plot")
        if (path := getattr(arguments, option))
    ]
    read = [resolved("--data", path) for path in arguments.data or ()]
    for path in written:
        if (written + read).count(path) > 1:
            raise InputError(f"the file {path} is named twice: give each option a file of its own")


def _hold_back(
    data: Sequences, share: float | None, patience: int | None, seed: int
) -> tuple[Sequences, Sequences | None]:
    """Return what is trained on, and what is held back for validation."""
    if share is None:
        if patience is not None:
            raise InputError("--patience looks at the validation loss: give --validation SHARE with it")
        return data, None
    try:
        return data.split(share, seed)
    except ValueError as error:
        raise InputError(f"--validation {share}: {error}") from None
