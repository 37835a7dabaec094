"""What the project has set itself, and what the results say to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.contest import Kind
from benchmarks.units import seconds, significant

LARGEST = (100_000, 100)
"""The linear cell's N and T at which speed is asked for."""


class Finding(NamedTuple):
    """A case of a target.

    Attributes:
        where: Which case.
        measured: What was found, for the reader.
        excess: How many times the bound; above 1 it is missed.
    """

    where: str
    measured: str
    excess: float


class Target(NamedTuple):
    """What is to be reached."""

    what: str
    asked: str
    findings: Callable[[dict[str, Any]], Iterator[Finding]]


def best(contest: dict[str, Any], **wanted: Any) -> dict[str, Any] | None:
    """The fastest entry that has these values; None where none has a time."""
    found = [e for e in contest["entries"] if e["median"] and all(e[key] == value for key, value in wanted.items())]
    return min(found, key=lambda e: e["median"], default=None)


def ours_of(contest: dict[str, Any]) -> dict[str, Any]:
    """The fastest of ours that works on the data at every call."""
    found = best(contest, kind=Kind.OURS)
    assert found is not None
    return found


def times(entry: dict[str, Any], other: dict[str, Any]) -> float:
    """How many times as long an entry takes as another: by medians or by minima, whichever is more.

    Where a program's median has suffered from a busy machine, its minimum speaks for it.
    """
    return max(entry[key] / other[key] for key in ("median", "minimum"))


def where(contest: dict[str, Any]) -> str:
    """Which case it is, for the reader."""
    threads = contest["threads"]
    sizes = ", ".join(map(str, contest["sizes"]))
    return f"{contest['cell']} {sizes}, {contest['dtype']}, {threads} thread{'s' if threads > 1 else ''}"


def linear(results: dict[str, Any], sizes: tuple[int, int] = LARGEST) -> Iterator[dict[str, Any]]:
    """The contests of the linear cell at these sizes."""
    return (e for e in results["contests"] if e["cell"] == "linear" and tuple(e["sizes"]) == sizes)


def with_rows(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The contests of the cells with rows."""
    return (e for e in results["contests"] if len(e["sizes"]) == 4)


def near_reading(results: dict[str, Any]) -> Iterator[Finding]:
    """The closed form against reading X once."""
    for contest in linear(results):
        ratio = ours_of(contest)["median"] / best(contest, name="reading X")["median"]
        yield Finding(where(contest), f"{significant(ratio)} times", ratio / 1.5)


def ahead_of(kind: Kind, factor: float, ours: Callable[[Any], Any]) -> Callable[[dict[str, Any]], Iterator[Finding]]:
    """Ours against the fastest of a kind, in the linear cell."""

    def findings(results: dict[str, Any]) -> Iterator[Finding]:
        for contest in linear(results):
            peer, mine = best(contest, kind=kind), ours(contest)
            if peer and mine:
                ratio = 1 / times(mine, peer)
                yield Finding(where(contest), f"{significant(ratio)} times as fast as {peer['name']}", factor / ratio)

    return findings


def folded(contest: dict[str, Any]) -> dict[str, Any] | None:
    """The fastest of ours with the data folded in."""
    return best(contest, kind=Kind.FOLDED)


def short_step(results: dict[str, Any]) -> Iterator[Finding]:
    """A step by moments, in microseconds."""
    for contest in linear(results):
        if entry := folded(contest):
            yield Finding(where(contest), seconds(entry["median"]), entry["median"] / 3e-6)


def independent_of_size(results: dict[str, Any]) -> Iterator[Finding]:
    """A step by moments with a hundred times the sequences."""
    few = {(e["dtype"], e["threads"]): folded(e) for e in linear(results, (1_000, LARGEST[1]))}
    for contest in linear(results):
        entry, smaller = folded(contest), few.get((contest["dtype"], contest["threads"]))
        if entry and smaller:
            ratio = entry["median"] / smaller["median"]
            yield Finding(where(contest), f"{ratio:.2f} times the time at N = 1,000", ratio / 1.2)


def whole_training(results: dict[str, Any]) -> Iterator[Finding]:
    """The best of ours."""
    found = [e for e in results.get("training", ()) if e["kind"] in (Kind.OURS, Kind.FOLDED) and e["median"]]
    if found and results["epochs"] == 30_000:
        entry = min(found, key=lambda e: e["median"])
        yield Finding(entry["variant"], seconds(entry["median"]), entry["median"] / 10e-3)


def pass_rate(results: dict[str, Any]) -> Iterator[Finding]:
    """The moments' pass against plain reading."""
    found = results.get("pass") or {}
    if "moments_pass" in found:
        ratio = found["moments_pass"] / found["reading"]
        yield Finding(f"{found['bytes'] / 1e9:.3g} GB", f"{ratio:.2f} times the time of plain reading", ratio / 1.1)


def pass_memory(results: dict[str, Any]) -> Iterator[Finding]:
    """The peak of memory in the pass."""
    found = results.get("pass") or {}
    if "peak" in found:
        yield Finding(f"{found['bytes'] / 1e9:.3g} GB", f"{found['peak'] / 1e6:,.0f} MB", found["peak"] / 1e9)


def ahead_with_rows(name: str) -> Callable[[dict[str, Any]], Iterator[Finding]]:
    """Ours against a peer, in the cells with rows."""

    def findings(results: dict[str, Any]) -> Iterator[Finding]:
        for contest in with_rows(results):
            if peer := best(contest, name=name):
                ratio = times(ours_of(contest), peer)
                yield Finding(where(contest), f"{ratio:.2f} times its time", ratio)

    return findings


def rate_of_products(results: dict[str, Any]) -> Iterator[Finding]:
    """Ours against the products alone, where they are most of the work: the same operations in both."""
    for contest in with_rows(results):
        if contest["sizes"][3] >= 128:
            share = best(contest, kind=Kind.FLOOR)["median"] / ours_of(contest)["median"]
            yield Finding(where(contest), f"{100 * share:.0f} % of the rate", 0.8 / share)


def linear_in_steps(results: dict[str, Any]) -> Iterator[Finding]:
    """Ten times the steps, ten times the time; what is needed for a single step is not counted."""
    one, few, many = (results.get("deriving", {}).get(steps) for steps in ("1", "100", "1000"))
    if isinstance(many, str):
        yield Finding("1,000 steps", many, float("inf"))
    elif many is not None:
        grown = (many - one) / (few - one)
        yield Finding("100 to 1,000 steps", f"{grown:.0f} times the time beyond that for one step", grown / 12)


def quick_import(results: dict[str, Any]) -> Iterator[Finding]:
    """Each cell's network."""
    for cell, took in results["importing"].items():
        yield Finding(cell, seconds(took), took / 5e-3)


TARGETS = (
    Target("linear, N = 100,000, T = 100", "at most 1.5 times the time to read X once", near_reading),
    Target("the same", "7 times as fast as every autodiff peer", ahead_of(Kind.AUTODIFF, 7, ours_of)),
    Target("a step by moments, there", "5,000 times as fast as these", ahead_of(Kind.AUTODIFF, 5_000, folded)),
    Target("the same", "under 3 µs", short_step),
    Target("the same", "independent of N: within 20 % of the time at N = 1,000", independent_of_size),
    Target("the tutorial's 30,000 epochs", "under 10 ms", whole_training),
    Target("the moments of a file", "within 10 % of the time to read it", pass_rate),
    Target("the same", "under 1 GB in memory", pass_memory),
    Target("vanilla, GRU, LSTM", "ahead of PyTorch everywhere", ahead_with_rows("PyTorch")),
    Target("the same", "ahead of JAX everywhere", ahead_with_rows("JAX")),
    Target("the same, H ≥ 128", "80 % of the rate of NumPy's own products", rate_of_products),
    Target("deriving, steps written out", "10 times the steps in 12 times the time at most", linear_in_steps),
    Target("import of a generated network", "under 5 ms beyond NumPy's own", quick_import),
)
