"""Calls of a primitive that are drawn: one of its samples with other sizes, ranks, dtypes and arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from archloom.blocks.initialisers import INITIALISERS
from archloom.blocks.registry import Entry
from archloom.blocks.samples import Sample
from archloom.dsl.primitive import Argument, Kind
from archloom.dsl.types import DType

TENSOR = re.compile(r"(\w+)\[([^\]]*)\](?:\s*<\s*(\d+))?")
NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
SYMBOL = re.compile(r"\b[A-Z]\b")
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16)
FLOATS = ("float", "float64", "float32", "float16", "bfloat16")
DTYPES = tuple(d.value for d in DType)
REALS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, -1.0, 3.5, 1e-3, 0, 1, 2)
PLACES = st.integers(-4, 3)


@st.composite
def samples(draw: DrawFn, entry: Entry) -> Sample:
    """Draw a sample: sizes that are equal stay equal, and up to three more things are changed."""
    chosen = draw(st.sampled_from([*entry.good, *entry.bad[: len(entry.good)]] if draw(st.integers(0, 7)) == 7 else entry.good))
    inputs = resized(draw, entry, chosen.inputs) if draw(st.integers(0, 3)) else dict(chosen.inputs)
    for _ in range(draw(st.integers(0, 3))):
        change: Change = draw(st.sampled_from((argument, argument, axis, dtypes)))
        inputs = change(draw, entry, inputs)
    return Sample(inputs)


Change = Callable[[DrawFn, Entry, Mapping[str, Any]], dict[str, Any]]


def resized(draw: DrawFn, entry: Entry, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give sizes other numbers, everywhere the same, and perhaps symbols too."""
    held = {a.name: a for a in entry.all_arguments if a.name in inputs}
    shapes = " ".join(inside for value in inputs.values() for _, inside, _ in TENSOR.findall(str(value)))
    numbers = sorted({int(n) for n in NUMBER.findall(shapes)})
    factor = draw(st.sampled_from((1, 1, 2, 3)))
    table = {n: n if n < 2 else draw(st.sampled_from((n * factor, n * factor, *SIZES))) for n in numbers}
    symbols = {s: draw(st.sampled_from((s, s, s, "5", "1", "N"))) for s in sorted(set(SYMBOL.findall(shapes)))}

    def text(value: str) -> str:
        changed = NUMBER.sub(lambda m: str(table.get(int(m[0]), int(m[0]))), value)
        return SYMBOL.sub(lambda m: symbols.get(m[0], m[0]), changed)

    def one(argument: Argument, value: Any) -> Any:
        if isinstance(value, str):
            sizes = argument.kind in (Kind.TENSOR, Kind.TENSORS, Kind.DIM, Kind.SHAPE, Kind.SIZES)
            return text(value) if sizes else value
        if isinstance(value, bool) or not isinstance(value, (int, list, dict)) or argument.kind in (Kind.FLOAT, Kind.AXES):
            return value
        if isinstance(value, list):
            return [one(argument, item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {key: one(argument, item) for key, item in cast("dict[str, Any]", value).items()}
        return table.get(value, value) if value > 2 else value

    return {name: one(held[name], value) for name, value in inputs.items()}


def argument(draw: DrawFn, entry: Entry, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Change one static argument, give one that has a default, or leave one out."""
    statics = [a for a in entry.all_arguments if a.kind is not Kind.TENSORS]
    if not statics:
        return dict(inputs)
    chosen = draw(st.sampled_from(statics))
    value = other(draw, chosen, inputs.get(chosen.name, None))
    changed = {name: given for name, given in inputs.items() if name != chosen.name}
    order = [a.name for a in entry.all_arguments]
    if value is not ABSENT:
        changed[chosen.name] = value
    return dict(sorted(changed.items(), key=lambda item: order.index(item[0])))


ABSENT = object()


def other(draw: DrawFn, argument: Argument, value: Any) -> Any:
    """Return another value for an argument, or ABSENT."""
    if argument.optional and draw(st.booleans()):
        return ABSENT
    if argument.choices:
        return draw(st.sampled_from(argument.choices))
    if argument.kind is Kind.TENSOR:
        return draw(st.sampled_from((value, 2, 0.5, True))) if argument.literal else (ABSENT if value is None else value)
    if argument.name in ANYTHING and (argument.name == "items" or draw(st.integers(0, 3))):
        return draw(ANYTHING[argument.name])
    return draw(VALUES[argument.kind](value))


def near(value: Any) -> st.SearchStrategy[Any]:
    """Return whole numbers, most of them near one."""
    centre = value if isinstance(value, int) else 2
    return st.sampled_from((centre, centre + 1, centre - 1, 2 * centre, -centre, 0, 1, -1, 2, 3, 4))


def several(part: st.SearchStrategy[Any], value: Any) -> st.SearchStrategy[Any]:
    """Return one number or a list of them."""
    length = len(cast("Sequence[Any]", value)) if isinstance(value, (list, tuple)) else 2
    return part | st.lists(part, min_size=length, max_size=length) | st.lists(part, max_size=3)


SIZE = st.sampled_from((*SIZES[:8], "S", "B", "S + 1", "2 * B", -1, 0))
ITEM = st.one_of(
    st.integers(-4, 4), st.none(), st.just(...), st.builds(slice, st.none() | PLACES, st.none() | PLACES, st.none() | st.integers(1, 3)),
)  # fmt: skip
ANYTHING = {
    "items": st.lists(ITEM, min_size=1, max_size=4),
    "padding": several(st.integers(0, 3), None) | st.just("same"),
    "values": st.lists(st.lists(st.integers(-2, 3), min_size=2, max_size=2), min_size=1, max_size=3)
    | st.lists(st.sampled_from((0.5, 1, 2)), max_size=4),
    "value": st.sampled_from((0.5, 3, True, -1.5, None)),
    "scale": st.sampled_from((2, 0.5, 3, [2, 0.5], 1.5, None)),
}
VALUES: Mapping[Kind, Callable[[Any], st.SearchStrategy[Any]]] = {
    Kind.INT: near,
    Kind.FLOAT: lambda value: st.sampled_from((value or 0.5, *REALS)),
    Kind.BOOL: lambda value: st.booleans(),
    Kind.STR: lambda value: st.just(ABSENT if value is None else value),
    Kind.DIM: lambda value: st.sampled_from((2 if value is None else value, 1, 3, 4, 6, "S", "S + 1", 0)),
    Kind.SHAPE: lambda value: several(SIZE, value),
    Kind.AXES: lambda value: several(PLACES, value),
    Kind.INTS: lambda value: several(st.integers(-1, 4), value),
    Kind.DTYPE: lambda value: st.sampled_from(DTYPES),
    Kind.INIT: lambda value: st.sampled_from([name for name in INITIALISERS if name != "constant"] + ["normal(std = 0.02)", "constant(0.5)"]),
    Kind.SIZES: lambda value: st.dictionaries(st.sampled_from(sorted(value or {}) or ["h", "p"]), st.integers(1, 6), max_size=2),
    Kind.ANY: lambda value: st.one_of(*(values for name, values in ANYTHING.items() if name != "items")),
}


def axis(draw: DrawFn, entry: Entry, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Add an axis to all tensors or to one, drop one, or make one of size 1."""
    places = _tensors(inputs)
    if not places:
        return dict(inputs)
    chosen = places if draw(st.booleans()) else [draw(st.sampled_from(places))]
    kind, at, size = draw(st.sampled_from(("add", "drop", "one"))), draw(st.integers(0, 3)), draw(st.sampled_from(("B", "K", "3", "1")))

    def change(text: str) -> str:
        word, inside, below = TENSOR.findall(text)[0]
        axes = [part.strip() for part in inside.split(",") if part.strip()]
        if kind == "add":
            axes.insert(0 if at else len(axes), size)
        elif axes and kind == "drop":
            axes.pop(at % len(axes))
        elif axes:
            axes[at % len(axes)] = "1"
        return f"{word}[{', '.join(axes)}]{f' < {below}' if below else ''}"

    return _changed(inputs, chosen, change)


def dtypes(draw: DrawFn, entry: Entry, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give all floats another dtype, or one tensor any."""
    places = _tensors(inputs)
    if not places:
        return dict(inputs)
    if draw(st.booleans()):
        word = draw(st.sampled_from(FLOATS[1:]))
        return _changed(inputs, places, lambda text: re.sub(r"^float(?=\[)", word, text))
    word = draw(st.sampled_from(DTYPES))

    def retyped(text: str) -> str:
        plain = re.sub(r"^\w+", word, text)
        return plain if word in ("int", "int32") else plain.split("<")[0].strip()

    return _changed(inputs, [draw(st.sampled_from(places))], retyped)


Place = tuple[str, int | None]


def _tensors(inputs: Mapping[str, Any]) -> list[Place]:
    """Return where the tensors of a sample stand."""
    places: list[Place] = []
    for name, value in inputs.items():
        if isinstance(value, str) and TENSOR.fullmatch(value):
            places.append((name, None))
        elif isinstance(value, list):
            places += [(name, i) for i, item in enumerate(cast("list[Any]", value)) if isinstance(item, str) and TENSOR.fullmatch(item)]
    return places


def _changed(inputs: Mapping[str, Any], places: Sequence[Place], change: Callable[[str], str]) -> dict[str, Any]:
    def at(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [change(item) if (name, i) in places else item for i, item in enumerate(cast("list[Any]", value))]
        return change(value) if (name, None) in places else value

    return {name: at(name, value) for name, value in inputs.items()}
