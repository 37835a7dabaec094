"""PyTorch: its own modules where it has them, a loop of eager operations for the linear cell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from benchmarks.contest import Contender, Kind, Prepared
from benchmarks.peers.blocks import fused, taken_apart
from benchmarks.problems import Case

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

MODULES = {"vanilla_rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def contenders(case: Case) -> Iterator[Contender]:
    """A module; or a loop as one writes it, and one with a single operation a step."""
    if case.problem.cell in MODULES:
        name = f"nn.{MODULES[case.problem.cell].__name__}"
        yield Contender("PyTorch", name, Kind.AUTODIFF, lambda: prepare_module(case))
    elif case.problem.cell == "linear":
        for variant, states in {"eager": as_written, "eager, hoisted": one_operation}.items():
            yield Contender("PyTorch", variant, Kind.AUTODIFF, lambda states=states: prepare_linear(case, states))


def differentiated(loss_of: Callable[[], Any], weights: Sequence[Any]) -> Callable[[], Any]:
    """() → the loss, and its derivatives with respect to the weights."""

    def run() -> Any:
        value = loss_of()
        return value, torch.autograd.grad(value, weights)

    return run


def prepare_linear(case: Case, states: Callable[..., Any]) -> Prepared:
    """The weights are two tensors without dimensions."""
    dtype = getattr(torch, case.problem.dtype)
    Wx, Wrec = (torch.tensor(each, dtype=dtype, requires_grad=True) for each in case.parameters)
    steps, t = torch.from_numpy(case.steps), torch.from_numpy(case.t)
    run = differentiated(lambda: (states(Wx, Wrec, steps) - t).square().mean(), (Wx, Wrec))
    return Prepared(run, lambda found: [each.item() for each in (found[0], *found[1])])


def as_written(Wx: Any, Wrec: Any, steps: Any) -> Any:
    """s_T; steps are T × N."""
    s = torch.zeros_like(steps[0])
    for x in steps.unbind():
        s = s * Wrec + x * Wx
    return s


def one_operation(Wx: Any, Wrec: Any, steps: Any) -> Any:
    """The same, with the input products of all steps at once."""
    s = torch.zeros_like(steps[0])
    for wx in (steps * Wx).unbind():
        s = torch.addcmul(wx, s, Wrec)
    return s


def prepare_module(case: Case) -> Prepared:
    """PyTorch holds the blocks transposed, and two biases; derivatives are asked for only where we have a weight."""
    blocks, dtype = fused(case), getattr(torch, case.problem.dtype)
    _, _, D, H = case.problem.sizes
    recurrent = MODULES[case.problem.cell](D, H, dtype=dtype)
    output = torch.nn.Linear(H, case.t.shape[1], dtype=dtype)
    held = {
        "W_x": recurrent.weight_ih_l0,
        "W_h": recurrent.weight_hh_l0,
        "b": recurrent.bias_ih_l0,
        "W_y": output.weight,
        "b_y": output.bias,
    }
    second = recurrent.bias_hh_l0
    with torch.no_grad():
        for name, tensor in held.items():
            tensor.copy_(torch.from_numpy(blocks[name].T))
        second.zero_()
        if "b_h" in blocks:  # the second bias of the candidate, the last of the gates
            second[-H:] = torch.from_numpy(blocks["b_h"])
            held["b_h"] = second
        else:
            second.requires_grad_(False)
    steps, t = torch.from_numpy(case.steps), torch.from_numpy(case.t)

    def loss() -> Any:
        return torch.nn.functional.mse_loss(output(recurrent(steps)[0][-1]), t, reduction="sum") / len(t)

    def read(found: Any) -> Any:
        value, gradient = found
        ours = {name: each.numpy().T for name, each in zip(held, gradient, strict=True)}
        if "b_h" in ours:
            ours["b_h"] = ours["b_h"][-H:]
        return value.item(), *taken_apart(case, ours)

    return Prepared(differentiated(loss, tuple(held.values())), read)
