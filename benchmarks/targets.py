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
    """What is to be reached.

    Attributes:
        what: Of what.
        asked: How much.
        findings: The cases.
        barrier: What stands in the way where it is missed, in numbers; empty where it was not measured.
    """

    what: str
    asked: str
    findings: Callable[[dict[str, Any]], Iterator[Finding]]
    barrier: Callable[[dict[str, Any]], str] = lambda _results: ""


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


def pass_rate(source: str) -> Callable[[dict[str, Any]], Iterator[Finding]]:
    """The moments' pass against plain reading: of a file on the disk, or of one that the system has in memory."""

    def findings(results: dict[str, Any]) -> Iterator[Finding]:
        found = results.get("pass") or {}
        if f"moments_pass{source}" in found and found["bytes"] >= 1e9:  # a small file is mostly its opening
            ratio = found[f"moments_pass{source}"] / found[f"reading{source}"]
            yield Finding(f"{found['bytes'] / 1e9:.3g} GB", f"{ratio:.2f} times the time of plain reading", ratio / 1.1)

    return findings


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
            share = best(contest, name="products alone")["median"] / ours_of(contest)["median"]
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


def two_sums_alone(results: dict[str, Any]) -> str:
    """What NumPy's two products a block take of the closed form's time."""
    contests = list(linear(results))
    reading, sums, ours = (
        [entry["median"] for entry in entries]
        for entries in zip(
            *((best(e, name="reading X"), best(e, name="two sums"), ours_of(e)) for e in contests), strict=True
        )
    )
    above = sum(two > 1.5 * one for one, two in zip(reading, sums, strict=True))
    shares = [two / all_of_it for two, all_of_it in zip(sums, ours, strict=True)]
    return (
        "The closed form needs two sums over the steps of every sequence. NumPy has no product that makes both while "
        f"X passes by: its two products of a cached block with a vector (*two sums*) take {between(shares)} of the "
        f"time of ours, and by themselves more than 1.5 times reading X in {above} of {len(contests)} cases."
    )


def sums_against_peers(factor: float) -> Callable[[dict[str, Any]], str]:
    """In how many cases the two sums alone would not be so many times as fast as the best of the peers."""

    def barrier(results: dict[str, Any]) -> str:
        ratios = [best(e, kind=Kind.AUTODIFF)["median"] / best(e, name="two sums")["median"] for e in linear(results)]
        return (
            f"The same: the two sums alone are {between(ratios, '')} times as fast as the best of these, so less than "
            f"{factor:g} times in {sum(ratio < factor for ratio in ratios)} of {len(ratios)} cases."
        )

    return barrier


def short_already(results: dict[str, Any]) -> str:
    """How short a step would have to be."""
    asked = [best(e, kind=Kind.AUTODIFF)["minimum"] / 5_000 for e in linear(results)]
    return (
        f"At the best of these a step would have to take {seconds(min(asked))} to {seconds(max(asked))}. It is three "
        "calls of NumPy, a product and the powers of a number, and a dozen operations of Python's."
    )


def products_of_blocks(results: dict[str, Any]) -> str:
    """What the products take of the pass."""
    found = results["pass"]
    return (
        f"The pass needs the product of each block with itself, which takes {seconds(found['block_products'])} where "
        f"the blocks are in the cache already: {100 * found['block_products'] / found['moments_pass']:.0f} % of the "
        "pass over a file in memory, in one thread."
    )


def disk_and_products(results: dict[str, Any]) -> str:
    """What the pass over a file on the disk is made of."""
    found = results["pass"]
    return (
        f"The products take {seconds(found['block_products'])}, reading the disk {seconds(found['reading_disk'])}, the "
        f"pass {seconds(found['moments_pass_disk'])}: the system reads ahead less for a mapped file than for a plain "
        "one, so that the two partly take turns."
    )


def products_and_calls(name: str) -> Callable[[dict[str, Any]], str]:
    """Of the cases in which a peer is ahead, those in which NumPy could not be."""

    def barrier(results: dict[str, Any]) -> str:
        kinds = {"products": 0, "calls": 0, "both": 0}
        left = []
        for contest in with_rows(results):
            peer = best(contest, name=name)
            if peer is None or times(ours_of(contest), peer) <= 1:
                continue
            products, calls = (best(contest, name=f"{each} alone")["median"] for each in ("products", "calls"))
            if products >= peer["median"]:
                kinds["products"] += 1
            elif calls >= peer["median"]:
                kinds["calls"] += 1
            elif products + calls >= peer["median"]:
                kinds["both"] += 1
            else:
                left.append((times(ours_of(contest), peer), where(contest)))
        total = sum(kinds.values()) + len(left)
        text = (
            f"In {kinds['products']} of the {total} cases NumPy's products alone take longer than all of {name}, in "
            f"{kinds['calls']} its calls alone, in {kinds['both']} both together."
        )
        if left:
            worst = max(left)
            text += (
                f" The other {len(left)}, at worst {worst[0]:.2f} times its time ({worst[1]}), are the functions of "
                "single entries: NumPy passes over an array once for each, in one thread."
            )
        return text

    return barrier


def one_thread_for_entries(results: dict[str, Any]) -> str:
    """What is no product, by the number of threads."""
    missed: dict[int, int] = {}
    for contest in with_rows(results):
        if contest["sizes"][3] >= 128:
            share = best(contest, name="products alone")["median"] / ours_of(contest)["median"]
            missed[contest["threads"]] = missed.get(contest["threads"], 0) + (share < 0.8)
    counts = ", ".join(f"{count} with {n} thread{'s' if n > 1 else ''}" for n, count in missed.items())
    return (
        f"Missed are {counts}. tanh and the products of single entries run in one thread in NumPy, however many its "
        "matrix products have: with two these are about twice as fast, and the rest weighs twice as much."
    )


def between(values: list[float], unit: str = "%") -> str:
    """The smallest to the largest."""
    if unit:
        return f"{100 * min(values):.0f} to {100 * max(values):.0f} %"
    return f"{significant(min(values))} to {significant(max(values))}"


TARGETS = (
    Target("linear, N = 100,000, T = 100", "at most 1.5 times the time to read X once", near_reading, two_sums_alone),
    Target(
        "the same", "7 times as fast as every autodiff peer", ahead_of(Kind.AUTODIFF, 7, ours_of), sums_against_peers(7)
    ),
    Target(
        "a step by moments, there",
        "5,000 times as fast as these",
        ahead_of(Kind.AUTODIFF, 5_000, folded),
        short_already,
    ),
    Target("the same", "under 3 µs", short_step),
    Target("the same", "independent of N: within 20 % of the time at N = 1,000", independent_of_size),
    Target("the tutorial's 30,000 epochs", "under 10 ms", whole_training),
    Target(
        "the moments of a file on the disk", "within 10 % of the time to read it", pass_rate("_disk"), disk_and_products
    ),
    Target("of one in memory", "within 10 % of the time to read it", pass_rate(""), products_of_blocks),
    Target("the same", "under 1 GB in memory", pass_memory),
    Target(
        "vanilla, GRU, LSTM", "ahead of PyTorch everywhere", ahead_with_rows("PyTorch"), products_and_calls("PyTorch")
    ),
    Target("the same", "ahead of JAX everywhere", ahead_with_rows("JAX"), products_and_calls("JAX")),
    Target("the same, H ≥ 128", "80 % of the rate of NumPy's own products", rate_of_products, one_thread_for_entries),
    Target("deriving, steps written out", "10 times the steps in 12 times the time at most", linear_in_steps),
    Target("import of a generated network", "under 5 ms beyond NumPy's own", quick_import),
)
