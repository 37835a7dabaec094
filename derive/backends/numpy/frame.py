"""The lines around the body of a generated function: what it is given, unpacked, and the sizes that it needs.

Everything here follows from `walk.free`: which fields, sizes and functions a body uses.
"""

from __future__ import annotations

from collections.abc import Iterable

from derive.backends.numpy.printer import HELPERS, Printer, tuple_of
from derive.program.network import Network
from derive.program.nodes import Fill, Function, Record, Role, Statement, Symbol
from derive.program.types import NUMBER
from derive.program.walk import Place, free

FIXED = frozenset(
    [
        *("np", "annotations", "TYPE_CHECKING", "Any", "NamedTuple", "TypeAlias", "ArrayLike", "NDArray"),
        *("Array", "Number", "Shape", "Parameters", "Trace", "Adjoints"),
        *("SHAPES", "DATA_SHAPES", "LOSS_IS_MEAN", "STATES"),
        *("forward", "backward", "predict", "loss", "value_and_gradient", "gradients", "descend"),
        *("loss_of", "sum_over_time", "as_sequences", "time_first", "check_weights", "as_targets"),
        *HELPERS,
    ]
)
"""What network.py defines or imports: a user's quantity of such a name has another one within a function's body."""


def unpack(record: Record, used: Iterable[Place]) -> list[str]:
    """The line that gives the used fields of a record names of their own."""
    used = set(used)
    wanted = [field for field in record.fields if field in used]
    if not wanted or not record.unpacked:
        return []
    names = ", ".join(field.name for field in wanted)
    if len(wanted) == len(record.fields) > 1:
        return [f"{names} = {record.name}"]
    return [f"{names} = {', '.join(f'{record.name}.{field.field}' for field in wanted)}"]


class Frame:
    """The bodies of a network's functions with what goes before them.

    Args:
        network: The program.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._functions = {function.name: function for function in network.module.functions}

    def function(self, name: str) -> Function:
        """A function of the program."""
        return self._functions[name]

    def arguments(self, name: str) -> list[str]:
        """The arguments of a function: those of its parameters of which its body reads anything."""
        function = self._functions[name]
        read = set(free(function.body).read)
        return [
            self.name_of(each)
            for each in function.parameters
            if (read & set(each.fields) if isinstance(each, Record) else each in read)
            or (isinstance(each, Record) and each == self._network.trace)
        ]

    def results(self, name: str) -> str:
        """The results of a function, by name."""
        return ", ".join(each.name for each in self._functions[name].results)

    @property
    def helpers(self) -> list[str]:
        """The functions that NumPy does not have, of those that the program calls."""
        called = {each for function in self._functions.values() for each in free(function.body).functions}
        return [name for name in HELPERS if name in called]

    def passed(self, name: str) -> str:
        """The arguments of a call of a function from one whose own have their usual names."""
        usual = {getattr(self._network.names, field): field for field in self._network.names._fields}
        return ", ".join(usual[argument] for argument in self.arguments(name))

    def name_of(self, parameter: Symbol | Record) -> str:
        """The name of a parameter in the head of a function."""
        if isinstance(parameter, Record):
            return parameter.name
        return self._network.names.X if parameter.role == Role.INPUT else self._network.names.t

    def body(self, name: str) -> list[str]:
        """A function's lines: what it unpacks, the sizes, and the program's own."""
        function = self._functions[name]
        records = [each for each in function.parameters if isinstance(each, Record)]
        # The type of one array by itself is told, as NumPy does not tell that of what it computes.
        types = {each: "Array" for each in function.results if isinstance(each, Symbol) and each.type != NUMBER}
        printer = Printer(records, dtype=self._network.names.dtype, types=types if len(function.results) == 1 else {})
        return [*self._header(function, records), *printer.lines(function.body)]

    def _header(self, function: Function, records: Iterable[Record]) -> list[str]:
        network, used = self._network, free(function.body)
        read = set(used.read)
        alone = [each for each in function.parameters if isinstance(each, Symbol)]
        inputs = [each for each in alone if each.role == Role.INPUT]
        targets = [each for each in alone if each.role == Role.TARGET]
        others = [each for each in alone if each not in (*inputs, *targets)]
        wanted = {*used.sizes} | ({network.names.dtype} if _fills(function) else set())
        if read & set(targets):
            sizes = (*network.shape_of_targets, *network.classes)
            wanted |= {name for size in sizes for name in size.names}
            wanted |= set() if network.classes else {network.names.dtype}
        if wanted and network.trace in function.parameters and not read & set(network.trace.fields):
            read.add(next(field for field in network.trace.fields if field.role == Role.STATE))
        lines = [line for record in records for line in unpack(record, read)]
        lines += (f"{x.name} = time_first({network.names.X}, {network.names.parameters})" for x in inputs)
        lines += self._sizes(wanted, [*(each for r in records for each in r.fields if each in read), *inputs, *others])
        return lines + [f"{t.name} = {self._reading()}" for t in targets if t in read]

    def _reading(self) -> str:
        """The call that checks what a caller passes as targets, and puts time first."""
        network = self._network
        classes = ", ".join(map(str, network.classes))
        kind = (f"min({classes})" if len(network.classes) > 1 else classes) or network.names.dtype
        return f"as_targets({network.names.t}, {tuple_of(network.shape_of_targets)}, {kind})"

    def _sizes(self, wanted: set[str], arrays: list[Symbol]) -> list[str]:
        """The line that sets T, N, dtype and the dimensions, those that are wanted, from the first array that tells."""
        network, known = self._network, dict[str, str]()
        for array in arrays:
            if array.steps is not None:
                known.setdefault("T", f"len({array.name}) - 1")
                known.setdefault("N", f"{array.name}.shape[1]")
                known.setdefault(network.names.dtype, f"{array.name}.dtype")
            elif array.type.batch:
                known.setdefault("N", f"len({array.name})")
        given = [(array.name, array) for array in sorted(arrays, key=lambda array: array.steps is None)]
        given += [(f"{network.parameters.name}.{field.field}", field) for field in network.parameters.fields]
        given += [(f"{network.trace.name}.{field.field}", field) for field in network.trace.fields]
        for text, array in given:
            before = (array.steps is not None) + array.type.batch
            for axis, size in enumerate(array.type.axes):
                known.setdefault(str(size), f"{text}.shape[{axis + before}]")
        names = [name for name in known if name in wanted]
        return [f"{', '.join(names)} = {', '.join(known[name] for name in names)}"] if names else []


def _fills(function: Function) -> bool:
    """Whether a function makes an array."""
    return any(_is_array(statement) for statement in function.body)


def _is_array(statement: Statement) -> bool:
    if not isinstance(statement, Fill):
        return False
    symbol = statement.target.symbol
    return isinstance(symbol, Symbol) and (symbol.steps is not None or symbol.type.axes != () or symbol.type.batch)
