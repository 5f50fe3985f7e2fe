"""A program whose inner values are results of the model: what reference tensors are compared with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.elaborate.named import named_values
from ...dsl.plans import GoldenPlan, GoldenValue
from ...dsl.program import (
    Body,
    EntryPlan,
    LossDecl,
    Node,
    NodeKind,
    Operand,
    OutputDecl,
    Program,
    Ref,
    StateDecl,
    UpdateDecl,
)
from ...dsl.record import record
from ...dsl.source import Span
from ..graph import operands, results
from ..reach import Reach
from ..runtime.calls import Signature
from ..runtime.entry import narrowed
from ..slice import Slicer

Address = tuple[tuple[str, ...], str]
"""The modules on the way down, and the path in the last one's body."""


@record
class Exposed:
    """A program whose results are all outputs: those of the text, the values by the outputs' names, and the losses; `body` is what is run."""

    program: Program
    body: Body
    names: Mapping[GoldenValue, str]
    losses: tuple[str, ...]


def expose(
    program: Program, values: Sequence[GoldenValue], training: bool, plan: GoldenPlan, given: Collection[str], stored: Collection[str]
) -> Exposed:
    """Return the program in one mode, of some tasks, or of one entry, with the values and losses among its outputs.

    Losses are those whose targets are among the `given` inputs, by path.  Where a task's inputs are all absent it is left out, with the
    values that aren't among the `stored` ones.  Raises Failure for values that aren't there.
    """
    entry = plan.entry
    root = program.entries[entry].eval if entry is not None else program.training if training else program.eval
    count, reach = len(root.outputs), Reach(root)
    lacking = {d.key for d in root.inputs if d.is_target and d.path not in given}
    tasks = plan.tasks if entry is None else ()
    if entry is None and not tasks:
        present = Signature(root, root, Slicer()).present(None, {d.key for d in root.inputs if d.path in given})
        tasks = tuple(present or ())
        values = values if present is None else [value for value in values if value.stored in stored]
    asked = [n for n, result in enumerate([*root.outputs, *root.losses]) if not tasks or result.task in tasks]
    asked = [n for n in asked if n < count or not lacking & reach.needs(root, n)]
    maker = _Maker(plan.span, root, _live(root, asked))
    body = maker.body(root, [(value.modules, value.path) for value in values])
    if maker.problems:
        raise Failure(tuple(maker.problems))
    losses = {f"loss_{n}": body.losses[n - count].ref for n in asked if n >= count}
    body = replace(
        body,
        inputs=[replace(declared, is_target=False) for declared in body.inputs],
        outputs=[*body.outputs, *(OutputDecl(name, (), ref, plan.span) for name, ref in losses.items())],
        losses=[],
    )
    names = {value: f"exposed_{number}" for number, value in enumerate(values)}
    if entry is not None:
        made = EntryPlan(entry, body, None)
        return Exposed(replace(program, entries={entry: made}), narrowed(made, Slicer()).eval, names, tuple(losses))
    body = Slicer().variant(body, [*(n for n in asked if n < count), *range(count, len(body.outputs))], training)
    return Exposed(replace(program, eval=body, train=None, variants={}), body, names, tuple(losses))


def _live(body: Body, asked: Iterable[int]) -> set[int]:
    """Return the nodes that some results of a body are computed from."""
    everything = results(body)
    waiting = [everything[number].node for number in asked]
    found: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += [ref.node for _, ref in operands(body.nodes[number])]
    return found


class _Maker:
    """Makes bodies with more outputs; calls that want the same of one body share the new one."""

    def __init__(self, span: Span, root: Body, live: set[int]) -> None:
        self.span = span
        self.root, self.live = root, live  # the nodes of the root that are run
        self.problems: list[Diagnostic] = []
        self._made: dict[tuple[int, tuple[Address, ...]], Body] = {}

    def body(self, body: Body, addresses: Sequence[Address]) -> Body:
        """Return a body that gives the values at the addresses, in order, after its own outputs."""
        key = (id(body), tuple(addresses))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._body(body, addresses)
        return found

    def _body(self, body: Body, addresses: Sequence[Address]) -> Body:
        inner: dict[int, list[Address]] = {}
        places: list[tuple[int, int] | Ref | None] = []  # a call and which of its new outputs, or a value of the body itself
        for modules, path in addresses:
            if not modules:
                places.append(self._own(body, path))
                continue
            call = self._call(body, modules[0], (*modules, path))
            wanted = inner.setdefault(call, []) if call is not None else []
            places.append((call, len(wanted)) if call is not None else None)
            wanted.append((modules[1:], path))
        shifts = {call: (len(_callee(body.nodes[call]).outputs), len(wanted)) for call, wanted in inner.items()}
        moved = _Moved(shifts)
        nodes = [self._node(node, inner.get(number), moved) for number, node in enumerate(body.nodes)]
        refs = [Ref(place[0], shifts[place[0]][0] + place[1]) if isinstance(place, tuple) else place and moved.ref(place) for place in places]
        more = [OutputDecl(f"exposed_{n}", (), ref, self.span) for n, ref in enumerate(refs) if ref is not None]
        return moved.declarations(replace(body, nodes=nodes), more)

    def _node(self, node: Node, wanted: Sequence[Address] | None, moved: _Moved) -> Node:
        inputs = {name: moved.operand(operand) for name, operand in node.inputs.items()}
        if wanted is None:
            return replace(node, inputs=inputs)
        callee = _callee(node)
        new = self.body(callee, wanted)
        at = len(callee.outputs)
        types = tuple(new.type(output.ref) for output in new.outputs[at:])
        return replace(node, inputs=inputs, body=new, outputs=(*node.outputs[:at], *types, *node.outputs[at:]))

    def _own(self, body: Body, path: str) -> Ref | None:
        named = named_values(body).get(path)
        if named is not None:
            return named[1]
        call = self._call(body, path, (path,))
        return Ref(call) if call is not None else None

    def _call(self, body: Body, module: str, path: Iterable[str]) -> int | None:
        """Return the one node that calls a module; a module called more often has values of several calls under one name."""
        calls = [n for n, node in enumerate(body.nodes) if node.kind in (NodeKind.CALL, NodeKind.LEAF) and node.target == module]
        calls = [n for n in calls if body is not self.root or n in self.live]
        if len(calls) == 1:
            return calls[0]
        full = ".".join(path)
        why = f"`{module}` is called {len(calls)} times in `{body.name}`" if calls else f"`{module}` is not called in `{body.name}`"
        help = "bind the value of each call to a name, and name that" if calls else "name a value that is computed in this mode"
        self.problems.append(Diagnostic("A661", f"`{full}` is no single value: {why}", self.span, help=help))
        return None


class _Moved:
    """Values of calls that got more outputs, at their new places."""

    def __init__(self, shifts: Mapping[int, tuple[int, int]]) -> None:
        self.shifts = shifts

    def ref(self, ref: Ref) -> Ref:
        """Return where a value is now: losses and states stand behind the outputs."""
        first, more = self.shifts.get(ref.node, (0, 0))
        return Ref(ref.node, ref.index + more) if more and ref.index >= first else ref

    def operand(self, operand: Operand) -> Operand:
        """Return what a node reads now."""
        if operand is None or isinstance(operand, Ref):
            return operand and self.ref(operand)
        return tuple(map(self.ref, operand))

    def declarations(self, body: Body, more: Sequence[OutputDecl]) -> Body:
        """Return a body whose results are at their new places, with more outputs."""
        outputs = [replace(output, ref=self.ref(output.ref)) for output in body.outputs]
        losses: list[LossDecl] = [replace(loss, ref=self.ref(loss.ref)) for loss in body.losses]
        updates: list[UpdateDecl] = [replace(update, ref=self.ref(update.ref)) for update in body.updates]
        states: list[StateDecl] = [replace(state, result=self.ref(state.result)) for state in body.states]
        return replace(body, outputs=[*outputs, *more], losses=losses, updates=updates, states=states)


def _callee(node: Node) -> Body:
    if node.body is None:
        raise ValueError(f"`{node.target}` is no call of a block")
    return node.body
