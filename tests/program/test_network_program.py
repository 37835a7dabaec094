"""The program of a network: the interpreter counts what the formulas of cost say, and a derivation states."""

import pytest
from programs import function, module
from test_cost import counted, expected

from derive import derive
from derive.cells import linear, lstm, tanh
from derive.documents.html import print_html
from derive.documents.markdown import print_markdown
from derive.documents.tex import print_tex
from derive.documents.work import work_of
from derive.program.cost import cost_of, loops, per_step
from derive.program.network import network
from derive.program.walk import symbols_of


@pytest.fixture(scope="module")
def programs():
    return {each.cell.name: network(derive(each.cell)).module for each in (linear, tanh, lstm)}


@pytest.mark.parametrize("name", ["linear", "tanh", "lstm"])
def test_every_function_costs_what_the_interpreter_counts(programs, name):
    for each in programs[name].functions:
        flat = function(each.body, symbols_of(each.parameters), symbols_of(each.results), each.name)
        assert counted(module(flat), each.name) == expected(cost_of(each))


def test_a_derivation_states_the_work_of_a_step(programs):
    _, table = work_of(programs["lstm"])
    rows = [row[0] for row in table.rows]
    assert rows == ["`forward`", "", "", "`backward`", "", "", "`sum_over_time`", "", ""]
    assert table.rows[0][1:] == ("operations", "$8 N D H + 8 N H^{2} + 4 N H$")
    assert table.rows[1][1:] == ("values of functions", "$5 N H$")
    assert table.rows[2][1:] == ("bytes moved", r"$8\, (4 N D + 24 N H + 4 D H + 4 H^{2} + 4 H)$")
    (loop,) = loops(programs["lstm"].functions[0])
    assert str(per_step(loop).functions) == "5 N H"
    # Four gates, each x W, h W and two additions; c of three operations; h of one.
    assert str(per_step(loop).operations) == "8 N D H + 8 N H^2 + 4 N H"


@pytest.mark.parametrize("printed", [print_markdown, print_tex, print_html])
def test_every_format_shows_it(programs, printed):
    text = printed(derive(linear.cell), programs["linear"])
    assert all(amount in text for amount in ("3 N", "(3 N + 2)", "(4 N + 4)"))
