"""Steps as the lines of a function: what is read once stands where it is read, the rest has a name."""

from __future__ import annotations

import builtins
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from .expressions import Expressions, local_mark, plain, size
from .steps import Member, Step, Store, bearers, inputs_of, read_steps
from .units import Line
from .varying import numbered

CACHES = ("states", "caches")
"""Where a function finds what it remembers: what is read there isn't the same after a call."""

RESERVED = frozenset((*CACHES, "self", "torch", "reduce", "nn", "F", "Tensor", "Any", "losses", "outputs", "task", "name"))
TAKEN = RESERVED | frozenset(dir(builtins))

NOUNS = {
    "arange": "positions", "cos": "cos", "sin": "sin", "cat": "joined", "where": "chosen", "gather": "taken", "full": "full",
    "zeros_like": "zeros", "ones_like": "ones", "eye": "identity", "stack": "stacked",
    "cumsum": "sums", "flatten": "flat", "unsqueeze": "wide", "sum": "total",
    "mean": "mean", "softmax": "probs", "scaled_dot_product_attention": "mixed",
    "index_select": "rows", "argmax": "best", "argmin": "best", "einsum": "product", "matmul": "product", "unflatten": "parts", "permute": "turned",
    "transpose": "turned", "rsqrt": "scale", "sqrt": "root", "norm": "norm", "exp": "weights", "sigmoid": "gate", "zeros": "zeros", "ones": "ones",
}  # fmt: skip
"""What a value is called that the text gives no name."""

HIDDEN = "h"
"""What all others are called."""


@dataclass(slots=True)
class Function:
    """The steps of one function, in order, and what it returns; `form` is the text before what it returns."""

    steps: list[Step | Store]
    results: list[Any]
    parameters: list[Step] = field(default_factory=list[Step])
    returns: str = "return "


class Writer:
    """Writes one function."""

    def __init__(self, function: Function, expressions: Expressions, width: int, taken: Iterable[str] = (), spread: bool = False) -> None:
        """`spread` gives each term of a long sum, and each member of a family, a line of its own: loops may make less of these."""
        self.spread = spread
        function.results = _whole(function)
        self.function = function
        self.print = expressions
        self.width = width
        self.taken = TAKEN | set(taken) | _called(function)
        self.bases = {base_name(parameter.name) for parameter in function.parameters}
        self.end = Store((), function.results, "return")
        self.order: list[Step | Store] = [*_alive(function), self.end]
        self.place = {id(step): i for i, step in enumerate(self.order)}
        self.readers: dict[int, list[int]] = {}
        for i, step in enumerate(self.order):
            for read in inputs_of(step):
                for bearer in bearers(read):
                    self.readers.setdefault(id(bearer), []).append(i)
        self.terms = set[int]().union(*(_terms(step) for step in self.order if isinstance(step, Step))) if spread else set[int]()
        self.unpacked = self._unpacked()
        self.moving = [k for k, step in enumerate(self.order) if _moves(step)]
        self.marking = [k for k, step in enumerate(self.order) if isinstance(step, Store) or _moves(step)]
        """The places of what may not trade places with anything."""
        self.inside: dict[int, int] = {}
        """Where an inlined step stands, by its id: the place of its reader."""

    def lines(self) -> list[tuple[tuple[str, ...], str]]:
        """Return the statements with their guards."""
        self._inline()
        while True:
            self._name()
            found, long = self._write()
            if long is None:
                return found
            for step in self._with_earlier(long):
                self.inside.pop(id(step), None)

    # ----------------------------------------------------------------------------------------------------- inlining

    def _unpacked(self) -> dict[int, list[Step]]:
        """Return the items of each call that is taken apart whole: `q, k, v = ...`."""
        items: dict[int, list[Step]] = {}
        for step in self.function.steps:
            if isinstance(step, Step) and step.kind == "item" and isinstance(step.args[0], Step) and isinstance(step.args[1], int):
                items.setdefault(id(step.args[0]), []).append(step)
        found: dict[int, list[Step]] = {}
        for step in self.order:
            parts = sorted(items.get(id(step), []), key=lambda part: part.args[1])
            live = [part for part in parts if id(part) in self.place]
            whole = [part.args[1] for part in parts] == list(range(len(parts))) and len(parts) > 1
            if whole and live and len(live) == len(self.readers.get(id(step), [])):
                found[id(step)] = parts
        return found

    def _inline(self) -> None:
        parts = {id(part) for items in self.unpacked.values() for part in items}
        inner: dict[int, set[int]] = {}
        for i, reader in enumerate(self.order):
            tree = inner.setdefault(i, {i})
            if id(reader) in parts:
                continue
            for step in sorted(set(_direct(reader)), key=lambda s: -self.place.get(id(s), -1)):
                at = self.place.get(id(step), -1)
                if at < 0 or id(step) in parts or not self._may(step, reader, at, i, tree):
                    continue
                self.inside[id(step)] = i
                tree |= inner[at]

    def _may(self, step: Step, reader: Step | Store, at: int, i: int, tree: set[int]) -> bool:
        """Tell whether a step may stand in its reader's expression."""
        if len(self.readers.get(id(step), [])) != 1 or id(step) in self.unpacked:
            return False
        returned = reader is self.end and len(self.function.results) == 1 and self.function.results[0] is step
        if step.name and (not returned or self._again(step)):
            return False
        if _in_family(step, reader) or any(_in_family(before, step) for before in _direct(step)):
            return False
        if step.kind == "family" and any(_in_family(reader, other) for other in self.order if other is not reader):
            return False
        if self.spread and (isinstance(reader, Step) and reader.kind == "family" or id(step) in self.terms):
            return False
        changing = reader is self.end and any(isinstance(s, Store) and s.kind == "update" for s in self.order)
        if step.guard != reader.guard or changing:
            return False
        cached = any(read.kind == "input" and base_name(read.name) in CACHES for read in inputs_of(step))
        if not cached and not _moves(step) and not any(k < at and self._root(k) == at for k in self.moving):
            return True
        return not any(at < k < i and k not in tree for k in self.marking)

    def _again(self, step: Step) -> bool:
        """Tell whether a value has the name of another: the last turn of a loop."""
        others = [*self.function.parameters, *(s for s in self.order if isinstance(s, Step))]
        return any(other.name == step.name and other is not step for other in others)

    def _root(self, at: int) -> int:
        """Return the place of the statement that a step has become a part of."""
        return self._way(at)[-1]

    def _with_earlier(self, long: Step) -> list[Step]:
        """Return a part of a statement with the parts before it that may not trade places with it: draws keep their order."""
        at = self.place[id(long)]
        effects = (k for k, step in enumerate(self.order[: at + 1]) if isinstance(step, Step) and step.effect)
        ways = [way for way in map(self._way, effects) if way[-1] == self._root(at)]
        if not any(at in way for way in ways):
            return [long]
        earlier = {max(k for k in way if k < at) for way in ways if at not in way}
        return [long, *(step for step in self.order if isinstance(step, Step) and self.place[id(step)] in earlier)]

    def _way(self, at: int) -> list[int]:
        """Return the places of a step and of the expressions around it, out to the statement."""
        way = [at]
        while (up := self.inside.get(id(self.order[way[-1]]))) is not None:
            way.append(up)
        return way

    # ------------------------------------------------------------------------------------------------------- naming

    def _name(self) -> None:
        names: dict[int, str] = {}
        last: dict[str, int] = {}
        whole = [step for step in self.order if isinstance(step, Step) and id(step) in self.unpacked]
        read = {(_called_as(step), part.args[1]) for step in whole for part in self.unpacked[id(step)] if id(part) in self.place}
        for parameter in self.function.parameters:
            name = parameter.name
            names[id(parameter)] = name
            last[base_name(name)] = max(self._last(parameter), last.get(base_name(name), -1))
        for i, step in enumerate(self.order):
            if not isinstance(step, Step) or id(step) in self.inside:
                continue
            parts = self.unpacked.get(id(step))
            for one in parts if parts is not None else [step]:
                if parts is None and self._is_part(step):
                    continue
                if parts is not None and id(one) not in self.place and (_called_as(step), one.args[1]) not in read:
                    names[id(one)] = "_"
                    continue
                base = one.name or self._label(one, one.label or step.label)
                name = self._free(base, i, last)
                last[name] = max(self._last(one), i)
                names[id(one)] = name
        given = {id(step) for step in self.function.parameters}
        told = {id(step) for step in (*self.function.parameters, *self.function.steps) if isinstance(step, Step) and step.name}
        kinds = {key: "=" if key in given else "" if key in told else "~" for key in names}
        self.print.names = {key: _marked(f"{kinds[key]}{number}", name) for number, (key, name) in enumerate(names.items())}

    def _label(self, step: Step, label: str) -> str:
        """Return a name for a value that the text gives none; never that of a parameter."""
        last = str(step.target).rpartition(".")[2] if step.kind in ("call", "method") else ""
        word = label or NOUNS.get(last, "term" if id(step) in self.terms else HIDDEN)
        return f"{word}_" if word in self.bases else word

    def _is_part(self, step: Step) -> bool:
        return step.kind == "item" and isinstance(step.args[0], Step) and id(step.args[0]) in self.unpacked

    def _free(self, base: str, at: int, last: dict[str, int]) -> str:
        base = base + "_" if base in self.taken or keyword.iskeyword(base) else base
        return next(name for name in chain([base], numbered(base)) if last.get(name, -1) <= at)

    def _last(self, step: Step) -> int:
        """Return the place of the last statement that reads a value."""
        return max((self._root(i) for i in self.readers.get(id(step), [])), default=-1)

    # ------------------------------------------------------------------------------------------------------ writing

    def _write(self) -> tuple[list[tuple[tuple[str, ...], str]], Step | None]:
        found: list[tuple[tuple[str, ...], str]] = []
        for step in self.order:
            if id(step) in self.inside or isinstance(step, Step) and self._is_part(step):
                continue
            for text in self._statement(step):
                long = size(text) - self._spread(step) > self.width - 4 * bool(step.guard) and self._longest(step)
                if isinstance(long, Step):
                    return [], long
                found.append((step.guard, text))
        return found, None

    def _spread(self, step: Step | Store) -> int:
        """Return how much shorter a statement may become because a loop adds up the terms of its sum."""
        terms = [one for one in _inner(step, self.inside) if id(one) in self.terms]
        return sum(len(plain(self.print.names.get(id(term), ""))) + 3 for term in terms[1:])

    def _statement(self, step: Step | Store) -> list[str]:
        if isinstance(step, Step):
            parts = self.unpacked.get(id(step))
            names = self.print.names.pop(id(step), None)
            target = ", ".join(self.print.names[id(part)] for part in parts) if parts else names
            text = f"{target} = {self.print.step(step)[0]}" if target else self.print.step(step)[0]
            if names is not None:
                self.print.names[id(step)] = names
            return [text]
        if step.kind == "return":
            values = ", ".join(self.print.value(value) for value in self.function.results)
            return [f"{self.function.returns}{values}"] if values else []
        if step.kind == "update":
            access, value = step.value
            return ["if self.training:", "    with torch.no_grad():", f"        {self.print.value(access)}.copy_({self.print.value(value)})"]
        if step.kind == "total":
            return ['outputs["loss"] = sum(losses.values())', 'outputs["losses"] = losses']
        head = "".join(part if isinstance(part, str) else self.print.value(part) for part in step.form)
        return [head + self.print.value(step.value)]

    def _longest(self, step: Step | Store) -> Step | None:
        """Return the part of a statement that is best given a line of its own."""
        parts = [part for part in _direct(step) if id(part) in self.inside]
        if not parts:
            return None
        longest = max(parts, key=self._length)
        deeper = self._longest(longest) if self._length(longest) > self.width - 12 or self._length(longest) <= 12 else None
        flat = (
            isinstance(step, Store) and step.kind == "store" and step.value is longest and deeper is None and self._length(longest) < self.width - 12
        )
        return None if flat else deeper or longest

    def _length(self, step: Step) -> int:
        return size(self.print.step(step)[0])


def _inner(step: Step | Store, inside: Mapping[int, int]) -> Iterator[Step]:
    """Yield what a statement reads, at any depth."""
    for read in _direct(step):
        yield read
        if id(read) in inside:
            yield from _inner(read, inside)


def _called_as(step: Step) -> tuple[Any, ...]:
    """Return what the calls of all members of a family have alike."""
    if step.kind != "module":
        return (id(step),)
    return (tuple(None if isinstance(part, Member) else str(part) for part in step.target[0].parts), step.target[1])


def _moves(step: Step | Store) -> bool:
    """Tell whether a step does something besides giving a value."""
    return isinstance(step, Step) and (step.effect or step.kind == "module")


def _in_family(step: Step | Store, reader: Step | Store) -> bool:
    """Tell whether the result of one module goes into the next of its family."""
    if not isinstance(step, Step) or step.kind != "module" or not isinstance(reader, Step) or reader.kind != "module":
        return False
    ways = [[None if isinstance(part, Member) else part for part in one.target[0].parts] for one in (step, reader)]
    return None in ways[0] and ways[0] == ways[1]


def _terms(step: Step) -> set[int]:
    """Return the terms of a sum of three or more that are made alike."""
    terms: list[Step] = []
    value: Any = step
    while isinstance(value, Step) and (value.kind, value.target) == ("operator", "add"):
        value, last = value.args
        terms += [last] if isinstance(last, Step) else []
    terms += [value] if isinstance(value, Step) else []
    forms = [(term.kind, str(term.target) if isinstance(term.target, str) else "") for term in terms]
    times = Counter(forms)
    return {id(term) for term, form in zip(terms, forms, strict=True) if times[form] > 2}


def _marked(key: str, name: str) -> str:
    """Return a name with marks: that of a value, or of the family that it is read from."""
    base = base_name(name)
    if name == "_" or not base.isidentifier():
        return name
    return local_mark(key, name) if base == name else local_mark(f"of {base}", base) + name[len(base) :]


def base_name(place: str) -> str:
    """Return the parameter that is read: `label` of `label["topic"]`."""
    return re.split(r"[.\[]", place, maxsplit=1)[0]


def _alive(function: Function) -> list[Step | Store]:
    """Return the steps that matter, in order."""
    needed = {id(bearer) for value in read_steps(function.results) for bearer in bearers(value)}
    kept: list[Step | Store] = []
    for step in reversed(function.steps):
        if isinstance(step, Store) or step.effect or step.kind == "module" or id(step) in needed:
            kept.append(step)
            needed |= {id(bearer) for read in inputs_of(step) for bearer in bearers(read)}
    return kept[::-1]


def _called(function: Function) -> set[str]:
    """Return the names of the functions of the file that are called."""
    targets = (step.target for step in function.steps if isinstance(step, Step) and step.kind == "call")
    return {target.rpartition(".")[2] for target in targets if target.startswith("archloom.")}


def _whole(function: Function) -> list[Any]:
    """Return the results; a call whose results are returned as they come is returned itself."""
    items = [value for value in function.results if isinstance(value, Step) and value.kind == "item"]
    if len(items) < 2 or len(items) != len(function.results):
        return function.results
    source = items[0].args[0]
    parts = [step for step in function.steps if isinstance(step, Step) and step.kind == "item" and step.args[0] is source]
    same = len(parts) == len(items) and all(a is b for a, b in zip(parts, items, strict=True))
    read = [read for step in function.steps for read in inputs_of(step)]
    return [source] if same and source.kind == "module" and not any(part is other for part in parts for other in read) else function.results


def _direct(step: Step | Store) -> list[Step]:
    return [bearer for read in inputs_of(step) for bearer in bearers(read)]


def conditioned(statements: Sequence[tuple[tuple[str, ...], str]]) -> list[tuple[str, Line]]:
    """Return statements as lines, each with its condition."""
    found: list[tuple[str, Line]] = []
    for condition, text in statements:
        bare = text.lstrip(" ")
        found.append((" and ".join(condition), ((len(text) - len(bare)) // 4, bare)))
    return found
