"""What is written on lines and in the boxes of operations: types as shapes, operations as signs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...dsl.program import Body, Node
from ...dsl.types import DType, TensorType
from ..graph import operands

SYMBOLS = {"add": "+", "sub": "−", "mul": "⊙", "div": "÷", "matmul": "@"}
LONG = 16
"""An axis with a longer text is left out: its exact size is what `archloom check` is for."""

_WORD = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?")

Sizes = Mapping[str, str]
"""What the dimensions of a block are called outside of it."""


def label_of(type_: TensorType, sizes: Sizes) -> str:
    """Return a type as it stands beside a line, in the names of the model: `B × S × 384`; a task's own sizes without the task."""
    full = axes_of(type_, sizes)
    members = {member for axis in full for member in re.findall(r"\[[^\]]*\]", axis)}
    axes: list[str] = []
    for text in full:
        short = _short(text.replace(next(iter(members)), "") if len(members) == 1 else text)
        if short != "…" or axes[-1:] != ["…"]:
            axes.append(short)
    kind = "" if type_.dtype is DType.FLOAT else f"{type_.dtype} "
    return f"{kind}{' × '.join(axes)}".strip()


def axes_of(type_: TensorType, sizes: Sizes) -> list[str]:
    """Return the axes of a type in the names of the model."""
    return [_outside(text, sizes) for text in map(str, type_.shape)]


def _outside(text: str, sizes: Sizes) -> str:
    if text.startswith("..."):
        return sizes.get("...", "…")
    if _WORD.fullmatch(text):
        return sizes.get(text, text)
    return _WORD.sub(lambda word: _bracketed(sizes.get(word[0], word[0])), text)


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


def _short(text: str) -> str:
    """Return an axis as it is written in a label."""
    found = re.sub(r"ceil\(([^()]*)\)", r"⌈\1⌉", re.sub(r"floor\(([^()]*)\)", r"⌊\1⌋", text))
    found = found.replace(" / ", "/").replace(" * ", "·")
    if len(found) > LONG and " × " not in found:
        return "…"
    return f"({found})" if re.search(r" [^×]", found.replace(" × ", "×")) else found


def sizes_inside(body: Body, node: Node, outside: Mapping[str, TensorType], sizes: Sizes) -> Sizes:
    """Return what the dimensions of a called block are called where it is called; `outside` are the types of what it is given."""
    found: dict[str, str] = {}
    given = {name: axes_of(outside[name], sizes) for name, _ in operands(node) if name in outside}
    for declared in body.inputs:
        axes = given.get(declared.key)
        own = [str(axis) for axis in declared.type.shape]
        if axes is None:
            continue
        if own and own[0].startswith("..."):
            rest = len(own) - 1
            found.setdefault("...", " × ".join(axes[: len(axes) - rest]) or "…")
            own, axes = own[1:], axes[len(axes) - rest :]
        found.update({name: axis for name, axis in zip(own, axes, strict=False) if _WORD.fullmatch(name) and name not in found})
    return found


def operation_text(name: str, node: Node, count: int) -> str:
    """Return the sign or name of an operation, with the number where one operand is a number."""
    sign = SYMBOLS.get(name)
    if sign is None:
        return name
    if count > 1:
        return sign
    number: Any = next((v for v in node.attributes.values() if isinstance(v, int | float) and not isinstance(v, bool)), None)
    return f"{'×' if name == 'mul' else sign} {number:.3g}" if number is not None else sign


def is_measure(node: Node) -> bool:
    """Tell whether an operation is a loss by itself: those say how they are reduced."""
    return node.primitive is not None and any(argument.name == "reduce" for argument in node.primitive.arguments)
