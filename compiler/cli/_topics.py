"""What `archloom explain NAME` says of an operation, a leaf module or a library block."""

from __future__ import annotations

import inspect

from ...blocks.registry import Entry, primitives
from ...dsl import ast
from ...dsl.primitive import MISSING, Argument
from ..check import library


def topic(name: str) -> str | None:
    """Return the text about a primitive (`softmax`) or a library block (`llama.DecoderLayer`); None if there is none of that name."""
    entry = primitives().get(name)
    if entry is not None:
        return _primitive(entry)
    module, _, block = name.rpartition(".")
    return _block(tuple(module.split(".")), block) if module else None


def topics() -> list[str]:
    """Return every name that `topic` knows."""
    return [*primitives(), *(f"{module}.{name}" for module in library().modules() for name in _items(tuple(module.split("."))))]


def _primitive(entry: Entry) -> str:
    made = f"{entry.name}({_signature(entry.arguments)})"
    head = f"{made}({_signature(entry.call)})" if entry.is_leaf else made
    lines = [head, "", inspect.cleandoc(entry.doc), ""]
    lines += [f"  {argument.name}  {argument.doc}" for argument in (*entry.arguments, *entry.call)]
    if entry.results:
        lines += ["", f"results: {', '.join(entry.results)}"]
    return "\n".join(lines) + "\n"


def _signature(arguments: tuple[Argument, ...]) -> str:
    return ", ".join(a.name if a.default is MISSING else f"{a.name} = {_shown(a.default)}" for a in arguments)


def _shown(value: object) -> str:
    words = {None: "none", True: "true", False: "false"}
    return words[value] if isinstance(value, bool) or value is None else str(value)


def _items(module: tuple[str, ...]) -> dict[str, ast.Block | ast.Fn]:
    from ...dsl.parser import parse

    source = library().load(module)
    if source is None:
        return {}
    return {tree.name: tree for tree in parse(source).tree() if isinstance(tree, (ast.Block, ast.Fn))}


def _block(module: tuple[str, ...], name: str) -> str | None:
    item = _items(module).get(name)
    if item is None:
        return None
    parameters = ", ".join(p.span.text for p in item.parameters)
    head = f"import {'.'.join(module)}.{name}\n\n{'block' if isinstance(item, ast.Block) else 'fn'} {name}({parameters})"
    return f"{head}\n\n{inspect.cleandoc(item.doc or '')}\n"
