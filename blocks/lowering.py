"""How a primitive becomes calls of torch, as data: dotted names and where each argument goes.

Nothing here imports torch.  The compiler implements `LoweringBuilder` (over torch.fx, or over source text); a test may implement
it by calling torch at once.  A `Lowering` is asked to `lower(builder, given)` and returns a handle, or a tuple of handles for
several results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from fractions import Fraction
from typing import Any, Protocol, cast

from ..dsl.dims import Dim
from ..dsl.primitive import Inputs
from ..dsl.record import record
from ..dsl.types import DType, SetAxis, TensorType

COMPOSITES = "archloom.compiler.runtime.composites"
"""Where the operations are written that torch has no single function for."""

Handle = Any
"""What a builder returns for a value: an fx node, a name in source text, a tensor.  Never looked into here."""


class LoweringBuilder(Protocol):
    """What the compiler offers to lowerings.  Arguments are handles, plain Python values, and lists, tuples and slices of both."""

    def call(self, target: str, *args: Any, **kwargs: Any) -> Handle:
        """Call the function with the dotted name `target` (`torch.softmax`, `operator.add`)."""
        ...

    def method(self, handle: Handle, name: str, *args: Any, **kwargs: Any) -> Handle:
        """Call a method of a value."""
        ...

    def item(self, handle: Handle, index: int) -> Handle:
        """Return one of several results of a call."""
        ...

    def dim(self, extent: int | Dim) -> Any:
        """Return a size: an int as it is, a symbolic one as a handle of the run-time size."""
        ...

    def dtype(self, dtype: DType) -> Any:
        """Return the torch dtype; `float` is the compile dtype."""
        ...

    def device(self) -> Any:
        """Return the device on which new tensors are made."""
        ...

    def child(self, target: str, arguments: Mapping[str, Any], *inputs: Handle, idle: bool = False) -> Handle:
        """Call an own module without parameters, an instance of the class `target` made with `arguments`, that knows the mode.

        One that is `idle` gives its first input as it is, and may be left out.
        """
        ...


@record
class Given:
    """One use of a primitive: handles and statics by argument name, the types inferred from, and the result types."""

    values: Mapping[str, Any]
    types: Inputs
    outputs: tuple[TensorType, ...]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def type(self, name: str) -> TensorType:
        """Return the type of a tensor argument that is known to be one."""
        return self.types[name]

    def shape(self, name: str) -> tuple[int | Dim, ...]:
        """Return the sizes of a tensor argument."""
        return sizes(self.types[name])


def sizes(type_: TensorType) -> tuple[int | Dim, ...]:
    """Return a type's shape with index sets as their sizes."""
    return tuple(axis.size if isinstance(axis, SetAxis) else axis for axis in type_.shape)


Expand = Callable[[LoweringBuilder, Given], Any]


class Lowering(Protocol):
    """One way to express a primitive in torch."""

    def lower(self, builder: LoweringBuilder, given: Given) -> Any: ...


@record
class Const:
    """A fixed value in a template."""

    value: Any


@record
class Omit:
    """An argument left out when it has the value that torch takes by default: shorter code."""

    name: str
    default: Any


@record
class Listed:
    """An int or several as a list."""

    name: str


Slot = str | Const | Omit | Listed
"""Where a value in a template comes from: the name of an argument, or one of the classes above."""


def static(builder: LoweringBuilder, value: Any) -> Any:
    """Turn a static value into what torch takes: sizes, dtypes and fractions, also inside lists and slices."""
    if isinstance(value, (Dim, SetAxis)):
        return builder.dim(value.size if isinstance(value, SetAxis) else value)
    if isinstance(value, DType):
        return builder.dtype(value)
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else float(value)
    if isinstance(value, (list, tuple)):
        return [static(builder, item) for item in cast("Sequence[Any]", value)]
    return value


@record
class _Template:
    target: str
    positional: tuple[Slot, ...]
    keywords: Mapping[str, Slot]

    def fill(self, builder: LoweringBuilder, given: Given) -> tuple[list[Any], dict[str, Any]]:
        def value(slot: Slot) -> Any:
            if isinstance(slot, Const):
                return slot.value
            if isinstance(slot, Listed):
                found = given[slot.name]
                return [found] if isinstance(found, int) else list(found)
            return static(builder, given[slot.name if isinstance(slot, Omit) else slot])

        def dropped(slot: Slot) -> bool:
            return isinstance(slot, Omit) and _same(given[slot.name], slot.default)

        args = [value(s) for s in self.positional if not dropped(s)]
        return args, {k: value(s) for k, s in self.keywords.items() if not dropped(s)}


def _same(value: Any, default: Any) -> bool:
    """Compare with a default by type as well: `True` is not `1`, and a handle is never asked whether it equals a number."""
    return value is default or (type(value) is type(default) and value == default)


@record
class Call(_Template):
    """A function: `call("torch.softmax", "x", dim="dim")`."""

    def lower(self, builder: LoweringBuilder, given: Given) -> Any:
        args, kwargs = self.fill(builder, given)
        return unpack(builder, builder.call(self.target, *args, **kwargs), given)


@record
class Method(_Template):
    """A method of the first positional argument: `method("transpose", "x", "a", "b")`."""

    def lower(self, builder: LoweringBuilder, given: Given) -> Any:
        (handle, *args), kwargs = self.fill(builder, given)
        return unpack(builder, builder.method(handle, self.target, *args, **kwargs), given)


@record
class Expansion:
    """Several calls, made by a plain function."""

    function: Expand

    def lower(self, builder: LoweringBuilder, given: Given) -> Any:
        return self.function(builder, given)


@record
class LeafModule:
    """A module class with parameters: `target` is made with `arguments` and called with `inputs`, at the place where it is named."""

    target: str
    arguments: Mapping[str, Slot] = field(default_factory=dict[str, Slot])
    inputs: tuple[str, ...] = ("x",)

    def constructor(self, builder: LoweringBuilder, given: Given) -> dict[str, Any]:
        """Return the keyword arguments of the class."""
        return _Template(self.target, (), self.arguments).fill(builder, given)[1]

    def lower(self, builder: LoweringBuilder, given: Given) -> Any:
        """Call the module as a child; a compiler that places leaf modules itself uses `constructor` and `inputs`."""
        return builder.child(self.target, self.constructor(builder, given), *(given[name] for name in self.inputs))


@record
class Child(LeafModule):
    """A module class without parameters that depends on the mode (dropout), made for an operation."""


def unpack(builder: LoweringBuilder, handle: Handle, given: Given) -> Any:
    """Return one handle for each result, or the handle itself for a single one."""
    count = len(given.outputs)
    return handle if count == 1 else tuple(builder.item(handle, i) for i in range(count))


def call(target: str, *positional: Slot, **keywords: Slot) -> Call:
    """Lower to a call of the function `target`; strings name arguments."""
    return Call(target, positional, keywords)


def method(name: str, *positional: Slot, **keywords: Slot) -> Method:
    """Lower to a method of the first argument."""
    return Method(name, positional, keywords)


def module(target: str, *inputs: str, **arguments: Slot) -> LeafModule:
    """Lower to a leaf module of the class `target`, called with `inputs` (`x` when none is given)."""
    return LeafModule(target, arguments, inputs or ("x",))


def child(target: str, *inputs: str, **arguments: Slot) -> Child:
    """Lower to a module without parameters that knows the mode."""
    return Child(target, arguments, inputs or ("x",))


def expand(function: Expand) -> Expansion:
    """Lower by a function that makes several calls."""
    return Expansion(function)
