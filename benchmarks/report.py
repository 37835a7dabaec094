"""From the results to Markdown; every figure and every verdict is computed from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.contest import SETUP_SECONDS, Kind
from benchmarks.targets import TARGETS, best, ours_of
from benchmarks.units import seconds, significant

TITLES = {
    "linear": "The linear network",
    "vanilla_rnn": "The vanilla recurrent network",
    "gru": "The GRU",
    "lstm": "The LSTM",
}
INTRODUCTION = """\
# Measured: the generated modules and other programs that compute the same

One call computes the mean squared error at the last step and its derivative with respect to every weight. All who take
part are given the same numbers, and must agree with the generated module in float64 before anyone is timed: to 1e-8 (in
float32 to 1e-3), relative to the largest entry of each gradient. Then they run in turn, round after round, each round
beginning with another one; a call shorter than a millisecond is repeated within its turn. Shown is the median over the
rounds. `make bench` measures all of it anew and writes this page.

Behind the time of another program stands how many times as long as the best of ours it takes: above 1, ours is ahead.
Of several ways to write a program the fastest at that size counts, and is named: *hoisted* multiplies the inputs of all
steps by their weights at once, *per step* each in its step. Times hold for this machine; ratios travel better.

Not in the times: compiling, and converting the data and weights to what a program likes best (time first, gates side by
side). Ours is given one sequence a row, and converts in its time. *Moments* has passed over the data once, before; each
call works on what it found, so it is not "the best of ours" that others are compared with.

The last columns are what nobody can do without in NumPy: reading X once, and two sums over the steps of every sequence;
all matrix products alone, the gates side by side and every operand contiguous, and its calls alone: our fast module
where there is one sequence and every size but T is 1."""


def report(results: dict[str, Any]) -> str:
    """The page."""
    parts = [INTRODUCTION, *machine(results), *verdicts(results)]
    for cell in results["cells"]:
        held = [each for each in results["contests"] if each["cell"] == cell]
        parts.append(f"## {TITLES[cell]}")
        for threads in results["threads"]:
            parts += [f"{number_of(threads)}:", table_of_contests([e for e in held if e["threads"] == threads])]
        parts += absent(held)
    parts += further(results)
    return "\n\n".join(parts) + "\n"


def machine(results: dict[str, Any]) -> Iterable[str]:
    """Where it was measured."""
    found = results["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in found["libraries"].items())
    yield (
        f"**Measured on** {found['cpu']}, {found['cores']} cores, {found['memory'] / 1e9:.0f} GB of memory, "
        f"{found['system']}; Python {found['python']}, {libraries}; NumPy's products by {found['blas']}. "
        f"Threads: {', '.join(map(str, results['threads']))}, a process for each number, with as many cores."
    )
    if found["missing"]:
        yield f"Not installed, so left out: {', '.join(found['missing'])}."
    entries = [e for contest in results["contests"] for e in contest["entries"] if e["median"]]
    restless = sum(e["median"] > 1.25 * e["minimum"] for e in entries)
    yield (
        f"How quiet it was: of {len(entries)} medians, {restless} are more than a quarter above the minimum of the "
        "same rounds."
    )


def verdicts(results: dict[str, Any]) -> Iterable[str]:
    """What was to be reached, and whether it is."""
    rows, barriers = [], []
    for target in TARGETS:
        findings = list(target.findings(results))
        missed = sorted((f for f in findings if f.excess > 1), key=lambda f: -f.excess)
        if not findings:
            verdict = "not measured"
        elif not missed:
            nearest = max(findings, key=lambda f: f.excess)
            verdict = f"**reached**; nearest to the bound: {nearest.measured} ({nearest.where})"
        else:
            of = f" in {len(missed)} of {len(findings)} cases" if len(findings) > 1 else ""
            at_worst = "; at worst " if len(missed) > 1 else ": "
            verdict = f"**missed**{of}{at_worst}{missed[0].measured}{off_by(missed[0].excess)} ({missed[0].where})"
            if barrier := target.barrier(results):
                barriers.append(f"- *{target.asked}*: {barrier}")
        rows.append((target.what, target.asked, verdict))
    yield "## What was to be reached"
    yield "Against a program ours is judged by medians and by minima, whichever is worse for ours; the rest by medians."
    yield table(("what", "asked", "found"), rows)
    if barriers:
        yield "What stands in the way where it is missed, by the figures below:"
        yield "\n".join(barriers)


def off_by(excess: float) -> str:
    """How far beyond the bound; nothing where there is no number."""
    if math.isinf(excess):
        return ""
    return f", off by {100 * (excess - 1):.0f} %" if excess < 2 else f", off by a factor of {significant(excess)}"


def table_of_contests(contests: Sequence[dict[str, Any]]) -> str:
    """A row a size and dtype; a column each of ours, each peer, the floor."""
    entries = [entry for contest in contests for entry in contest["entries"]]
    mine = list(dict.fromkeys(e["variant"] for e in entries if e["kind"] in (Kind.OURS, Kind.FOLDED)))
    peers = list(dict.fromkeys(e["name"] for e in entries if e["kind"] in (Kind.AUTODIFF, Kind.SYMBOLIC, Kind.BY_HAND)))
    floors = list(dict.fromkeys(e["name"] for e in entries if e["kind"] == Kind.FLOOR))
    rows = []
    for contest in contests:
        ours = ours_of(contest)
        row = [", ".join(map(str, contest["sizes"])), contest["dtype"]]
        row += [time_of(best(contest, name="ours", variant=variant)) for variant in mine]
        row += [compared(contest, name, ours) for name in peers]
        row += [floor(best(contest, name=name)) for name in floors]
        rows.append(row)
    dimensions = ", ".join("NTDH"[: len(contests[0]["sizes"])])
    return table((dimensions, "dtype", *(f"ours, {variant}" for variant in mine), *peers, *floors), rows)


def compared(contest: dict[str, Any], name: str, ours: dict[str, Any]) -> str:
    """The time of the best variant of a peer, its ratio, and which it was, if there are several."""
    entry = best(contest, name=name)
    if entry is None:
        return "–"
    several = len([e for e in contest["entries"] if e["name"] == name]) > 1
    ratio = significant(entry["median"] / ours["median"])
    return f"{time_of(entry)} · {ratio}" + (f" ({entry['variant']})" if several else "")


def floor(entry: dict[str, Any] | None) -> str:
    """The time of a floor and its rate."""
    if entry is None:
        return "–"
    if not entry["work"]:
        return time_of(entry)
    unit = "GB/s" if entry["name"] in ("reading X", "two sums") else "GF/s"
    return f"{time_of(entry)}, {significant(entry['work'] / entry['median'] / 1e9)} {unit}"


def absent(contests: Sequence[dict[str, Any]]) -> Iterable[str]:
    """Who never got ready, and how long the rest took where it was long."""
    found: dict[str, list[str]] = {}
    for contest in contests:
        for entry in contest["entries"]:
            if entry["absent"]:
                key = f"{entry['name']} ({entry['variant']}), {entry['absent']}"
                found.setdefault(key, []).append(" × ".join(map(str, contest["sizes"])))
    if found:
        reasons = "; ".join(f"{reason}: {', '.join(dict.fromkeys(sizes))}" for reason, sizes in found.items())
        yield f"Without a time: {reasons}. The limit for getting ready is {SETUP_SECONDS} s, the first call included."
    slowest: dict[str, dict[str, Any]] = {}
    for contest in contests:
        for entry in contest["entries"]:
            if entry["setup"] and entry["setup"] > slowest.get(entry["name"], {"setup": 0.5})["setup"]:
                slowest[entry["name"]] = entry
    if slowest:
        named = (f"{name} {seconds(entry['setup'])} ({entry['variant']})" for name, entry in slowest.items())
        yield f"Longest time to get ready, the first call included: {', '.join(named)}."


def further(results: dict[str, Any]) -> Iterable[str]:
    """What is no contest of one value and gradient."""
    if training := results.get("training"):
        yield "## A whole training"
        yield (
            f"The tutorial's {results['epochs']:,} epochs of gradient descent on three sequences of three steps, in "
            "float64 and one thread; all end at the same weights. Compiling is not in the times."
        )
        least = min(e["median"] for e in training if e["kind"] in (Kind.OURS, Kind.FOLDED))
        yield table(
            ("who", "time", "time / best of ours", "to get ready"),
            [
                (
                    f"{e['name']}, {e['variant']}",
                    time_of(e),
                    significant(e["median"] / least) if e["median"] else e["absent"],
                    seconds(e["setup"] - e["median"]) if e["median"] and e["setup"] > 2 * e["median"] else "–",
                )
                for e in training
            ],
        )
    if found := results.get("pass"):
        yield "## The moments of a file"
        yield found.get("absent") or (
            f"{found['bytes'] / 1e9:.3g} GB of float64, memory-mapped, one thread: read plainly in "
            f"{seconds(found['reading'])} ({significant(found['bytes'] / found['reading'] / 1e9)} GB/s), moments found "
            f"in {seconds(found['moments_pass'])} ({significant(found['bytes'] / found['moments_pass'] / 1e9)} GB/s). "
            f"The process had at most {found['peak'] / 1e6:.0f} MB in memory, mapped pages included."
        )
        if "reading_disk" in found:
            yield (
                f"That was from the memory in which the system keeps files. From the disk: read in "
                f"{seconds(found['reading_disk'])} ({significant(found['bytes'] / found['reading_disk'] / 1e9)} GB/s), "
                f"moments found in {seconds(found['moments_pass_disk'])}."
            )
    if deriving := results.get("deriving"):
        yield "## Deriving"
        yield (
            "The derivation of the linear cell holds for every T, and is made once. Besides, so many steps of it are "
            "written out:"
        )
        rows = [(steps, took if isinstance(took, str) else seconds(took)) for steps, took in deriving.items()]
        yield table(("steps written out", "time"), rows)
    yield "## Importing"
    yield "What a generated network adds to the import of NumPy, the median of fresh processes:"
    yield table(("cell", "time"), [(f"`{cell}`", seconds(took)) for cell, took in results["importing"].items()])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def number_of(threads: int) -> str:
    """One thread, 2 threads."""
    return "One thread" if threads == 1 else f"{threads} threads"


def time_of(entry: dict[str, Any] | None) -> str:
    """The median."""
    return seconds(entry["median"]) if entry and entry["median"] else "–"
