"""Generated modules, run from their texts."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from pathlib import Path


def load(source: str, name: str) -> types.ModuleType:
    """A generated module, run from its text, without a file.

    Args:
        source: The text of network.py.
        name: The cell's name, for messages.
    """
    module = types.ModuleType(f"{name}.network")
    exec(compile(source, f"<{name}/network.py>", "exec"), module.__dict__)
    return module


def load_package(sources: Mapping[str, str], name: str) -> dict[str, types.ModuleType]:
    """The generated modules of a cell, run from their texts, so that they find one another.

    Args:
        sources: The text of each by its file name, each after those that it imports.
        name: The cell's name, for messages.

    Returns:
        The modules by the same names.
    """
    parent = sys.modules.setdefault("_derived", types.ModuleType("_derived"))
    parent.__path__ = [str(Path(__file__).parents[2])]  # what they import of the trainer is derive's own
    package = types.ModuleType(f"_derived.{name}")
    package.__path__ = []
    found = {"": package}
    try:
        sys.modules[package.__name__] = package
        for file, source in sources.items():
            module = types.ModuleType(f"{package.__name__}.{file.removesuffix('.py')}")
            module.__package__ = package.__name__
            sys.modules[module.__name__] = found[file] = module
            exec(compile(source, f"<{name}/{file}>", "exec"), module.__dict__)
    finally:
        for module in found.values():
            sys.modules.pop(module.__name__, None)
    return {file: module for file, module in found.items() if file}
