"""The names of quantities on paper."""

from __future__ import annotations

import subprocess

import pytest

from derive import DeriveError, Parameter, State, k
from derive.documents.latex import Formulas
from derive.output.command_line import main


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("W", "W"), ("W1", "W_1"), ("W12", "W_{12}"), ("W_x", "W_x"), ("W_rec", r"W_{\mathrm{rec}}"),
        ("W_x_in", r"W_{x,\mathrm{in}}"), ("gamma", r"\gamma"), ("tau_1", r"\tau_1"), ("start", r"\mathrm{start}"),
        ("b_omega", r"b_{\omega}"), ("den2", r"\mathrm{den}_2"),
    ],
)  # fmt: skip
def test_a_code_name_is_typeset(name, latex):
    assert Parameter(name).latex == latex


def test_a_name_that_tex_does_not_know_asks_for_another():
    with pytest.raises(DeriveError, match=r'quantity \'λ\'.*write its name, as in r"\\lambda"'):
        Parameter("λ")


def test_a_step_is_a_further_index():
    formulas = Formulas(marked="{}")
    assert formulas.doprint(State("h_1")[k - 1]) == "h_{1,k - 1}"
    assert formulas.doprint(State("den")[k]) == r"\mathrm{den}_k"


@pytest.mark.parametrize(
    ("latex", "words"),
    [
        ("\frac{b", r'control character; write it with an r in front, as in r"\\frac'),
        ("W\nx", "control character"),
        (r"\foo{", "brace has no partner"),
        ("W}", "brace has no partner"),
        ("100%", "it has %"),
        ("W & V", "it has &"),
        ("W#1", "it has #"),
        ("$W$", r"it has \$\$.*no \$ around it"),
        ("W\\", r"it has \\"),
        ("W_x_in", "two subscripts"),
        ("W_{a}_{b}", "two subscripts"),
        ("λ", r'write its name, as in r"\\lambda"'),
        (" ", "it is empty"),
    ],
)
def test_latex_that_would_break_the_document_is_refused(latex, words):
    with pytest.raises(DeriveError, match=words) as caught:
        Parameter("w", latex)
    message = str(caught.value)
    assert message.startswith("quantity 'w', latex=")
    assert "\n" not in message


@pytest.mark.parametrize("latex", ["W_{a_b}", r"\hat{Y}", r"W_{\mathrm{rec}}", r"W^{(1)}_a", r"\%", r"p_{\#}", "f'"])
def test_latex_that_tex_can_set_is_left_alone(latex):
    assert Parameter("w", latex).latex == latex


CELL = """\
from sympy import Eq, tanh

from derive import Cell, Input, Parameter, State, T, Target, k, mean

a, b, tau = Parameter("W_x_in"), Parameter("W_rec"), Parameter("tau1")
x, s, t = Input("x_1"), State("count"), Target("t_out")
equations = (Eq(s[0], tau), Eq(s[k], tanh(s[k - 1] * b + x[k] * a)))
cell = Cell("named", "Names made from code", (a, b, tau, x, s, t), equations, s[T], mean((s[T] - t) ** 2))
"""


def test_the_names_compile(tmp_path, require_tool):
    (tmp_path / "named.py").write_text(CELL, encoding="utf-8")
    assert main([str(tmp_path / "named.py"), "--out", str(tmp_path / "out")]) == 0
    command = [require_tool("pdflatex"), "-interaction=nonstopmode", "-halt-on-error", "derivation.tex"]
    done = subprocess.run(command, cwd=tmp_path / "out/named", capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
