"""A call of a primitive as a text: a model whose inputs are the tensors of a sample."""

from __future__ import annotations

import re
from typing import Any

from archloom.blocks.registry import Entry
from archloom.blocks.samples import Sample, TensorSample, read, symbols_for
from archloom.dsl.facts import Facts
from archloom.dsl.primitive import Argument, Kind, RuleFailure
from archloom.dsl.rule import ShapeRule

SYMBOL = re.compile(r"\b[A-Z]\b")
SYMBOLS = symbols_for(dict.fromkeys("BHKNSTW", 1))


class Call:
    """Writes one call; what it reads is declared on the way."""

    def __init__(self, entry: Entry, sample: Sample) -> None:
        self.entry = entry
        self.sample = sample
        self.declared: dict[str, str] = {}

    def text(self) -> str:
        """Return a model around the call; where it gives a list, each of its tensors is an output."""
        statics, call = self.entry.arguments, self.entry.call
        if self.entry.is_leaf:
            lines = [f"  part = {self.entry.name}({self._arguments(statics)})", f"  out y = part({self._arguments(call)})"]
        elif self.entry.name == "index":
            lines = [f"  out y = {self._tensor(self.sample.inputs['x'])}[{', '.join(map(_item, self.sample.inputs['items']))}]"]
        else:
            names = ", ".join(self.entry.results or [f"y{i}" for i in range(self._count())])
            lines = [f"  out {names} = {self.entry.name}({self._arguments(statics)})"]
        known = {s for type_ in self.declared.values() for s in SYMBOL.findall(type_.split(" in ")[0])}
        for symbol in sorted(set(SYMBOL.findall(" ".join(map(str, self._sizes())))) - known):
            self.declared[f"of_{symbol}"] = f"float[{symbol}]"
        inputs = [f"  in {name}: {type_}" for name, type_ in self.declared.items()]
        return "\n".join(["arch 1", "model Example {", *inputs, *lines, "}", ""])

    def _count(self) -> int:
        if not self.entry.several:
            return 1
        given = {a.name: read(a, self.sample.inputs[a.name], SYMBOLS) for a in self.entry.all_arguments if a.name in self.sample.inputs}
        types = {name: value.type if isinstance(value, TensorSample) else value for name, value in given.items()}
        try:
            found = self.entry.infer(ShapeRule(Facts()), types)
        except (RuleFailure, TypeError):  # what the elaborator refuses doesn't come to a rule
            return 1
        return len(found) if isinstance(found, tuple) else 1

    def _sizes(self) -> list[Any]:
        return [self.sample.inputs.get(a.name) for a in self.entry.all_arguments if a.kind in (Kind.DIM, Kind.SHAPE, Kind.SIZES)]

    def _arguments(self, arguments: tuple[Argument, ...]) -> str:
        """Write the arguments by position as far as that goes: axes of a pattern may have the names of arguments."""
        written: list[str] = []
        named = False
        for argument in arguments:
            if argument.name not in self.sample.inputs:
                named = True
                continue
            value = self.sample.inputs[argument.name]
            named = named or argument.keyword
            if argument.kind is Kind.TENSORS:
                written += [self._tensor(item) for item in value]
                named = True
            elif argument.kind is Kind.SIZES:
                written += [f"{name} = {literal(size, plain=True)}" for name, size in value.items()]
            else:
                text = self._argument(argument, value)
                written.append(f"{argument.name} = {text}" if named else text)
        return ", ".join(written)

    def _argument(self, argument: Argument, value: Any) -> str:
        if argument.kind is Kind.TENSOR:
            return self._tensor(value)
        return literal(value, plain=argument.kind in (Kind.DIM, Kind.SHAPE, Kind.DTYPE, Kind.INIT))

    def _tensor(self, value: Any) -> str:
        if not isinstance(value, str):
            return literal(value)
        name = f"x{len(self.declared)}"
        self.declared[name] = re.sub(r"\s*<\s*(\d+)$", r" in 0..\1", value)
        return name


def literal(value: Any, *, plain: bool = False) -> str:
    """Return a static value as it is written; strings that stand for themselves are `plain`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(literal(item, plain=plain) for item in value)}]"
    if isinstance(value, str):
        return value if plain else f'"{value}"'
    return str(value)


def _item(item: Any) -> str:
    if item is None:
        return "none"
    if item is ...:
        return "..."
    if isinstance(item, tuple):
        item = slice(*item)
    if isinstance(item, slice):
        ends = ["" if end is None else str(end) for end in (item.start, item.stop)]
        return ":".join([*ends, *([str(item.step)] if item.step is not None else [])])
    return str(item)
