"""Says whether a program makes sense: after `build`, and after every pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from functools import singledispatchmethod
from itertools import combinations

from derive.program.nodes import (
    Add,
    Buffer,
    Call,
    Compare,
    Constant,
    Dim,
    Expression,
    Fill,
    Function,
    Gemm,
    Kind,
    Let,
    Literal,
    Loop,
    Map,
    Module,
    Pack,
    Part,
    Ref,
    Role,
    Run,
    Select,
    Statement,
    Symbol,
    Type,
    View,
    When,
)
from derive.program.sizes import Size
from derive.program.types import NUMBER, ProgramError, spread, steps_of, type_of, type_of_place
from derive.program.walk import Node, Place, equations, every, free, symbols_of

GIVEN = (Role.INPUT, Role.TARGET)
"""The roles of buffers that are filled before the program runs."""


class Level(Enum):
    """The level of a program, by what it may hold."""

    VALUE = "values: no buffer, no view, and no statement that says where something lies"
    STORAGE = "values and where they lie"


def verify(module: Module, level: Level) -> None:
    """Checks a program.

    Every operation fits its operands, every target its value; every symbol is written before it is read; no name stands
    for two things in a function; each call fits the function called; what is written in one pass over memory overlaps
    nothing that the pass still reads; the steps of a loop in bulk do not wait for one another; storage appears at
    storage level alone; and every equation of the module is computed.

    Raises:
        ProgramError: It makes no sense; the message names the function and what is wrong.
    """
    _unique("functions", [function.name for function in module.functions])
    written = {_base(place) for function in module.functions for place in free(function.body).written}
    for function in module.functions:
        try:
            _Check(module, level).function(function, written)
        except ProgramError as error:
            raise ProgramError(f"{module.name}.{function.name}: {error}") from None
    if lost := module.equations - equations(module):
        raise ProgramError(f"{module.name}: no statement computes equation {', '.join(map(str, sorted(lost)))}")


class _Check:
    """The checks of one function, one method per statement."""

    def __init__(self, module: Module, level: Level) -> None:
        self._functions = {function.name: function for function in module.functions}
        self._level = level

    def function(self, function: Function, written: set[Symbol | Buffer]) -> None:
        """Checks a function; `written` is what the functions of its module write."""
        used = free(function.body)
        parameters = set(symbols_of(function.parameters))
        if early := [
            place.name
            for place in used.read
            if _base(place) not in (written if isinstance(_base(place), Buffer) else parameters)
            and not (isinstance(_base(place), Buffer) and _base(place).role in GIVEN)
        ]:
            raise ProgramError(f"{', '.join(early)}: read before written")
        if missing := [
            symbol.name for symbol in symbols_of(function.results) if symbol not in {*used.written, *parameters}
        ]:
            raise ProgramError(f"{', '.join(missing)}: a result that is not written")
        places = dict.fromkeys((*symbols_of((*function.parameters, *function.results)), *used.read, *used.written))
        loops = {each.index for statement in function.body for each in every(statement) if isinstance(each, Loop)}
        # What is packed is no variable: a weight as it is keeps its name.
        packed = {pack.target.symbol for pack in function.body if isinstance(pack, Pack)}
        _unique("places", [*(place.name for place in places if place not in packed), *loops])
        self._body(function.body)

    def _body(self, body: Iterable[Statement]) -> None:
        for statement in body:
            self.statement(statement)

    @singledispatchmethod
    def statement(self, statement: Statement) -> None:
        """Checks a statement and what is below it."""
        raise ProgramError(f"{type(statement).__name__} is no statement of a program")

    @statement.register(Let)
    @statement.register(Add)
    def _(self, store: Let | Add) -> None:
        self._store(store.target, store.value)

    @statement.register
    def _(self, fill: Fill) -> None:
        self._expression(fill.target)

    @statement.register
    def _(self, when: When) -> None:
        self._expression(when.condition)
        if type_of(when.condition) != NUMBER:
            raise ProgramError("a condition that is not one for all entries")
        self._body(when.body)

    @statement.register
    def _(self, loop: Loop) -> None:
        self._body(loop.body)
        if loop.kind is Kind.ALL:
            _no_step_waits(loop)

    @statement.register
    def _(self, run: Run) -> None:
        if run.function not in self._functions:
            raise ProgramError(f"no function {run.function}")
        called = self._functions[run.function]
        for ours, theirs in ((run.arguments, called.parameters), (run.results, called.results)):
            if [(each.type, each.steps) for each in symbols_of(ours)] != [
                (each.type, each.steps) for each in symbols_of(theirs)
            ]:
                raise ProgramError(f"a call of {run.function} with other types than it has")

    @statement.register
    def _(self, pack: Pack) -> None:
        self._storage(pack)
        self._store(pack.target, pack.value)

    @statement.register
    def _(self, gemm: Gemm) -> None:
        self._storage(gemm)
        self._store(gemm.target, gemm.value)
        for ref in refs_of(gemm.value):
            if overlap(gemm.target, ref):
                raise ProgramError(f"a product is written to {_text(gemm.target)}, over its own factor {_text(ref)}")

    @statement.register
    def _(self, several: Map) -> None:
        self._storage(several)
        if len({type_of(store.target) for store in several.stores}) != 1:
            raise ProgramError("one pass over memory writes targets of one shape")
        for store in several.stores:
            self._store(store.target, store.value)
            if not is_entrywise(store.value):
                raise ProgramError(f"one pass over memory: {_text(store.target)} is not computed entry by entry")
            for other in several.stores:
                for ref in refs_of(store.value):
                    if ref != other.target and overlap(other.target, ref):
                        raise ProgramError(
                            f"one pass over memory writes {_text(other.target)} and reads {_text(ref)}, which overlap"
                        )
        for one, two in combinations(dict.fromkeys(store.target for store in several.stores), 2):
            if overlap(one, two):
                raise ProgramError(f"one pass over memory writes {_text(one)} and {_text(two)}, which overlap")

    def _store(self, target: Ref | Part, value: Expression) -> None:
        self._expression(target)
        self._expression(value)
        place, found = type_of(target), type_of(value)
        if place.label and found == place:
            return
        # A row of a symbol and part of an array are there already: smaller values are spread over them.
        is_new = isinstance(target, Ref) and target.step is None and isinstance(target.symbol, Symbol)
        if place != (found if is_new else spread(value, (place, found))):
            raise ProgramError(f"{_text(target)} is {_in_words(place)}, and its value {_in_words(found)}")

    def _expression(self, expression: Expression) -> None:
        type_of(expression)
        if self._level is Level.VALUE:
            for ref in refs_of(expression):
                if not isinstance(ref.symbol, Symbol):
                    raise ProgramError(f"{ref.symbol.name} lies in a buffer, at the level of values")

    def _storage(self, statement: Statement) -> None:
        if self._level is Level.VALUE:
            raise ProgramError(f"{type(statement).__name__} at the level of values")


def _unique(what: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ProgramError(f"two {what} with the name {', '.join(twice)}")


def _no_step_waits(loop: Loop) -> None:
    """Checks that no step of a loop reads what another one writes, but for sums, which no order changes."""
    written = {
        _base(each.symbol): each
        for store in _stores(loop)
        if not isinstance(store, Add) and not (isinstance(store, Gemm) and store.add)
        for each in (_place_of(store.target),)
    }
    steps = {symbol for symbol in written if steps_of(symbol) is not None}
    for ref in (ref for statement in loop.body for ref in refs_of(statement)):
        target = written.get(_base(ref.symbol))
        if target is not None and _base(ref.symbol) in steps and ref.step != target.step:
            raise ProgramError(f"a loop in bulk writes {_text(target)} and reads {_text(ref)}")
    early = [place.name for place in free(loop.body).read if _base(place) in written.keys() - steps]
    if early:
        raise ProgramError(f"a loop in bulk carries {', '.join(early)} from step to step")


def _stores(node: Node) -> Iterator[Let | Add | Pack | Gemm]:
    return (each for each in every(node) if isinstance(each, Let | Add | Pack | Gemm))


def _place_of(target: Ref | Part) -> Ref:
    inner: Expression = target
    while isinstance(inner, Part):
        inner = inner.of
    if not isinstance(inner, Ref):
        raise ProgramError(f"a target that is no place: {target}")
    return inner


def _base(place: Place) -> Symbol | Buffer:
    return place.of if isinstance(place, View) else place


def refs_of(node: Node) -> Iterator[Ref]:
    """The uses of places in a node."""
    return (each for each in every(node) if isinstance(each, Ref))


def is_entrywise(expression: Expression) -> bool:
    """Whether each entry of an expression depends on the same entry of what is in it."""
    entrywise = Call | Select | Compare | Literal | Constant | Dim | Ref
    return all(isinstance(each, entrywise) for each in every(expression))


def overlap(target: Ref | Part, other: Ref | Part) -> bool:
    """Whether two places may share an entry, as far as sizes tell."""
    one, two = _place_of(target), _place_of(other)
    if _base(one.symbol) != _base(two.symbol):
        return False
    if one.step is not None and two.step is not None:
        apart = one.step - two.step
        if not apart.names and apart.constant:
            return False
    (first, end), (second, second_end) = map(_range, (one.symbol, two.symbol))
    return not ((first - second_end).is_never_negative or (second - end).is_never_negative)


def _range(place: Place) -> tuple[Size, Size]:
    """The first entry of a place along the first axis of what it lies in, and the one after its last."""
    if isinstance(place, View):
        return place.first, place.first + place.size
    axes = type_of_place(place).axes
    return Size(), axes[0] if axes else Size.of(1)


def _text(place: Ref | Part) -> str:
    ref = _place_of(place)
    return ref.symbol.name if ref.step is None else f"{ref.symbol.name}[{ref.step}]"


def _in_words(each: Type) -> str:
    kind = "labels" if each.label else "numbers"
    return f"({', '.join([*(['N'] if each.batch else []), *map(str, each.axes)])}) {kind}"
