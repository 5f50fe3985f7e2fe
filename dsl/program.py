"""The elaborated program: what a file means, with types, as data.  The compiler builds its graph from it.

A `Body` is one elaborated block (one for each combination of static arguments, input types and mode); calls point to bodies, so a
thousand equal layers are one body and a thousand call nodes.  Paths are relative to the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .dims import Dim, Symbol
from .facts import Relation
from .plans import GoldenPlan, StagePlan, WeightMap
from .primitive import Initialiser, Primitive
from .record import record
from .source import Span
from .types import Axis, DType, SetAxis, TensorType

Member = int | str | float | tuple[object, ...]
"""A member of an index set."""


@record
class Ref:
    """Output `index` of node number `node` of the same body."""

    node: int
    index: int = 0

    def __hash__(self) -> int:
        return self.node << 8 ^ self.index  # the shared hash makes a tuple first, and references are what walks over bodies keep


Operand = Ref | tuple[Ref, ...] | None


class NodeKind(Enum):
    INPUT = "input"  # target: flat input name, `x` or `x.understand`
    DRAW = "draw"  # target: name; an optional input, else drawn: attributes["distribution"] is an Initialiser-like value
    STATE = "state"  # target: name; a cache coming in
    PARAMETER = "parameter"  # target: path of a parameter or buffer read as a value (own, or of a sub-module: `tower.table`)
    CONSTANT = "constant"  # attributes["value"]: int, float or bool
    OPERATION = "operation"  # target: primitive name
    LEAF = "leaf"  # target: path of a leaf module of this body (or `@name...` for a module argument)
    EXTERN = "extern"  # the body of an extern block: target is the output's name, the wrapped module computes it
    DERIVED = "derived"  # made by passes: computed from parameters alone; attributes["recipe"] is a Recipe
    NORMS = "norms"  # made by passes: batch norms at attributes["modules"], the first of them the target, each of its part of the channels of `x`
    CALL = "call"  # target: path of a block instance of this body (or `@name...`); body: what is called

    __hash__ = object.__hash__  # members are compared by identity, and an enum's own hash is a call of Python


@record
class Part:
    """A place in the call of a Sequential: its path, and the places of the part, those of Sequentials inside it too."""

    path: str
    places: tuple[int, ...]


class Recording(Enum):
    """What is kept of a step for the backward pass."""

    NOTHING = "unrecorded"  # no gradient goes through it
    INPUTS = "recomputed"  # what it is computed from: it is computed again


@record
class Region:
    """Steps that stand one after another and are recorded together, otherwise than the rest; `number` tells those of a body apart."""

    recording: Recording
    number: int

    def __str__(self) -> str:
        return f"{self.recording.value} {self.number}"


@dataclass(slots=True, eq=False)
class Node:
    """One step.  Not changed once its body is finished."""

    kind: NodeKind
    target: str
    inputs: dict[str, Operand]
    attributes: dict[str, Any]
    outputs: tuple[TensorType, ...]
    span: Span
    name: str = ""  # the name that the text gives the value, for readable code
    primitive: Primitive | None = None
    body: Body | None = None
    part: Part | None = None  # where it stands in a Sequential
    region: Region | None = None  # set by passes: how it is recorded, where that isn't as ever

    @property
    def is_handed_in(self) -> bool:
        """True for what a call of the body may hand in: an input, a cache, a draw (which is made in the body where none is given)."""
        return self.kind is NodeKind.INPUT or self.kind is NodeKind.STATE or self.kind is NodeKind.DRAW


@record
class ParameterDecl:
    """A tensor that this body owns directly: `Parameter(...)` or `Buffer(...)`."""

    path: str
    shape: tuple[Axis, ...]
    dtype: DType
    init: Initialiser | None
    buffer: bool
    span: Span
    name: str = ""  # the path's word, before its members
    members: tuple[Member, ...] = ()
    sets: tuple[SetAxis, ...] = ()  # the declared index set of each member
    task: str | None = None  # the task whose braces it was born in


@dataclass(slots=True, eq=False)
class ModuleDecl:
    """A module born in this body: a leaf (`primitive`, `arguments`) or a block instance (`bodies`: one for each way it is called).

    `modules` maps the names of module parameters of the block to module paths of this body (`router = router`).
    """

    path: str
    name: str
    members: tuple[Member, ...]
    span: Span
    kind: str  # the block's or primitive's name
    arguments: Mapping[str, Any]
    primitive: Primitive | None = None
    bodies: list[Body] = field(default_factory=list["Body"])
    modules: Mapping[str, str] = field(default_factory=dict[str, str])
    task: str | None = None  # the task whose braces it was born in
    extern: str | None = None  # "package.module:Class"
    sets: tuple[SetAxis, ...] = ()  # the declared index set of each member


@record
class InputDecl:
    """An input of a body; `members` when it belongs to a family."""

    name: str
    members: tuple[Member, ...]
    type: TensorType
    node: int
    span: Span
    role: Any = None  # as picture(...), as tokens(...): a Role
    range: tuple[int | Dim, int | Dim] | None = None  # lowest value and one past the highest
    task: str | None = None  # the task whose braces declare it
    is_target: bool = False
    optional: bool = False  # may be absent in a call: draws, and inputs under `given(...)`
    is_state: bool = False  # a cache handed in

    @property
    def key(self) -> str:
        return ".".join([self.name, *map(str, self.members)]) if self.members else self.name

    @property
    def path(self) -> str:
        """The key, behind the task that declares it: what tells inputs of one name apart."""
        return f"{self.task}.{self.key}" if self.task else self.key


@record
class Role:
    """`as picture(mean = 0.5, std = 0.5)`, `as tokens(vocab)`."""

    name: str
    arguments: Mapping[str, Any]


@record
class OutputDecl:
    name: str
    members: tuple[Member, ...]
    ref: Ref
    span: Span
    task: str | None = None
    entry: str | None = None


@record
class LossDecl:
    """A scalar; `path` is `text` in its own body, `layer.3.balance` seen from a caller; `weight` is the leading static factor
    (already multiplied into the value)."""

    path: str
    ref: Ref
    weight: float
    span: Span
    task: str | None = None


@record
class UpdateDecl:
    """`update path = value`: copied into the buffer after the outputs, in training."""

    path: str
    ref: Ref
    span: Span


@record
class StateDecl:
    name: str
    members: tuple[Member, ...]
    type: TensorType
    node: int
    result: Ref
    grows: int | None  # the axis along which it is appended to
    span: Span

    @property
    def key(self) -> str:
        return ".".join([self.name, *map(str, self.members)]) if self.members else self.name


@record
class Condition:
    """What must hold at run time and could not be decided: `text` prints it (`H % 16 == 0`)."""

    kind: Relation  # "==", ">=", "!=", or "divides": left divides right
    left: int | Dim
    right: int | Dim
    span: Span
    reason: str
    given: bool = False  # True: stated by a `require` of the model (a fact to check at the border)
    module: str | None = None  # path of the module that asks for it while it is in training mode; None: it must always hold

    @property
    def text(self) -> str:
        when = "" if self.module is None else " in training"
        if self.kind == "divides":
            number, divisor = (str(side) if isinstance(side, int) or side.symbol is not None else f"({side})" for side in (self.right, self.left))
            return f"{number} % {divisor} == 0{when}"
        flipped = self.kind == ">=" and isinstance(self.left, int)
        return f"{self.right} <= {self.left}{when}" if flipped else f"{self.left} {self.kind} {self.right}{when}"


@record
class Freeze:
    """Module, parameter or family paths (patterns resolved to parameter paths at the model) frozen for good."""

    path: str
    span: Span


@record
class ClaimPart:
    """One side of an open claim: a value of the body, or (a path) the tensors at and below a parameter or module of it.

    `items` are the entries of a tensor index, as the primitive `index` takes them; none for the whole.
    """

    source: Ref | str
    items: tuple[Any, ...]
    span: Span

    @property
    def text(self) -> str:
        return self.span.text


@record
class Claim:
    """`assert y[:, 0] ignores x[:, 1:]`: about parts of tensors, so that no path between values decides it.  It is open until it is
    tested on values, in every call of its body."""

    relation: str  # ignores or uses
    value: ClaimPart
    others: tuple[ClaimPart, ...]  # those that a path leads from; of a family that is used, one is enough
    span: Span

    @property
    def text(self) -> str:
        return self.span.text.removeprefix("assert").strip()


@dataclass(slots=True, eq=False)
class Body:
    """One elaborated block.  A CALL node's outputs are this body's outputs, then its losses, then its states' results, in order."""

    name: str
    span: Span
    training: bool
    nodes: list[Node] = field(default_factory=list[Node])
    inputs: list[InputDecl] = field(default_factory=list[InputDecl])
    outputs: list[OutputDecl] = field(default_factory=list[OutputDecl])
    losses: list[LossDecl] = field(default_factory=list[LossDecl])
    updates: list[UpdateDecl] = field(default_factory=list[UpdateDecl])
    states: list[StateDecl] = field(default_factory=list[StateDecl])
    parameters: dict[str, ParameterDecl] = field(default_factory=dict[str, ParameterDecl])
    modules: dict[str, ModuleDecl] = field(default_factory=dict[str, ModuleDecl])
    symbols: dict[str, Symbol] = field(default_factory=dict[str, Symbol])
    conditions: list[Condition] = field(default_factory=list[Condition])
    families: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict[str, tuple[tuple[str, ...], ...]])
    frozen: list[Freeze] = field(default_factory=list[Freeze])
    ties: list[tuple[str, str, Span]] = field(default_factory=list[tuple[str, str, Span]])
    differs_in_entries: bool = False  # it has caches or losses, itself or below
    uses_training: bool = False  # its meaning depends on the mode: then `train` and `eval` bodies differ
    names: Mapping[str, Any] = field(default_factory=dict[str, Any])  # what the text's names mean at its end, as the elaborator has them
    is_partial: bool = False  # some arm of it isn't taken with these arguments
    absent: dict[str, set[str]] = field(default_factory=dict[str, set[str]])  # by name: kinds of statements that don't run with these arguments
    absent_below: dict[str, set[str]] = field(default_factory=dict[str, set[str]])  # the same of what is in the blocks that these would make
    doc: str | None = None
    claims: list[Claim] = field(default_factory=list[Claim])
    found: dict[Any, Any] = field(init=False, default_factory=dict[Any, Any])  # what was found out about it once it was whole, by what was asked

    def type(self, ref: Ref) -> TensorType:
        return self.nodes[ref.node].outputs[ref.index]


@dataclass(slots=True, eq=False)
class Recipe:
    """How a DERIVED value is computed: a body of PARAMETER and OPERATION nodes with one output, its paths relative to the body that reads it.

    A `packed` one only puts its parameters side by side, each whole and once, so that they can live in one storage.
    """

    body: Body
    packed: bool

    @property
    def paths(self) -> tuple[str, ...]:
        """The parameters and buffers that it reads, in order."""
        return tuple(node.target for node in self.body.nodes if node.kind is NodeKind.PARAMETER)


@dataclass(slots=True, eq=False)
class EntryPlan:
    name: str
    eval: Body
    train: Body | None


@dataclass(slots=True, eq=False)
class Program:
    """A checked model: bodies for evaluation and (when its meaning depends on the mode) training, and all that is said about it."""

    name: str
    eval: Body
    train: Body | None
    tasks: tuple[str, ...]
    stages: dict[str, StagePlan]
    weights: dict[str, WeightMap]
    entries: dict[str, EntryPlan]
    arguments: Mapping[str, Any]
    presets: dict[str, dict[str, int]]  # by name: what the preset counts, by selectors as written; of each one that was elaborated
    goldens: dict[str, GoldenPlan]
    renamed: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    doc: str | None = None
    open_in_presets: dict[str, list[Claim]] = field(default_factory=dict[str, list[Claim]])  # what other presets claim of parts of tensors
    variants: dict[str, EntryPlan] = field(default_factory=dict[str, EntryPlan])  # by stage: its own bodies, where it `set`s other arguments
    counts: dict[str, int] = field(default_factory=dict[str, int])  # by selectors, as written: the parameters that the model itself counts
    preset: str | None = None  # the one that gave the arguments
    golden: str | None = None  # the one that gave them, from the configuration of a case
    only_evaluates: bool = False  # passes have made it so: it has no training body, no stages and no losses
    dropped: tuple[str, ...] = ()  # paths of tensors that passes have left out, and of extern modules: a state dict may still hold them
    original: Program | None = None  # what the text says, where passes have changed it

    @property
    def training(self) -> Body:
        """The body used in train mode."""
        return self.train or self.eval
