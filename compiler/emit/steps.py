"""What a function does, step by step, before it is text: values refer to the steps that make them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ...dsl.record import record
from .terms import NOTHING, Wording


class Hole(int):
    """A number of the text that may become a parameter of the class; `words` are the terms of the statement it stands in,
    `made` tells that a module is made with it, `argument` for which argument.

    `group` is shared by the sizes of a view, of which torch finds one by itself.
    """

    words: Wording
    made: bool
    argument: str
    group: object

    def __new__(cls, value: int, words: Wording = NOTHING, made: bool = False, argument: str = "", group: object = None) -> Hole:
        hole = super().__new__(cls, value)
        hole.words, hole.made, hole.argument, hole.group = words, made, argument, group
        return hole


class Real(float):
    """A number with a fraction, as `Hole` for whole ones."""

    words: Wording
    made: bool
    argument: str

    def __new__(cls, value: float, words: Wording = NOTHING, made: bool = False, argument: str = "") -> Real:
        real = super().__new__(cls, value)
        real.words, real.made, real.argument = words, made, argument
        return real


class Listed(tuple[Any, ...]):
    """Several numbers, as `Hole` for one: the value of a parameter that is a list or a map."""

    value: Any
    words: Wording
    made: bool
    argument: str

    def __new__(cls, value: tuple[Any, ...], words: Wording = NOTHING, made: bool = False, argument: str = "") -> Listed:
        found = super().__new__(cls, value)
        found.value, found.words, found.made, found.argument = value, words, made, argument
        return found


Number = Hole | Real | Listed


@record
class Text:
    """Python that is written as it is: `torch.int64`."""

    text: str


@record
class Member:
    """A member of a family in an index or a key; loops are found by these.  In a key `before` and `rest` stand around it:
    `f"{task}.error"`."""

    value: int | str | tuple[object, ...] | Text
    count: int = 0  # how many members the family has
    place: int = -1  # where it stands among them
    rest: str = ""
    before: str = ""


@record
class Access:
    """The way to a module or tensor: words and members after `self`, or after the name of a module that was handed in."""

    parts: tuple[str | Member | Text, ...]
    base: str = "self"


@dataclass(slots=True, eq=False)
class Step:
    """One call.  `kind` is call, method, module, operator, item (one of several results), index, input or value; family (a dict or list of
    values), element (one of these), whole (a parameter with all its members) or trained (one value in training, another in evaluation)."""

    kind: str
    target: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    name: str = ""  # the name that the text gives the value
    effect: bool = False  # draws or updates: the order of such steps is kept
    line: int = 0
    guard: tuple[str, ...] = ()  # flat names of targets without which it isn't computed
    label: str = ""  # the name for a value that needs one and has none in the text


@dataclass(slots=True, eq=False)
class Store:
    """An assignment to a place, or a statement: `outputs[...] = value`, a buffer's update."""

    form: tuple[str | Member, ...]  # text before the value
    value: Any
    kind: str = "store"  # store, state: a cache as it is now, or update: copied into a buffer in training
    guard: tuple[str, ...] = ()


def read_steps(value: Any) -> Iterator[Step]:
    """Yield the steps that a value, or what holds several, refers to."""
    if isinstance(value, Step):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in cast("Sequence[Any]", value):
            yield from read_steps(item)
    elif isinstance(value, dict):
        yield from read_steps(list(cast("dict[Any, Any]", value).values()))
    elif isinstance(value, slice):
        bounds = cast("slice[Any, Any, Any]", value)
        yield from read_steps((bounds.start, bounds.stop, bounds.step))


def inputs_of(step: Step | Store) -> list[Step]:
    """Return the steps that a step reads."""
    if isinstance(step, Store):
        return list(read_steps(step.value))
    target = [step.target] if isinstance(step.target, Step) else []
    return [*target, *read_steps(step.args), *read_steps(step.kwargs)]


def bearers(step: Step) -> list[Step]:
    """Return the steps behind one: traits, elements and values of modules stand where they are read."""
    if step.kind in ("trait", "element", "whole", "trained"):
        return [bearer for arg in read_steps(step.args) for bearer in bearers(arg)]
    return [] if step.kind in ("value", "name") else [step]
