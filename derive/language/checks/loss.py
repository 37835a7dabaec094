"""What can be wrong with the loss and the output of a cell, each mistake with its cure."""

from __future__ import annotations

from sympy import Dummy, Expr, S

from derive.language.checks.equations import IN_A_STEP, check_declared
from derive.language.description import Description
from derive.language.errors import Wrong
from derive.language.operations import BatchMean, EntrySum, SoftmaxCrossEntropy
from derive.language.quantities import (
    At,
    Input,
    Intermediate,
    Label,
    Parameter,
    State,
    T,
    Target,
    atoms_of,
    k,
    quantity_of,
    varies_by_sequence,
)

IN_THE_LOSS = (*IN_A_STEP, BatchMean, EntrySum, SoftmaxCrossEntropy)


def check_loss(cell: Description, wrong: Wrong) -> None:
    """The loss is a mean over the sequences that depends on a state, all of it at one step; the output is computed."""
    loss = cell.loss
    if not isinstance(loss, Expr) or not loss.has(BatchMean):
        wrong(
            "loss",
            "there is no loss" if loss is None else f"{loss} is no mean over the sequences",
            "write loss=mean((s[T] - t) ** 2) or the like",
        )
    where = f"loss {loss}"
    check_declared(cell, loss, where, wrong, IN_THE_LOSS)
    if varies_by_sequence(loss.replace(BatchMean, lambda inside: S.One)):
        wrong(where, "it differs from sequence to sequence", "put all of it inside mean(…)")
    if any(inner.has(BatchMean) for average in loss.atoms(BatchMean) for inner in average.args):
        wrong(where, "a mean within a mean", "write mean(…) once")
    for entropy in loss.atoms(SoftmaxCrossEntropy):
        if not isinstance(quantity_of(entropy.args[1]), Label):
            wrong(where, f"{entropy} compares with {entropy.args[1]}, which is no label", "declare it as a Label")
    for atom in sorted(atoms_of(loss.replace(SoftmaxCrossEntropy, lambda y, _: y)), key=str):
        if isinstance(quantity_of(atom), Label):
            cure = "write softmax_cross_entropy(…), or declare a Target for numbers"
            wrong(where, f"a calculation with the label {atom}, the name of a class", cure)
    for average in loss.atoms(BatchMean):
        names = {part: Dummy() for part in average.args[0].atoms(EntrySum, SoftmaxCrossEntropy)}
        inner = average.args[0].xreplace(names)
        for part, name in names.items():
            if varies_by_sequence(inner.diff(name)) or inner.diff(name).has(*names.values()):
                what = "a sum of entries" if isinstance(part, EntrySum) else "a cross-entropy"
                cure = (
                    "put the function into total(…), entry by entry" if isinstance(part, EntrySum) else "leave it out"
                )
                wrong(where, f"a function of {what}", cure)
    here = k if cell.loss_at_every_step else T
    for atom in sorted(atoms_of(loss), key=str):
        quantity = quantity_of(atom)
        if isinstance(quantity, Target) and isinstance(atom, At) and here == T:
            wrong(where, f"a target at the last step, {atom}", f"write {quantity}, one a sequence")
        if isinstance(atom, At) and atom.index != here:
            wrong(where, f"{atom} and a value at another step in one loss", f"write all at [{here}]")
        if isinstance(quantity, Input | State | Intermediate) and not isinstance(atom, At):
            wrong(where, f"{quantity} without a step", f"write {quantity}[T] or {quantity}[k]")
        if isinstance(quantity, Parameter) and isinstance(atom, At):
            wrong(where, f"parameter {atom} at a step", f"write {quantity}")
    if not any(quantity_of(atom) in cell.computed for atom in atoms_of(loss)):
        wrong(where, "it does not depend on any state", "compare what the cell computes with the target")
    if not isinstance(cell.output, At) or cell.output.quantity not in cell.computed or cell.output.index not in (k, T):
        wrong(
            "output",
            f"{cell.output} is not a computed quantity at k or T",
            f"write output={cell.states[0]}[T] or output={cell.states[0]}[k]",
        )
