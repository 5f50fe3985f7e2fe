"""What an expression can be while a program is elaborated.

Static values are plain Python: int, float, Fraction, bool, str, None, list, dict, and `Dim` for a size that is not a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from .. import ast
from ..primitive import Initialiser, Primitive
from ..program import Member, Ref
from ..record import entity, record
from ..source import Span
from ..types import Axis, DType, TensorType

if TYPE_CHECKING:
    from .files import File

Value = Any
"""Any of the classes below, or a static value."""


@record
class Tensor:
    """A value of the body being built."""

    ref: Ref
    type: TensorType


@entity
class IndexSet:
    """A finite ordered set.  `declared` holds the members in the set that this one was cut from: positions count there."""

    name: str
    members: tuple[Member, ...]
    declared: tuple[Member, ...]
    parts: Mapping[str, tuple[Member, ...]] = field(default_factory=dict[str, tuple[Member, ...]])

    @staticmethod
    def of(name: str, members: tuple[Member, ...]) -> IndexSet:
        return IndexSet(name, members, members)

    def cut(self, members: tuple[Member, ...], text: str) -> IndexSet:
        """Return the sub-set `members`, whose positions still count in the declared set."""
        return IndexSet(text, members, self.declared)

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[MemberOf]:
        return (MemberOf(self, m) for m in self.members)


_PLACES: dict[int, tuple[tuple[Member, ...], dict[Member, int]]] = {}
_FEW = 32


def place(members: tuple[Member, ...], key: object) -> int | None:
    """Return where a member stands; None for what is none, as a truth.  Large sets are looked up once, not searched."""
    if isinstance(key, bool):
        return None
    if len(members) <= _FEW:
        return members.index(cast("Member", key)) if key in members else None
    found = _PLACES.get(id(members))
    if found is None or found[0] is not members:
        if len(_PLACES) > _FEW:
            _PLACES.clear()
        found = _PLACES[id(members)] = (members, {member: i for i, member in enumerate(members)})
    return found[1].get(cast("Member", key)) if isinstance(key, (int, str, float, tuple)) else None


@entity
class MemberOf:
    """One member, with the set it is read from (a loop's variable, `tasks.depth`)."""

    set: IndexSet
    key: Member

    @property
    def position(self) -> int:
        found = place(self.set.declared, self.key)
        assert found is not None, self.key
        return found


@record
class EnumValue:
    """A member of an enum parameter, `classify`."""

    name: str
    choices: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Family:
    """Values by member of `set`; values may be families again.  `set.members` may hold more than `members`: then it is partial."""

    set: IndexSet
    members: dict[Member, Value]
    name: str = ""
    loop_born: bool = False  # bound inside a loop: read as `x[i]` or `x[*]`, never bare

    def replaced(self, key: Member, value: Value) -> Family:
        return Family(self.set, {**self.members, key: value}, self.name, self.loop_born)


@dataclass(slots=True, eq=False)
class Record:
    """Several named results of one call: `r.y`."""

    fields: dict[str, Value]
    origin: str = ""


@entity
class Template:
    """A block that can still be made: a library or local block, a leaf primitive or an extern, with some arguments given."""

    name: str
    file: File | None
    item: ast.Block | ast.Model | ast.ExternBlock | None
    primitive: Primitive | None
    given: Mapping[str, Value] = field(default_factory=dict[str, Value])
    open: tuple[str, ...] | None = None  # None: not a partial application

    @property
    def key(self) -> tuple[object, ...]:
        return (self.name, id(self.item or self.primitive), freeze(self.given))


@entity
class Unborn:
    """A block with all its arguments, not yet named: naming it makes a module."""

    template: Template
    arguments: Mapping[str, Value]
    span: Span


@entity
class Chain:
    """`Sequential(a, gelu, b)` before it is named: parts are Unborn, Chain or one-argument functions."""

    parts: tuple[Value, ...]
    span: Span


@entity
class Declared:
    """`Parameter([...])` or `Buffer([...])` before it is named."""

    shape: tuple[Axis, ...]
    dtype: DType
    init: Initialiser | None
    buffer: bool
    span: Span


@dataclass(slots=True, eq=False)
class Module:
    """A named module of the body being built.  `argument`: it came in as a module argument, `path` then starts with `@`."""

    path: str
    template: Template
    arguments: Mapping[str, Value]
    span: Span

    @property
    def key(self) -> tuple[object, ...]:
        return ("module", self.template.key, freeze(self.arguments))


@dataclass(slots=True, eq=False)
class ModuleChain:
    """A named Sequential: its parts are modules and functions, called in order."""

    path: str
    parts: tuple[Value, ...]
    span: Span


@entity
class Function:
    """A lower-case operation: a primitive, a builtin or a `fn`, with some keyword arguments given."""

    name: str
    primitive: Primitive | None = None
    file: File | None = None
    item: ast.Fn | ast.ExternFn | None = None
    given: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(slots=True, eq=False)
class TaskScope:
    """The values of a task, read from outside: `understand.logits`; and its outputs."""

    name: str
    names: dict[str, Value]
    span: Span
    outs: dict[str, Value] = field(default_factory=dict[str, Value])


@record
class TypeWord:
    """A dtype used as a value: `float32` in `softmax(x, dtype = float32)`."""

    name: str


@record
class EmptyState:
    """A cache in the plain forward: nothing yet."""

    name: str
    type: TensorType


@record
class LiveState:
    """A cache inside an entry: the tensor that came in, and the state's key."""

    name: str
    tensor: Tensor


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Say whether a value is a list or tuple."""
    return isinstance(value, (list, tuple))


def is_map(value: object) -> TypeGuard[dict[Any, Any]]:
    """Say whether a value is a map."""
    return isinstance(value, dict)


class Poison:
    """Stands for a value whose statement failed; reading it stops the reader without a second report."""

    __slots__ = ()


POISON = Poison()


def freeze(value: Value) -> object:
    """Return a hashable stand-in for a static value, equal for equal values: the key of a memo."""
    handler = _FREEZERS.get(value.__class__)
    return handler(value) if handler else value


def _items(value: Mapping[Any, Value]) -> tuple[object, ...]:
    return tuple((key, freeze(item)) for key, item in value.items())


def _each(value: Sequence[Value]) -> tuple[object, ...]:
    return tuple(freeze(item) for item in value)


def _function(value: Function) -> object:
    return ("function", value.name, id(value.item or value.primitive), _items(value.given))


def _set(value: IndexSet) -> object:
    return ("set", value.name, value.members, value.declared, tuple(value.parts.items()))


_FREEZERS: dict[type, Callable[[Any], object]] = {}
_FREEZERS[float] = lambda v: ("float", repr(v))  # 1.0 and 1 and true are three, 0.0 and -0.0 two
_FREEZERS[bool] = lambda v: ("bool", v)
_FREEZERS[list] = lambda v: ("list", _each(v))
_FREEZERS[tuple] = lambda v: ("tuple", _each(v))
_FREEZERS[dict] = lambda v: ("map", _items(v))
_FREEZERS[IndexSet] = _set
_FREEZERS[MemberOf] = lambda v: ("member", v.key, v.set.name, v.set.declared)
_FREEZERS[Template] = lambda v: ("template", v.key)
_FREEZERS[Unborn] = lambda v: ("unborn", v.template.key, _items(v.arguments))
_FREEZERS[Module] = lambda v: v.key
_FREEZERS[Function] = _function
_FREEZERS[Initialiser] = lambda v: ("init", v.name, _items(v.arguments))
_FREEZERS[Chain] = lambda v: ("chain", _each(v.parts))


def describe(value: Value) -> str:
    """Say in a few words what a value is, for messages."""
    if isinstance(value, Tensor):
        return f"a tensor `{value.type}`"
    if isinstance(value, Family):
        return f"a family over `{value.set.name}`"
    if isinstance(value, MemberOf):
        return f"the member `{value.key}` of `{value.set.name}`"
    if isinstance(value, IndexSet):
        return f"the index set `{value.name}`"
    if isinstance(value, EnumValue):
        return f"the choice `{value.name}`"
    if value is None:
        return "`none`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'the string "{value}"'
    if is_list(value):
        return "a list"
    words: dict[type, str] = {
        dict: "a map", Record: "a record of several results", Template: "a block that isn't made yet", Unborn: "a block that isn't called yet",
        Module: "a module", ModuleChain: "a module", Chain: "a block that isn't called yet", Function: "an operation", TaskScope: "a task",
        Declared: "a parameter without a name",
    }  # fmt: skip
    return words.get(value.__class__, f"`{value}`")
