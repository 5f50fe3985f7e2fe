"""What `archloom explain NAME` says of an operation, a leaf module, a library block or a pass."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

from ...blocks.examples import EXAMPLES
from ...blocks.registry import Entry, primitives
from ...blocks.samples import Sample
from ...dsl import ast
from ...dsl.format import format_source
from ...dsl.primitive import MISSING, Argument, Kind
from ...dsl.source import Source
from ..check import library
from ..optimize.interface import Pass
from ..optimize.pipelines import PIPELINES
from ..optimize.registry import passes
from ..tables import table

SHOWN = 3
"""Examples of an operation."""
PASSES = "passes"
"""The topic that lists the passes."""


def topic(name: str) -> str | None:
    """Return the text about a primitive (`softmax`), a library block (`llama.DecoderLayer`), a pass (`cse`) or all `passes`.

    None if there is nothing of that name.
    """
    entry = primitives().get(name)
    if entry is not None:
        return _primitive(entry)
    if name in passes():
        return _pass(passes()[name])
    if name == PASSES:
        return _passes()
    module, _, block = name.rpartition(".")
    return _block(tuple(module.split(".")), block) if module else None


def topics() -> list[str]:
    """Return every name that `topic` knows."""
    return [*primitives(), *passes(), PASSES, *(f"{module}.{name}" for module in library().modules() for name in _items(tuple(module.split("."))))]


def pass_rows() -> list[list[str]]:
    """Return every pass with what it does, on one line."""
    return [[name, first_sentence(found)] for name, found in passes().items()]


def first_sentence(found: type[Pass]) -> str:
    """Return what a pass does in short: the first sentence of its docstring."""
    first = inspect.cleandoc(found.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return first.split(".  ")[0].rstrip(".")


def options_of(found: type[Pass]) -> list[str]:
    """Return the options of a pass with their defaults: `growth = 4`."""
    return [f"{option.name} = {option.default}" for option in fields(found)]


def _passes() -> str:
    lists = [[name, ", ".join(names) or "no pass"] for name, names in PIPELINES.items()]
    return f"{table([['pass', 'what it does'], *pass_rows()])}\n{table([['pipeline', 'passes'], *lists])}"


def _pass(found: type[Pass]) -> str:
    name = found.name()
    rows = [
        ["keeps", found.keeps.value],
        ["options", ", ".join(options_of(found)) or "none"],
        ["pipelines", ", ".join(p for p, names in PIPELINES.items() if name in names) or "none"],
        ["comes after", ", ".join(found.after)],
        ["applies in", ", ".join(f"{example} {count} times" for example, count in found.fires.items())],
    ]
    return f"pass {name}\n\n{inspect.cleandoc(found.__doc__ or '')}\n\n{table([row for row in rows if row[1]])}"


def _primitive(entry: Entry) -> str:
    made = f"{entry.name}({_signature(entry.arguments)})"
    head = f"{made}({_signature(entry.call)})" if entry.is_leaf else made
    lines = [head, "", inspect.cleandoc(entry.doc), ""]
    lines += [f"  {argument.name}  {argument.doc}" for argument in (*entry.arguments, *entry.call)]
    if entry.results:
        lines += ["", f"results: {', '.join(entry.results)}"]
    lines += ["", "examples, with types for tensors", "", *(f"  {_sampled(entry, sample)}" for sample in entry.good[:SHOWN])]
    return "\n".join(lines) + "\n"


def _sampled(entry: Entry, sample: Sample) -> str:
    """Write a good sample as the text would have it."""
    if entry.name == "index":
        return f"{sample.inputs['x']}{_literal(sample.inputs['items'])}"
    made, called = (
        ", ".join(_argument(a, sample.inputs[a.name]) for a in arguments if a.name in sample.inputs) for arguments in (entry.arguments, entry.call)
    )
    return f"{entry.name}({made})({called})" if entry.is_leaf else f"{entry.name}({made})"


def _argument(argument: Argument, value: Any) -> str:
    if argument.kind in (Kind.TENSOR, Kind.TENSORS):
        return str(value) if isinstance(value, str) else _literal(value)
    if argument.kind is Kind.SIZES:
        return ", ".join(f"{name} = {_literal(size)}" for name, size in value.items())
    quoted = f'"{value}"' if argument.kind is Kind.STR else _literal(value)
    return f"{argument.name} = {quoted}"


def _literal(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        return f"[{', '.join(map(_literal, items))}]"
    if isinstance(value, slice):
        bounds = cast("Any", value)
        return ":".join("" if n is None else str(n) for n in (bounds.start, bounds.stop))
    return "..." if value is ... else _shown(value)


def _signature(arguments: tuple[Argument, ...]) -> str:
    return ", ".join(a.name if a.default is MISSING else f"{a.name} = {_shown(a.default)}" for a in arguments)


def _shown(value: object) -> str:
    words = {None: "none", True: "true", False: "false"}
    return words[value] if isinstance(value, bool) or value is None else str(value)


def _items(module: tuple[str, ...]) -> dict[str, ast.Block | ast.Fn | ast.Definition]:
    from ...dsl.parser import parse

    source = library().load(module)
    if source is None:
        return {}
    trees = parse(source).tree()
    made = {tree.name: tree for tree in trees if isinstance(tree, ast.Definition) and isinstance(tree.value, ast.Call)}
    return made | {tree.name: tree for tree in trees if isinstance(tree, (ast.Block, ast.Fn))}


def _block(module: tuple[str, ...], name: str) -> str | None:
    item = _items(module).get(name)
    if item is None:
        return None
    head = f"import {'.'.join(module)}.{name}\n\n"
    if isinstance(item, ast.Definition):
        said = item.span.text
    else:
        parameters = ", ".join(p.span.text for p in item.parameters)
        said = f"{'block' if isinstance(item, ast.Block) else 'fn'} {name}({parameters})\n\n{inspect.cleandoc(item.doc or '')}"
    return f"{head}{said}\n\nexample\n\n{textwrap.indent(_example('.'.join((*module, name))), '  ')}"


def _example(name: str) -> str:
    """Return the library's own example of a block, laid out."""
    laid_out = format_source(Source(name, EXAMPLES[name].text(name)))
    assert isinstance(laid_out, str)
    return laid_out
