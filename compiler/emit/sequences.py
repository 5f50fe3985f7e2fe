"""What is born as `Sequential(a, gelu, b)`: one `nn.Sequential` that is called once, its operations as modules of torch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Union, cast

from torch import nn

from ...blocks.registry import Entry
from ...dsl.dims import Dim
from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.types import TensorType
from ..graph import result_names
from ..lower.build import Statics
from ..lower.names import imported
from ..paths import is_handed
from .marking import statics
from .sites import part_site
from .terms import Wording, wording

if TYPE_CHECKING:
    from .plan import Instance


APPLY = "archloom.compiler.runtime.modes.Apply"
"""The module that calls a function for which torch has no class."""


@dataclass(slots=True)
class Operation:
    """A module without parameters: its class and arguments."""

    target: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class Called:
    """A function that stands as a module: what else it is called with."""

    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made: bool = False  # a class, with what it is made with


Parts = dict[int, Union[str, Operation, Called, "Parts"]]
"""The parts by their places: the path of a module, an operation, or a Sequential inside."""

IDENTITY = Operation("torch.nn.Identity")


class _Unfit(Exception):
    """Parts can't be called as one module."""


def sequences(instance: Instance) -> dict[str, Parts]:
    """Return what is written as `nn.Sequential`, by its path: what is called whole, and with one argument, wherever it is called."""
    found: dict[str, Parts] = {}
    unfit: set[str] = set()
    for body in {id(body): body for pair in instance.pairs for body in pair}.values():
        for node in body.nodes:
            if node.part is None or is_handed(node.part.path):
                continue
            try:
                _put(found.setdefault(node.part.path, {}), node.part.places, _part(instance, body, node))
            except _Unfit:
                unfit.add(node.part.path)
    return {path: _filled(parts) for path, parts in found.items() if path not in unfit and _covers(parts, level_at(instance.tree, path))}


def continued(body: Body, numbers: Mapping[str, Any]) -> set[int]:
    """Return the nodes whose value goes into a further part of the same call."""
    found: set[int] = set()
    for node in body.nodes:
        if node.part is not None and node.part.path in numbers:
            before = body.nodes[(read := operand_of(node)).node].part
            if before is not None and before.path == node.part.path and before.places < node.part.places:
                found.add(read.node)
    return found


def operand_of(node: Node) -> Ref:
    """Return the one tensor that a part takes."""
    given = [operand for operand in node.inputs.values() if operand is not None]
    if len(given) != 1 or not isinstance(given[0], Ref) or len(node.outputs) != 1:
        raise _Unfit
    return given[0]


def _part(instance: Instance, body: Body, node: Node) -> str | Operation | Called:
    read = operand_of(node)
    if node.kind is NodeKind.OPERATION:
        if node.part is None or not isinstance(node.primitive, Entry):
            raise _Unfit
        path = f"{node.part.path}."
        born = next((declared for declared in body.modules.values() if declared.path.startswith(path)), None)
        words = part_site(born, node.part.places, node.primitive) if born is not None else wording(node.span)
        return _operation(node, node.primitive, body.type(read), words)
    if node.part is None or node.target != ".".join([node.part.path, *map(str, node.part.places)]):
        raise _Unfit  # a part that has its own place
    if node.body is not None:
        child = instance.children[node.target]
        first = next(iter(node.inputs)) == next(iter(d.key for d in node.body.inputs), None)
        way = child.way(node.body)
        plain = way.number == 0 and way.told is None and way.body is node.body
        if not first or not plain or instance.planner.handed(node.body) or len(result_names(node.body)) > 1:
            raise _Unfit
    return node.target


def _put(level: Parts, places: tuple[int, ...], part: str | Operation | Called) -> None:
    first, *rest = places
    if rest:
        below = level.setdefault(first, {})
        if not isinstance(below, dict):
            raise _Unfit
        _put(below, tuple(rest), part)
    elif level.setdefault(first, part) != part:
        raise _Unfit


def level_at(tree: Mapping[str, Any], path: str) -> Any:
    """Return what a tree holds at a path."""
    level: Any = tree
    for word in path.split("."):
        level = cast("dict[str, Any]", level).get(word) if isinstance(level, dict) else None
    return level


def _covers(parts: Parts, level: Any) -> bool:
    """Tell whether there is something to hold, and nothing beside the parts."""
    if not isinstance(level, dict):
        return False
    held = cast("dict[str, Any]", level)
    return all(
        word.isdecimal() and (isinstance(below, str) or _covers(inner if isinstance(inner := parts.get(int(word)), dict) else {}, below))
        for word, below in held.items()
    ) and all(int(word) in parts for word in held)


def _filled(parts: Parts) -> Parts:
    """Put the identity where an operation does nothing, so that each part keeps its place."""
    ordered = {place: parts.get(place, IDENTITY) for place in range(max(parts) + 1)}
    return {place: _filled(part) if isinstance(part, dict) else part for place, part in ordered.items()}


# ---------------------------------------------------------------------------------------------------------- operations


class _Calls(Statics):
    """Records a call in the place of making it."""

    def call(self, target: str, *args: Any, **kwargs: Any) -> Any:
        """Record the call of a function."""
        return Called(target, args, kwargs)

    def method(self, handle: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """Record the call of a method."""
        return Called(f"torch.{name}", (handle, *args), kwargs)

    def child(self, target: str, arguments: Mapping[str, Any], *inputs: Any, idle: bool = False) -> Any:
        """Record the module."""
        return Called(target, inputs, dict(arguments), made=True)


GIVEN = object()


def _operation(node: Node, entry: Entry, type_: TensorType, words: Wording) -> Operation | Called:
    """Return the module that does what an operation does."""
    known = statics(node.attributes, entry.all_arguments, words, made=True)
    types = dict.fromkeys(node.inputs, type_)
    try:
        call = entry.lower(_Calls(), {**known, **dict.fromkeys(node.inputs, GIVEN)}, {**node.attributes, **types}, node.outputs)
    except TypeError:
        raise _Unfit from None
    if call is GIVEN:
        return IDENTITY
    if not isinstance(call, Called) or not call.args or call.args[0] is not GIVEN:
        raise _Unfit
    if call.made:
        return Operation(call.target, call.kwargs)
    rest = (*call.args[1:], *call.kwargs.values())
    if any(isinstance(value, (Called, Dim)) or value is GIVEN for value in rest):
        raise _Unfit
    return _class(call) or _function(call)


def _class(call: Called) -> Operation | None:
    """Return the class of torch that is named like a function and made with what the function is given."""
    module, _, name = call.target.rpartition(".")
    found = _classes().get(name.replace("_", ""))
    if found is None:
        return None
    known = [one for one in inspect.signature(getattr(nn, found)).parameters if one != "inplace"]
    arguments = {**dict(zip(known, call.args[1:], strict=False)), **call.kwargs}
    same = module == "torch.nn.functional" or arguments.keys() == set(known)  # what is left out is the same by default
    fits = len(call.args) - 1 <= len(known) and arguments.keys() <= set(known)
    return Operation(f"torch.nn.{found}", arguments) if same and fits else None


def _function(call: Called) -> Called:
    """Return a function of torch, or of the file, with what it is given beside the tensor."""
    try:
        known = call.target.startswith(("torch.", "archloom.")) and callable(imported(call.target))
    except AttributeError:
        known = False
    if not known:
        raise _Unfit
    return Called(call.target, call.args[1:], call.kwargs)


@cache
def _classes() -> dict[str, str]:
    """Return the module classes of torch by their names in small letters."""
    return {name.lower(): name for name, value in vars(nn).items() if isinstance(value, type) and issubclass(value, nn.Module)}
