"""Generated functions: an fx graph, its Python, and the lines of the text that each generated line comes from."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from torch import fx

from ...dsl.record import record
from ...dsl.source import Span

FILE_PREFIX = "<archloom "


@record
class Place:
    """Where a generated line comes from: its statement, the block, and the name of the value."""

    span: Span
    block: str
    name: str

    @property
    def stack_trace(self) -> str:
        """Return the place in the form of a Python traceback, which fx prints above the generated line."""
        line = self.span.source.line(self.span.line).strip() if self.span.source.text else ""
        return f'File "{self.span.source.name}", line {self.span.line}, in {self.block}\n    {line}\n'


@dataclass(slots=True, eq=False)
class Code:
    """One generated function, shared by every instance of a body.  The graph is not to be edited: copies are handed out."""

    name: str
    graph: fx.Graph
    inputs: tuple[str, ...]  # flat names of the parameters, in order
    results: tuple[str, ...]
    source: str
    globals: Mapping[str, Any]
    function: Callable[..., Any]
    lines: Mapping[int, int | None]  # node numbers by line, counted from the `def`, as fx does

    def __deepcopy__(self, memo: dict[int, Any]) -> Code:
        return self

    def same_as(self, other: Code) -> bool:
        """Tell whether the other function does the same: equal text over the same objects."""
        if self is other:
            return True
        alike = self.source == other.source and self.inputs == other.inputs and self.globals.keys() == other.globals.keys()
        return alike and all(self.globals[name] is value for name, value in other.globals.items())


class Written:
    """The code of what is computed from the parameters at `paths` alone, a function of the module that holds them; known by its text.

    A `still` one changes with them in steps only, so that no gradient goes to them.
    """

    def __init__(self, text: str, code: Code, paths: tuple[str, ...], packed: bool, still: bool) -> None:
        self.text, self.code, self.paths, self.packed, self.still = text, code, paths, packed, still

    def __repr__(self) -> str:
        return self.text

    def __deepcopy__(self, memo: dict[int, Any]) -> Written:
        return self


@dataclass(slots=True)
class _Lines:
    """Places by line of one generated file."""

    places: dict[int, Place] = field(default_factory=dict[int, Place])


_FILES: dict[str, _Lines] = {}


def generate(name: str, graph: fx.Graph, inputs: tuple[str, ...], results: tuple[str, ...]) -> Code:
    """Turn an fx graph into a function of `self` and its inputs."""
    python = graph.python_code("self")
    source = python.src.strip("\n") + "\n"
    shift = vars(python)["_prologue_start"] - (len(python.src) - len(python.src.lstrip("\n")))
    lines = _Lines()
    nodes = list(graph.nodes)
    numbers: dict[int, int | None] = vars(python)["_lineno_map"]
    for line, index in numbers.items():
        place = nodes[index].meta.get("place") if index is not None else None
        if place is not None:
            lines.places[line + shift] = place
    traces = "".join(place.stack_trace for place in lines.places.values())
    filename = f"{FILE_PREFIX}{name} {sha256((source + traces).encode()).hexdigest()[:12]}>"  # compiled again it is the same file
    _FILES[filename] = lines
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope = dict(python.globals)
    exec(compile(source, filename, "exec", dont_inherit=True), scope)  # the text that fx generates from our own graph
    return Code(name, graph, inputs, results, source, python.globals, scope["forward"], numbers)


def place_of(filename: str, line: int) -> Place | None:
    """Return the place in the text behind a line of a generated file, or None for other files."""
    lines = _FILES.get(filename)
    return lines.places.get(line) if lines is not None else None
