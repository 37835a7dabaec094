"""What is written beside the cells: the trainer, its commands and methods, MathJax, and a page that lists the cells."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from derive.backends.numpy.methods import print_levenberg_marquardt, print_update_rules
from derive.backends.templating import render
from derive.documents.levenberg_marquardt_page import print_levenberg_marquardt_page
from derive.documents.update_rules_page import print_optimizers_page
from derive.output.modules import formatted

COMMANDS = {
    "train": "Training a derived network",
    "check": "The analytic gradient against a numeric one, entry by entry",
    "gradients": "The size of the gradient on its way back through time",
    "moments_of": "The moments of a data set that may be larger than memory",
}
"""The entry points at the top of a package, each with what it does."""
TO_READ = ("derivation.html", "derivation.md", "network.py", "network_fast.py")
"""The files of a cell that the page links to."""
MOST_WEIGHTS = 4
"""Up to how many weights the page names."""


def shared_files(package: str) -> dict[str, bytes]:
    """What all cells share: the entry points, the trainer, its methods, and MathJax for the pages.

    Args:
        package: The name of the output folder, for the words of its docstrings.

    Returns:
        The content of each file by its path within the output folder.
    """
    init = render("output/templates/package_init.py.j2", {"package": package})
    texts = {"__init__.py": init, **entry_points(package), **methods()}
    mathjax = resources.files("mathjax") / "static" / "mathjax" / "es5" / "tex-svg-full.js"
    return {
        **{path: (formatted(text) if path.endswith(".py") else text).encode() for path, text in texts.items()},
        **trainer(),
        "assets/tex-svg-full.js": mathjax.read_bytes(),
    }


def trainer() -> dict[str, bytes]:
    """The trainer as it is, by path."""

    def below(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
        for entry in folder.iterdir():
            if entry.is_dir():
                yield from below(entry, f"{path}/{entry.name}")
            elif entry.name.endswith(".py"):
                yield f"{path}/{entry.name}", entry.read_bytes()

    return dict(below(resources.files("derive") / "trainer", "trainer"))


def entry_points(package: str) -> dict[str, str]:
    """The commands' modules at the top of a package, by path."""
    template = "output/templates/entry_point.py.j2"
    return {
        f"{command}.py": render(template, {"package": package, "command": command, "summary": summary})
        for command, summary in COMMANDS.items()
    }


def methods() -> dict[str, str]:
    """What the trainer learns by, as code and on paper, by path."""
    return {
        "methods/__init__.py": render("output/templates/methods_init.py.j2", {}),
        "methods/update_rules.py": print_update_rules(),
        "methods/update_rules.md": print_optimizers_page(),
        "methods/levenberg_marquardt.py": print_levenberg_marquardt(),
        "methods/levenberg_marquardt.md": print_levenberg_marquardt_page(),
    }


class Card(NamedTuple):
    """What the page says of a cell.

    Attributes:
        name: The cell's.
        title: Its derivation's.
        about: A sentence about it, or a few.
        equations: How many its derivation has.
        weights: The sizes of each of its weights by name; a number has none.
        files: What to read.
    """

    name: str
    title: str
    about: str
    equations: int
    weights: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...]

    @property
    def has_matrices(self) -> bool:
        """Whether a weight is no number."""
        return any(self.weights.values())

    @property
    def sizes(self) -> str:
        """Its weights in words: by name where they are few."""
        few = len(self.weights) <= MOST_WEIGHTS
        return f"weights {', '.join(self.weights)}" if few else f"{len(self.weights)} weights"


class Derived(HTMLParser):
    """What a page of a derivation says of itself: its heading, its description and how many equations it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.title = self.about = ""
        self.equations = 0
        self._heading = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for what opens."""
        given = dict(attrs)
        self._heading = tag == "h1"
        if tag == "meta" and given.get("name") == "description":
            self.about = given.get("content") or ""
        if number := re.fullmatch(r"eq-(\d+)", given.get("id") or ""):
            self.equations = max(self.equations, int(number[1]))

    def handle_endtag(self, tag: str) -> None:
        """Called for what closes."""
        self._heading = False

    def handle_data(self, data: str) -> None:
        """Called for the text between."""
        self.title += data if self._heading else ""


def print_index(files: Mapping[str, bytes], folder: Path) -> bytes:
    """The page that lists all cells of an output folder, in the order in which to read them.

    Args:
        files: What is derived now, by path.
        folder: The output folder, which may hold further cells.
    """
    there = {path.relative_to(folder).as_posix(): path for path in folder.glob("*/*") if path.is_file()}
    paths = sorted(there.keys() | files.keys())

    def text(path: str) -> str:
        content = files[path] if path in files else there[path].read_bytes()
        return content.decode(errors="replace")

    cards = []
    for name in (path.partition("/")[0] for path in paths if path.endswith("/derivation.html")):
        if f"{name}/network.py" in paths:
            page = Derived(text(f"{name}/derivation.html"))
            read = tuple(file for file in TO_READ if f"{name}/{file}" in paths)
            weights = shapes_of_weights(text(f"{name}/network.py"))
            cards.append(Card(name, page.title, page.about, page.equations, weights, read))
    cards.sort(key=lambda card: (card.has_matrices, card.equations, card.name))
    package = folder.resolve().name
    return render("output/templates/index.html.j2", {"cards": cards, "package": package, "commands": COMMANDS}).encode()


def shapes_of_weights(network: str) -> dict[str, tuple[str, ...]]:
    """The names of the weights of a network.py, each with the sizes of its shape; empty where it does not say."""
    for node in ast.parse(network).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="SHAPES")], value=value)
                | ast.AnnAssign(target=ast.Name(id="SHAPES"), value=ast.expr() as value)
            ):
                return {name: tuple(map(str, shape)) for name, shape in ast.literal_eval(value).items()}
    return {}
