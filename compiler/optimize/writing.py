"""Writes a body anew: nodes of the old one are copied, left out, or replaced by others that give the same values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from ...blocks.registry import primitives
from ...dsl.facts import Facts
from ...dsl.program import Body, ModuleDecl, Node, NodeKind, Operand, Ref
from ...dsl.record import changed
from ...dsl.rule import ShapeRule
from ...dsl.source import Span
from ...dsl.types import TensorType
from ..census import leaf_specs
from ..graph import operand_refs
from ..paths import join


class Writer:
    """A new body in the making.  A value of the old one that is asked for before it is there is an error of the pass."""

    def __init__(self, old: Body) -> None:
        self.old = old
        self.nodes: list[Node] = []
        self._straight = 0  # how many nodes at the beginning are the old one's, each in its place
        self._moved: dict[Ref, Ref] = {}  # where the values of the others are
        self._parameters: dict[str, Ref] = {}
        self._head: list[Node] = []

    # ------------------------------------------------------------------------------------------------------ reading

    def at(self, ref: Ref) -> Ref:
        """Return where a value of the old body is in the new one."""
        return ref if ref.node < self._straight else self._moved[ref]

    def has(self, ref: Ref) -> bool:
        """Tell whether a value of the old body is in the new one already."""
        return ref.node < self._straight or ref in self._moved

    def operand(self, operand: Operand) -> Operand:
        """Return an operand of an old node with its values in the new body."""
        if operand is None:
            return None
        return self.at(operand) if isinstance(operand, Ref) else tuple(self.at(ref) for ref in operand)

    def type(self, ref: Ref) -> TensorType:
        """Return the type of a new value."""
        return self.nodes[ref.node].outputs[ref.index]

    # ------------------------------------------------------------------------------------------------------ writing

    def add(self, node: Node) -> Ref:
        """Add a node whose operands are new values; return its first output."""
        self.nodes.append(node)
        return Ref(len(self.nodes) - 1)

    def copy(self, number: int) -> Ref:
        """Copy an old node with its operands moved."""
        node = self.old.nodes[number]
        if number == self._straight == len(self.nodes):
            self._straight += 1
            return self.add(node)
        inputs = {name: self.operand(operand) for name, operand in node.inputs.items()}
        made = self.add(node if inputs == node.inputs else changed(node, inputs=inputs))
        self.stand_for(number, [Ref(made.node, i) for i in range(len(node.outputs))])
        return made

    def stand_for(self, number: int, values: Sequence[Ref]) -> None:
        """Let new values stand for the outputs of an old node."""
        for index, value in enumerate(values):
            self.place(Ref(number, index), value)

    def place(self, ref: Ref, value: Ref) -> None:
        """Let a new value stand for one of the old body."""
        self._moved[ref] = value

    def operation(self, name: str, like: Node, title: str = "", /, **given: Any) -> Ref:
        """Add an operation at the place of a node: tensors are new values, the rest are statics; return its first output."""
        entry = primitives()[name]
        inputs: dict[str, Operand] = {key: value for key, value in given.items() if is_operand(value)}
        defaults = {a.name: a.default for a in entry.all_arguments if a.name not in given and a.name not in inputs}
        statics = {**defaults, **{key: value for key, value in given.items() if key not in inputs}}
        types = {key: self.type(v) if isinstance(v, Ref) else tuple(map(self.type, v or ())) for key, v in inputs.items()}
        made = entry.infer(ShapeRule(Facts()), {**statics, **types})
        outputs = made if isinstance(made, tuple) else (made,)
        return self.add(Node(NodeKind.OPERATION, name, inputs, statics, outputs, like.span, title, entry))

    def parameter(self, path: str, type_: TensorType, span: Span) -> Ref:
        """Read a parameter or buffer by path, once."""
        found = self._parameters.get(path)
        if found is None:
            found = self._parameters[path] = self.add(Node(NodeKind.PARAMETER, path, {}, {}, (type_,), span, path.rpartition(".")[2]))
        return found

    def weights(self, path: str, declared: ModuleDecl, span: Span) -> dict[str, Ref]:
        """Read the tensors of a leaf module, by the names of its state dict."""
        return {spec.name: self.parameter(join(path, spec.name), TensorType(spec.dtype, spec.shape), span) for spec in leaf_specs(declared)}

    # ------------------------------------------------------------------------------------------------------ the end

    def rest(self, numbers: Iterable[int]) -> None:
        """Copy old nodes."""
        for number in numbers:
            self.copy(number)

    def whole(self) -> Body:
        """Return the new body with all its nodes, read or not, in their order."""
        return moved(self.old, self.nodes, self.at)

    def body(self, modules: Mapping[str, ModuleDecl] | None = None) -> Body:
        """Return the new body, with the results of the old one, in the order of its nodes; what nothing reads is left out."""
        return pruned(moved(self.old, self.nodes, self.at, modules))


def is_operand(value: Any) -> bool:
    """Tell whether an argument of an operation is a value, or several."""
    if isinstance(value, tuple):
        return value != () and all(isinstance(each, Ref) for each in cast("tuple[Any, ...]", value))
    return isinstance(value, Ref)


def moved(old: Body, nodes: list[Node], at: Callable[[Ref], Ref], modules: Mapping[str, ModuleDecl] | None = None) -> Body:
    """Return a body with other nodes; `at` tells where the old one's values are."""
    return changed(
        old,
        nodes=nodes,
        inputs=[changed(declared, node=at(Ref(declared.node)).node) for declared in old.inputs],
        outputs=[changed(output, ref=at(output.ref)) for output in old.outputs],
        losses=[changed(loss, ref=at(loss.ref)) for loss in old.losses],
        updates=[changed(update, ref=at(update.ref)) for update in old.updates],
        states=[changed(state, node=at(Ref(state.node)).node, result=at(state.result)) for state in old.states],
        modules=dict(old.modules if modules is None else modules),
        names={},
        claims=[],
    )


def pruned(body: Body) -> Body:
    """Return a body without the nodes that no result, update or input needs."""
    live = {ref.node for ref in _ends(body)}
    for number in range(len(body.nodes) - 1, -1, -1):
        if number in live:
            live.update(ref.node for operand in body.nodes[number].inputs.values() for ref in operand_refs(operand))
    if len(live) == len(body.nodes):
        return body
    order = sorted(live)
    places = {old: new for new, old in enumerate(order)}

    def at(ref: Ref) -> Ref:
        return Ref(places[ref.node], ref.index)

    nodes = [_renumbered(body.nodes[number], at) for number in order]
    return moved(body, nodes, at)


def _ends(body: Body) -> Iterable[Ref]:
    yield from (Ref(declared.node) for declared in body.inputs)
    yield from (output.ref for output in body.outputs)
    yield from (loss.ref for loss in body.losses)
    yield from (update.ref for update in body.updates)
    for state in body.states:
        yield from (Ref(state.node), state.result)
    for number, node in enumerate(body.nodes):
        if _matters(node):
            yield Ref(number)


def _matters(node: Node) -> bool:
    """Tell whether a call is to stay though nothing reads it: it moves buffers in training."""
    return node.kind is NodeKind.EXTERN or (node.body is not None and updates(node.body))


def updates(body: Body) -> bool:
    """Tell whether a call of a body moves buffers of its own or below."""
    found: bool | None = body.found.get("updates")
    if found is None:
        found = bool(body.updates) or any(node.body is not None and updates(node.body) for node in body.nodes)
        body.found["updates"] = found
    return found


def _renumbered(node: Node, at: Any) -> Node:
    inputs: dict[str, Operand] = {}
    for name, operand in node.inputs.items():
        inputs[name] = None if operand is None else at(operand) if isinstance(operand, Ref) else tuple(at(ref) for ref in operand)
    return changed(node, inputs=inputs)
