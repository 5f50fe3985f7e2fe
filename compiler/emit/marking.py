"""Numbers of the text are marked as such: they may become parameters of a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ...dsl.primitive import Argument, Kind
from .steps import Hole, Real
from .terms import Wording

SIZES = (Kind.INT, Kind.INTS, Kind.DIM, Kind.SHAPE, Kind.SIZES)


def tagged(value: Any, words: Wording, made: bool = False, argument: str = "") -> Any:
    """Mark numbers as such that may become parameters, also inside lists and dicts; `made` for those that a module is made with."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Hole(value, words, made, argument)
    if isinstance(value, float):
        return Real(value, words, made, argument)
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        return [tagged(item, words, made, argument if len(items) == 1 else f"{argument}[{i}]") for i, item in enumerate(items)]
    if isinstance(value, dict):
        return {key: tagged(item, words, made, key) for key, item in cast("dict[str, Any]", value).items()}
    return value


def statics(values: Mapping[str, Any], arguments: Sequence[Argument], words: Wording, made: bool = False, composed: bool = False) -> dict[str, Any]:
    """Mark the numbers of a primitive's arguments that are sizes or counts, and those with fractions of what is `made` or `composed`."""
    kinds = {argument.name: argument.kind for argument in arguments}
    marked = (*SIZES, Kind.FLOAT, Kind.ANY) if made else (*SIZES, Kind.FLOAT) if composed else SIZES
    return {name: tagged(value, words, made, name) if kinds.get(name) in marked else value for name, value in values.items()}
