"""Builds one body: nodes in order, and what they declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..facts import Facts
from ..primitive import Primitive
from ..program import Body, Condition, ModuleDecl, Node, NodeKind, Operand, Ref, StateDecl
from ..source import Span
from ..types import DType, TensorType
from .context import Context, fail
from .values import Tensor


class Builder:
    """The body at hand, its facts about sizes, and counters for names."""

    def __init__(self, context: Context, name: str, span: Span) -> None:
        self.context = context
        self.body = Body(name, span, context.training)
        self.facts = Facts()
        self.constants: dict[object, Tensor] = {}
        self.calls: dict[str, int] = {}
        self.given: Mapping[str, Any] | None = None  # types of the call's inputs; None at a model's border
        self.declared: set[tuple[str, str | None]] = set()  # keys of inputs, with the task that declares them
        self.written: set[tuple[str, str]] = set()  # losses, updates and entries, by what they are and their path
        self.module_arguments: dict[str, Any] = {}
        self.preset: Any = None
        self.arguments: Mapping[str, Any] = {}  # of a model: the values of its parameters, whose names its body may bind anew
        self.explicit: Mapping[str, Any] = {}  # a model's arguments that its caller gave; a stage may set others
        self.conditions: set[tuple[object, ...]] = set()
        self.state_places: dict[str, int] = {}  # by key: where a state stands in the body's
        self.used: set[str] = set()
        self.stems: set[str] = set()  # what the paths of modules and parameters lie below
        self.task: str | None = None
        self.model = False
        self.anonymous = 0
        self.slot: str | None = None  # the name that a block made and called in one breath may take
        self.tasks: dict[str, Any] = {}
        self.outs: dict[str, Any] = {}
        self.read: set[str] = set()
        self.words: dict[str, Span] = {}  # statement words that were bound as values
        self.ellipsis: tuple[Any, ...] | None = None
        self.counts: dict[str, int] = {}  # what `params` of each text gave
        self.borrowed: dict[str, list[Body]] = {}  # how modules that came as arguments are called here
        self.inline = False  # inside a `fn`, whose `out`s are values of the caller
        self.overrides: dict[str, Any] = {}  # inputs that the entry at hand declares anew
        self.model_body: Body | None = None  # for an entry: the model's own, which calls what the entry may only look into
        self.maps: list[Any] = []  # maps whose index set is not declared yet
        self.poisoned = False  # some statement failed
        self.asserts: list[tuple[Any, Any]] = []
        self.sides: dict[object, Any] = {}  # what claims about the whole body name, by their text and their loops' variables
        self.entries: list[Any] = []
        self.selected: list[tuple[str, Any, Any]] = []  # freeze, tie and renamed: what to resolve when the body is whole

    def node(
        self,
        kind: NodeKind,
        target: str,
        inputs: dict[str, Operand],
        attributes: dict[str, Any],
        outputs: tuple[TensorType, ...],
        span: Span,
        primitive: Primitive | None = None,
        body: Body | None = None,
    ) -> int:
        """Append a node and return its number."""
        self.context.count_node(span)
        self.context.step(span, 3)
        self.body.nodes.append(Node(kind, target, inputs, attributes, outputs, span, "", primitive, body))
        return len(self.body.nodes) - 1

    def tensor(self, number: int, index: int = 0) -> Tensor:
        return Tensor(Ref(number, index), self.body.nodes[number].outputs[index])

    def constant(self, value: Any, dtype: DType, span: Span) -> Tensor:
        """Return a node for a number, one for each value and dtype."""
        key: tuple[object, ...] = (value.__class__, value, dtype)
        found = self.constants.get(key)
        if found is None:
            number = self.node(NodeKind.CONSTANT, "", {}, {"value": value}, (TensorType(dtype, ()),), span)
            found = self.constants[key] = self.tensor(number)
        return found

    def owner(self, what: str, span: Span) -> None:
        """Refuse what only blocks and models have, inside a `fn`."""
        if self.inline:
            fail("A217", f"a `fn` has no {what} of its own", span, "make it a `block`: what it owns gets a path by its name")

    def is_new(self, what: str, path: str) -> bool:
        """Keep that something is declared; False where it was already."""
        known = (what, path) in self.written
        self.written.add((what, path))
        return not known

    def finish_state(self, key: str, result: Ref, grows: int | None) -> None:
        """Say what a state is after this body."""
        place = self.state_places[key]
        old = self.body.states[place]
        self.body.states[place] = StateDecl(old.name, old.members, old.type, old.node, result, grows, old.span)

    def state(self, declared: StateDecl) -> None:
        """Keep a cache of this body."""
        self.state_places[declared.key] = len(self.body.states)
        self.body.states.append(declared)

    def condition(self, condition: Condition) -> None:
        """Keep a condition once."""
        key = (condition.kind, condition.left, condition.right, condition.given, condition.module)
        if key not in self.conditions:
            self.conditions.add(key)
            self.body.conditions.append(condition)

    def apart(self, path: str, code: str, span: Span) -> None:
        """Refuse a path inside another module or parameter of this body, or around one: their tensors could meet."""
        stems: list[str] = []
        stem = path.rpartition(".")[0]
        while stem and stem not in self.stems:  # what others lie below is no module, nor is what lies around it
            stems.append(stem)
            stem = stem.rpartition(".")[0]
        other = next((stem for stem in stems if stem in self.body.modules or stem in self.body.parameters), None)
        if other is not None or path in self.stems:
            other = other or next(known for known in (*self.body.modules, *self.body.parameters) if known.startswith(f"{path}."))
            fail(code, f"the paths `{other}` and `{path}` lie in one another", span, "rename one of them: members of a name lie below its path")
        self.stems.update(stems)

    def module(self, declared: ModuleDecl) -> None:
        """Keep a module under its path, which must be new."""
        self.owner("modules", declared.span)
        self.apart(declared.path, "A106", declared.span)
        earlier = self.body.modules.get(declared.path)
        if earlier is None and declared.path in self.body.parameters:
            fail("A107", f"`{declared.path}` is the path of a parameter already", declared.span, "rename one of them")
        if earlier is not None:
            fail(
                "A106",
                f"the module `{declared.path}` is made twice",
                declared.span,
                "a module's name is bound once in its scope: rename one, or call the first again to share it",
                [(earlier.span, "made first here")],
            )
        self.body.modules[declared.path] = declared
