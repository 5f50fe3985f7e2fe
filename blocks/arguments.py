"""Short constructors of `Argument`, so that the head of a primitive reads as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..dsl.primitive import MISSING, Argument, Inputs, Kind
from ..dsl.types import Axis, TensorType


def tensor(
    name: str, doc: str = "", *, optional: bool = False, literal: bool = False, within: Callable[[Inputs], Axis] | None = None,
    beside: str = "", flat: bool | Callable[[Inputs], bool] = False, fixed: bool = False,
) -> Argument:  # fmt: skip
    """Take a tensor; an `optional` one may be `none` and is by default, a `literal` one may be a number.

    `within` is for positions.  No gradient goes to a `flat` one, which may hang on the other arguments; a `fixed` one may not depend on what is
    trained.
    """
    default = None if optional else MISSING
    return Argument(name, Kind.TENSOR, default, optional=optional, literal=literal, doc=doc, within=within, beside=beside, flat=flat, fixed=fixed)


def is_zero(name: str) -> Callable[[Inputs], bool]:
    """Return the test that an argument is the number 0."""
    return lambda inputs: not isinstance(inputs[name], TensorType) and inputs[name] == 0


def number(name: str, doc: str = "", default: Any = MISSING) -> Argument:
    """Take a tensor or a number."""
    return Argument(name, Kind.TENSOR, default, literal=True, doc=doc, optional=default is None)


def tensors(name: str, doc: str = "") -> Argument:
    """Take a family, a list or several tensors."""
    return Argument(name, Kind.TENSORS, doc=doc)


def integer(name: str, doc: str = "", default: Any = MISSING, *, keyword: bool = False) -> Argument:
    """Take a static whole number."""
    return Argument(name, Kind.INT, default, optional=default is None, keyword=keyword, doc=doc)


def real(name: str, doc: str = "", default: Any = MISSING, *, keyword: bool = False, optional: bool = False) -> Argument:
    """Take a static number; an `optional` one may be `none`, whatever it is by default."""
    return Argument(name, Kind.FLOAT, default, optional=optional or default is None, keyword=keyword, doc=doc)


def flag(name: str, doc: str = "", default: Any = False, *, keyword: bool = False) -> Argument:
    """Take `true` or `false`."""
    return Argument(name, Kind.BOOL, default, keyword=keyword, doc=doc)


def word(name: str, choices: tuple[str, ...], doc: str = "", default: Any = MISSING) -> Argument:
    """Take one of a few words."""
    return Argument(name, Kind.STR, default, optional=default is None, choices=choices, doc=doc)


def text(name: str, doc: str = "") -> Argument:
    """Take a string."""
    return Argument(name, Kind.STR, doc=doc)


def size(name: str, doc: str = "", default: Any = MISSING) -> Argument:
    """Take a static int or a dimension."""
    return Argument(name, Kind.DIM, default, optional=default is None, doc=doc)


def shape(name: str, doc: str = "", default: Any = MISSING) -> Argument:
    """Take a list of sizes."""
    return Argument(name, Kind.SHAPE, default, optional=default is None, doc=doc)


def axes(name: str, doc: str = "", default: Any = MISSING) -> Argument:
    """Take one axis or a list of axes, counted from the end when negative."""
    return Argument(name, Kind.AXES, default, optional=default is None, doc=doc)


def axis(name: str = "dim", doc: str = "", default: Any = MISSING) -> Argument:
    """Take one axis, counted from the end when negative."""
    return Argument(name, Kind.INT, default, optional=default is None, doc=doc)


def ints(name: str, doc: str = "", default: Any = MISSING) -> Argument:
    """Take a static int or a list of them."""
    return Argument(name, Kind.INTS, default, optional=default is None, doc=doc)


def dtype(name: str, doc: str = "", default: Any = MISSING) -> Argument:
    """Take an element type."""
    return Argument(name, Kind.DTYPE, default, optional=default is None, keyword=True, doc=doc)


def init(name: str, doc: str = "") -> Argument:
    """Take an initialiser; `none` leaves what the class of the leaf does."""
    return Argument(name, Kind.INIT, None, optional=True, keyword=True, doc=doc)


def anything(name: str, doc: str = "", default: Any = MISSING) -> Argument:
    """Take any static value."""
    return Argument(name, Kind.ANY, default, optional=default is None, doc=doc)


def axis_sizes(name: str, doc: str = "") -> Argument:
    """Take every further keyword: sizes by the name of an axis of a pattern."""
    return Argument(name, Kind.SIZES, keyword=True, default={}, doc=doc)
