"""Uses of a block or function of the library that are drawn: its example with other sizes and other arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

import archloom
from archloom.blocks.examples import EXAMPLES, Example
from archloom.dsl import ast
from archloom.dsl.parser import parse
from archloom.dsl.source import Source

LIBRARY = Path(archloom.__file__).parent / "blocks"
NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
SYMBOL = re.compile(r"\b[A-Z]\b")
SET = re.compile(r"\{[a-z]\w*(?:, [a-z]\w*)*\}")
RANGE = re.compile(r"\b0\.\.(\d+)\b")
SIZES = (2, 3, 4, 5, 6, 8, 10, 12, 16)
REALS = ("0.0", "0.1", "0.5", "1.0", "2.0")
ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "sigmoid")
NORMS = ("LayerNorm", "RMSNorm")
WORDS = ("one", "two", "three", "four")


@cache
def _trees(file: str) -> tuple[Any, ...]:
    path = LIBRARY / f"{file.replace('.', '/')}.arch"
    return tuple(item.tree for item in parse(Source(path.name, path.read_text(encoding="utf-8"))).items)


@cache
def parameters(name: str) -> tuple[ast.Parameter, ...]:
    """Return the static parameters of a block or function, or of the block that a definition is made of."""
    file, _, item = name.rpartition(".")
    for tree in _trees(file):
        if isinstance(tree, (ast.Block, ast.Fn)) and tree.name == item:
            return tuple(p for p in tree.parameters if not _is_tensor(p))
        if isinstance(tree, ast.Definition) and tree.name == item and isinstance(tree.value, ast.Call) and isinstance(tree.value.function, ast.Name):
            return parameters(_home(file, tree.value.function.id))
    raise KeyError(name)


def _home(file: str, word: str) -> str:
    for tree in _trees(file):
        if isinstance(tree, ast.Import):
            for named in tree.names:
                if (named.alias or named.name) == word:
                    return ".".join((*tree.module, named.name))
    return f"{file}.{word}"


def _is_tensor(parameter: ast.Parameter) -> bool:
    kind = parameter.type
    return isinstance(kind, ast.TypeRef) and kind.arguments is not None and kind.name not in ("list", "map")


@st.composite
def texts(draw: DrawFn, name: str) -> str:
    """Draw a model around a block: numbers that are equal stay equal, and arguments and inputs change."""
    example = EXAMPLES[name]
    kept = {k: v for k, v in example.inputs.items() if k not in example.without or draw(st.booleans())}
    drawn = replace(example, inputs=kept)
    if drawn.make is not None:
        drawn = replace(drawn, make=_arguments(draw, name, drawn.make))
    drawn = _members(draw, drawn)
    drawn = _numbered(draw, drawn) if draw(st.integers(0, 2)) else drawn
    drawn = _retyped(draw, drawn) if draw(st.integers(0, 7)) == 7 else drawn
    return drawn.text(name)


def _retyped(draw: DrawFn, example: Example) -> Example:
    """Give all floats another dtype, or one input any."""
    word = draw(st.sampled_from(("float32", "float64", "bfloat16", "float", "int", "int32", "bool")))
    if word.startswith(("float", "bfloat")) and draw(st.booleans()):
        return replace(example, inputs={key: re.sub(r"^float(?=\[)", word, type_) for key, type_ in example.inputs.items()})
    chosen = draw(st.sampled_from(sorted(example.inputs)))
    type_ = re.sub(r"^\w+", word, example.inputs[chosen])
    return replace(example, inputs={**example.inputs, chosen: type_ if "int" in word else type_.partition(" in ")[0]})


def _arguments(draw: DrawFn, name: str, make: str) -> str:
    """Give up to three parameters other values, those that the example leaves alone too."""
    slots = parameters(name)
    positional, named = _split(make)
    values = dict(zip((p.name for p in slots), positional, strict=False)) | named
    order = [p.name for p in slots][: len(positional)]
    for _ in range(draw(st.integers(0, 3))) if slots else ():
        chosen = draw(st.sampled_from(slots))
        given = values.get(chosen.name) or (chosen.default.span.text if chosen.default is not None else None)
        value = draw(_values(chosen, given, chosen.name in values))
        if value is not None:
            values[chosen.name] = value
    by_place = [values.pop(word) for word in order]
    return ", ".join([*by_place, *(f"{word} = {value}" for word, value in values.items())])


def _split(make: str) -> tuple[list[str], dict[str, str]]:
    """Return the arguments of a call by position and by name, as they are written."""
    tree: Any = parse(Source("make", f"model M {{ part = F({make}) }}")).items[0].tree
    arguments = tree.body[0].value.arguments
    return [a.value.span.text for a in arguments if a.name is None], {a.name: a.value.span.text for a in arguments if a.name is not None}


def _values(parameter: ast.Parameter, given: str | None, said: bool) -> st.SearchStrategy[str | None]:
    """Return other values for a parameter, of its type; None leaves it as it is."""
    kind = parameter.type
    if isinstance(kind, ast.EnumType):
        return st.sampled_from([word.id for word in kind.members])
    word = kind.name if isinstance(kind, ast.TypeRef) else ""
    if word == "bool":
        return st.sampled_from(("true", "false"))
    if word == "float":
        return st.sampled_from((given or "0.1", *REALS))
    if word == "fn" and given in ACTIVATIONS:
        return st.sampled_from(ACTIVATIONS)
    if word == "block" and given in NORMS:
        return st.sampled_from(NORMS)
    if word == "int" and given is not None and given.isdigit():
        return st.sampled_from([str(n) for n in (int(given), int(given) + 1, 2 * int(given), max(int(given) - 1, 0), 1, 2, 4)])
    if word == "int" and not said:
        return st.sampled_from([str(n) for n in (1, 2, 4, 8)])
    return st.none()


def _members(draw: DrawFn, example: Example) -> Example:
    """Give index sets other members, and the lists that go with them other lengths."""
    texts = [*example.inputs, example.make or "", *example.inputs.values()]
    sets = sorted({found for text in texts for found in SET.findall(text)})
    ranges = sorted({found for key in example.inputs for found in RANGE.findall(key)})
    swaps: dict[str, str] = {}
    lengths: dict[int, int] = {}
    for found in sets:
        old, new = len(found.split(",")), draw(st.integers(1, 4)) if draw(st.booleans()) else len(found.split(","))
        if new != old:
            swaps[found] = "{" + ", ".join([*found.strip("{}").split(", "), *WORDS][:new]) + "}"
            lengths[old] = new
    for found in ranges:
        new = draw(st.sampled_from((int(found), int(found), 1, 3)))
        swaps[f"0..{found}"] = f"0..{new}"
        lengths[int(found)] = new

    def swapped(text: str) -> str:
        for old, new in swaps.items():
            text = re.sub(re.escape(old) + (r"\b" if old[-1].isdigit() else ""), new, text)
        return text

    inputs = {swapped(key): value for key, value in example.inputs.items()}
    make = swapped(example.make) if example.make is not None else None
    if make is not None and ranges:
        make = re.sub(r"\[([^\[\]]+)\]", lambda m: _stretched(m[1], lengths), make)
    return replace(example, inputs=inputs, make=make)


def _stretched(inside: str, lengths: Mapping[int, int]) -> str:
    items = inside.split(", ")
    wanted = lengths.get(len(items), len(items))
    return f"[{', '.join((items * wanted)[:wanted])}]"


def _numbered(draw: DrawFn, example: Example) -> Example:
    """Give whole numbers others, and perhaps symbols too, everywhere the same; all grow by one factor, or single ones change."""
    shapes = " ".join(example.inputs.values())
    numbers = sorted({int(n) for n in NUMBER.findall(f"{shapes} {example.make or ''}") if int(n) > 1})
    factor = draw(st.sampled_from((1, 1, 1, 2, 3)))
    table = {n: n * factor for n in numbers}
    for n in draw(st.lists(st.sampled_from(numbers), max_size=2)) if numbers else ():
        table[n] = draw(st.sampled_from((n + 1, 2 * n, max(n - 1, 1), *SIZES)))
    symbols = {s: draw(st.sampled_from((s, s, s, "5", "7"))) for s in sorted(set(SYMBOL.findall(shapes)))}

    def changed(text: str) -> str:
        plain = NUMBER.sub(lambda m: str(table.get(int(m[0]), int(m[0]))), text)
        return SYMBOL.sub(lambda m: symbols.get(m[0], m[0]), plain)

    inputs = {key: changed(value) for key, value in example.inputs.items()}
    make = None if example.make is None else NUMBER.sub(lambda m: str(table.get(int(m[0]), int(m[0]))), example.make)
    return replace(example, inputs=inputs, make=make)
