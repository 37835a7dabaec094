"""Gradient clipping: its laws, and PyTorch's."""

import math

import numpy as np
import pytest

from derive.documents.update_rules_page import print_optimizers_page
from derive.methods.update_rules import CLIPPING


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e200], ids=["short", "long", "so long that its square overflows"])
@pytest.mark.parametrize("bound", [0.5, 2.0])
def test_a_clipped_gradient_keeps_its_direction_and_is_no_longer_than_the_bound(net, scale, bound):
    updates, Parameters = net.module("trainer.run.updates"), net.module("linear.network").Parameters
    gradient = Parameters(scale * np.array([[3.0, -4.0], [0.0, 1.0]]), scale * -5.0)
    length = scale * math.sqrt(51)
    assert updates.norm(gradient) == pytest.approx(length, rel=1e-15)
    clipped = updates.clip(gradient, bound)
    assert updates.norm(clipped) == pytest.approx(min(length, bound), rel=1e-15)
    for before, after in zip(gradient, clipped, strict=True):
        if length <= bound:
            np.testing.assert_array_equal(after, before)
        np.testing.assert_allclose(after, before * min(1, bound / length), rtol=1e-14)


def test_a_gradient_of_zero_stays_and_types_stay(net):
    updates, Parameters = net.module("trainer.run.updates"), net.module("linear.network").Parameters
    zero = Parameters(np.zeros((2, 3)), 0.0)
    np.testing.assert_array_equal(updates.clip(zero, 1.0).Wx, zero.Wx)
    assert updates.clip(zero, 1.0).Wrec == 0
    single = updates.clip(Parameters(np.full(3, 1e30, "float32"), 2.0), 1.0)
    assert single.Wx.dtype == np.float32
    np.testing.assert_allclose(single.Wx, 1 / math.sqrt(3), rtol=1e-6)


def test_pytorch_clips_alike(net, require_module):
    torch = require_module("torch", "witnesses")
    updates, Parameters = net.module("trainer.run.updates"), net.module("linear.network").Parameters
    random = np.random.default_rng(1)
    gradient = Parameters(random.normal(size=(3, 4)), random.normal(size=5))
    weights = [torch.zeros(leaf.shape, dtype=torch.float64, requires_grad=True) for leaf in gradient]
    for weight, leaf in zip(weights, gradient, strict=True):
        weight.grad = torch.tensor(leaf)
    torch.nn.utils.clip_grad_norm_(weights, 0.7)
    for weight, leaf in zip(weights, updates.clip(gradient, 0.7), strict=True):
        np.testing.assert_allclose(leaf, weight.grad.numpy(), rtol=1e-5)  # it adds 1e-6 to the norm


def test_clipping_is_documented_with_its_source(bare_net):
    docstring = " ".join(bare_net.module("methods.update_rules").clip.__doc__.split())
    page = print_optimizers_page()
    for text in (CLIPPING.idea, CLIPPING.remark, CLIPPING.source):
        assert text in docstring
    assert f"## {CLIPPING.title}\n" in page
    assert f"Source: {CLIPPING.source}.\n" in page
    assert r"\alpha &\leftarrow \frac{c}{\max\left( c, \lVert g \rVert \right)}" in page
