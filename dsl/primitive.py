"""What the language asks of a primitive operation and of the library that holds them.

`blocks` implements these protocols; the elaborator only sees them.  A primitive is an operation (`softmax`, lower case, called
once) or a leaf module (`Linear`, capital, made with statics and then called; it owns parameters and buffers).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

from .dims import Dim
from .record import entity, record
from .source import Source, Span
from .types import Axis, DType, TensorType

Inputs = Mapping[str, Any]
"""Bound arguments by name: TensorType for TENSOR (None when optional and absent), tuple of TensorType for TENSORS, statics else."""


@entity
class Numbers:
    """Whole numbers that a tensor may hold, each of them: from `low` up to `high`, which is one past the highest."""

    low: int | Dim
    high: int | Dim
    said: Span | None = None  # where the text says so
    fixed: bool = False  # they stand at places of their own, as a count's: a part of the tensor holds some of them alone


@record
class Grid:
    """A tensor of whole numbers that are known while the text is read, in the order of its axes."""

    shape: tuple[int, ...]
    values: Sequence[int]


ExactRule = Callable[[Inputs, tuple[int, ...]], Sequence[int] | None]
"""Every element of a result of some shape, by the arguments, tensors among them as a Grid; None where that is open."""


ValueRule = Callable[[Inputs, Mapping[str, tuple[Numbers, ...]]], tuple[Numbers, ...]]
"""What whole numbers a result may hold, by the arguments and by what those hold; nothing where that is open."""


class Kind(Enum):
    """What an argument of a primitive takes."""

    TENSOR = "tensor"  # a value; a static number is lifted to a constant where `literal` allows it
    TENSORS = "tensors"  # a family, a list or a comprehension of values
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    STR = "str"
    DIM = "dim"  # a static int or a symbolic dimension
    SHAPE = "shape"  # a list of DIM and index sets
    AXES = "axes"  # an int or a list of ints, negative from the end
    INTS = "ints"  # an int or a list of ints
    DTYPE = "dtype"
    INIT = "init"  # an initialiser: `zeros`, `normal(std = 0.02)`, a number
    SET = "set"  # an index set
    SIZES = "sizes"  # every keyword that is no other argument: a map from its name to a DIM (`h = heads` in `rearrange`)
    ANY = "any"  # any static value

    __hash__ = object.__hash__  # members are compared by identity, and an enum's own hash is a call of Python


@record
class Missing:
    """Marks an argument without a default."""


MISSING = Missing()


@record
class Argument:
    """One argument: `optional` ones also take `none`; `keyword` ones must be named."""

    name: str
    kind: Kind
    default: Any = MISSING
    optional: bool = False
    keyword: bool = False
    literal: bool = False
    choices: tuple[str, ...] = ()
    doc: str = ""
    within: Callable[[Inputs], Axis] | None = None  # of a tensor of positions: how many there are; it holds numbers from 0 up to that
    flat: bool | Callable[[Inputs], bool] = False  # no gradient goes to it: the result doesn't change with it, or only in steps
    fixed: bool = False  # torch refuses to differentiate by it
    beside: str = ""  # the argument that names one number more which it may hold
    chooses: tuple[str, ...] = ()  # of truths: the arguments that the result's elements come from, the first where it is true

    def is_flat(self, inputs: Inputs) -> bool:
        """Tell whether no gradient goes to it in a call with all of these arguments."""
        return self.flat if isinstance(self.flat, bool) else self.flat(inputs)


@record
class Initialiser:
    """`normal(std = 0.02)`: a name of the table of initialisers and its numbers."""

    name: str
    arguments: Mapping[str, Any]


@record
class ParameterSpec:
    """A tensor that a leaf module owns."""

    name: str
    shape: tuple[Axis, ...]
    dtype: DType = DType.FLOAT
    init: Initialiser | None = None  # None: what the leaf's own class does
    buffer: bool = False


@record
class Cost:
    """FLOPs (a multiply-add is 2) and bytes moved (inputs + outputs + parameters read, at 4 bytes a float), as dimensions."""

    flops: int | Dim = 0
    bytes: int | Dim = 0


class Rule(Protocol):
    """What a shape rule may ask and say.  Every comparison of sizes goes through it, so that the trail and the conditions are kept
    and so that the same rules can be run on tagged widths later."""

    def same(self, given: Axis, expected: Axis, what: str) -> Axis:
        """Return the common axis, or report `what` (for instance "the last axis of `x` and `din`"); an index set serves as a number
        where a number is expected."""
        ...

    def compare(self, given: Axis, expected: Axis) -> bool | None:
        """Say whether `same` would hold (True), fail (False), or keep a condition (None); reports nothing."""
        ...

    def broadcast(self, shapes: Sequence[tuple[Axis, ...]], what: str = "the operands") -> tuple[Axis, ...]:
        """Align shapes from the right; a literal 1 stretches, a symbol never does."""
        ...

    def divide(self, size: Axis, by: Axis, what: str) -> int | Dim:
        """Return the exact quotient, recording the divisibility as a condition if it isn't proved."""
        ...

    def whole(self, size: Axis, what: str) -> None:
        """Require an exact quotient to be a whole number."""
        ...

    def reaches(self, size: Axis, least: Axis) -> bool | None:
        """Say whether `at_least` would hold (True), fail (False), or keep a condition (None); reports nothing."""
        ...

    def at_least(self, size: Axis, least: Axis, what: str) -> None:
        """Require `size >= least`."""
        ...

    def learns_from(self, size: Axis, least: Axis, what: str) -> None:
        """Require `size >= least` of a leaf module in training; one that is frozen runs with less."""
        ...

    def axis(self, index: int, rank: int, what: str = "dim") -> int:
        """Return a dimension number made non-negative, reporting one out of range."""
        ...

    def fail(self, message: str, help: str | None, code: str) -> RuleFailure:
        """Return the exception to raise: the operation is wrong whatever the sizes."""
        ...

    def dtype(self, value: TensorType, allowed: Sequence[DType] | str, what: str) -> DType:
        """Report a dtype outside `allowed` ("float", "int", "bool", "number" or a list)."""
        ...


class RuleFailure(Exception):
    """Raised by a shape rule (through `Rule.fail`) and turned into a diagnostic by the elaborator; never leaves it."""

    def __init__(self, message: str, help: str | None, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.code = code


class Primitive(Protocol):
    """A typed operation or leaf module."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> tuple[Argument, ...]:
        """For an operation its arguments; for a leaf module the static ones with which it is made."""
        ...

    @property
    def call(self) -> tuple[Argument, ...]:
        """For a leaf module the arguments of its call; empty for an operation."""
        ...

    @property
    def is_leaf(self) -> bool: ...
    @property
    def is_random(self) -> bool:
        """True where two calls with equal arguments may differ (dropout, draws): never merged or folded."""
        ...

    @property
    def results(self) -> tuple[str, ...]:
        """Names of the fields when there are several results (`values`, `indices`); empty for one."""
        ...

    @property
    def values(self) -> ValueRule | None:
        """What whole numbers its results may hold; None where nothing is known of them."""
        ...

    @property
    def exact(self) -> ExactRule | None:
        """Each of its result's whole numbers, where those of its operands are known; None where nothing is."""
        ...

    def infer(self, rule: Rule, inputs: Inputs) -> TensorType | tuple[TensorType, ...]:
        """Return the result type(s); `inputs` holds making and calling arguments together."""
        ...

    def parameters(self, inputs: Inputs) -> tuple[ParameterSpec, ...]:
        """Return the tensors a leaf module owns, from its making arguments."""
        ...

    def cost(self, inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost: ...


class Library(Protocol):
    """Where primitives and library files are found."""

    def primitive(self, name: str) -> Primitive | None: ...
    def primitive_names(self) -> Sequence[str]: ...
    def initialisers(self) -> Mapping[str, tuple[Argument, ...]]:
        """The table of initialisers with their arguments."""
        ...

    def unfit(self, initialiser: str, shape: Sequence[Axis], dtype: DType) -> str | None:
        """Say why an initialiser can't fill such a tensor; None where it can."""
        ...

    def load(self, module: tuple[str, ...]) -> Source | None:
        """Return the text of a library file, `("norm",)` for `blocks/norm.arch`."""
        ...

    def modules(self) -> Sequence[str]:
        """Dotted names of all library files."""
        ...

    def offers(self, name: str) -> Sequence[str]:
        """Dotted names of the blocks and functions of the library's files that are called so."""
        ...
