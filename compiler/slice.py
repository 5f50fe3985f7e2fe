"""Hierarchical dead-code slicing: the part of a body that some of its results need.

What feeds only losses is gone when outputs alone are asked for, in every block on the way down.  A variant is made once for each
body and set of results, so equal layers still share one body; a body of which everything is needed is its own variant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from ..dsl.dims import Dim, Symbol
from ..dsl.program import Body, ModuleDecl, Node, NodeKind, Operand, Ref
from ..dsl.record import changed
from .census import distinct
from .graph import operand_refs, operands, read_paths, results
from .paths import covers
from .solve import solve


class Slicer:
    """Makes variants of bodies, each kept with its body; with `keep`, they hold all modules and tensors still, those that nothing needs, too."""

    def __init__(self, keep: bool = False) -> None:
        self.keep = keep

    def variant(self, body: Body, used: Iterable[int], updates: bool) -> Body:
        """Return the part of `body` that computes the results numbered `used`, and its buffers' updates if asked."""
        wanted = frozenset(used)
        updates = updates and self.updating(body)
        key = ("variant", wanted, updates, self.keep)
        if key not in body.found:
            variant = self._cut(body, wanted, updates)
            body.found[key] = variant if variant is not body else None  # a body that holds itself would be garbage one day
        return body.found[key] or body

    def closed(self, body: Body, used: Iterable[int], updates: bool) -> Body:
        """Return the part of `body` that computes results and the states that go with them: what is handed in is handed on."""
        wanted = set(used)
        numbers = {state.key: number for number, state in enumerate(body.states, len(body.outputs) + len(body.losses))}
        while True:  # a state may need others in turn
            found = self.variant(body, wanted, updates)
            read = {numbers[declared.key] for declared in found.inputs if declared.is_state}
            if read <= wanted:
                return found
            wanted |= read

    def held(self, body: Body) -> Body:
        """Return what a body holds, with `keep`, without a step: what is never called needs no more."""
        return self.variant(body, (), updates=False)

    def updating(self, body: Body) -> bool:
        """Tell whether a call of the body changes buffers in training."""
        found: bool | None = body.found.get("updating")
        if found is None:
            found = body.found["updating"] = bool(body.updates) or any(node.body is not None and self.updating(node.body) for node in body.nodes)
        return found

    def _cut(self, body: Body, wanted: frozenset[int], updates: bool) -> Body:
        kept = [update.ref for update in body.updates] if updates else []
        live = _Live(self, body, updates)
        live.need([ref for i, ref in enumerate(results(body)) if i in wanted] + kept)
        live.carry_symbols()
        whole = len(live.used) == len(body.nodes) and len(wanted) == len(results(body)) and len(kept) == len(body.updates)
        if whole and all(live.called[number] is node.body for number, node in enumerate(body.nodes) if node.body is not None):
            return body
        return live.cut(wanted)


@dataclass(slots=True)
class _Kept:
    """Where a value of the old body is in the new one."""

    node: int
    index: dict[int, int]


class _Live:
    """The nodes of one body that are needed, the results needed of each, and the variants of what they call."""

    def __init__(self, slicer: Slicer, body: Body, updates: bool) -> None:
        self.slicer = slicer
        self.body = body
        self.updates = updates
        self.used: dict[int, set[int]] = {}
        self.called: dict[int, Body] = {}

    def need(self, refs: Iterable[Ref]) -> None:
        """Mark values as needed, and what they are computed from; callers come after what they read, so one sweep does."""
        for ref in refs:
            self.used.setdefault(ref.node, set()).add(ref.index)
        for number in range(len(self.body.nodes) - 1, -1, -1):
            if number in self.used:
                for ref in self._reads(number):
                    self.used.setdefault(ref.node, set()).add(ref.index)

    def _reads(self, number: int) -> Iterator[Ref]:
        node = self.body.nodes[number]
        if node.body is None:
            yield from (ref for _, ref in operands(node))
            return
        callee = self.called[number] = self.slicer.variant(node.body, self.used[number], self.updates)
        for declared in callee.inputs:
            yield from operand_refs(node.inputs.get(declared.key))

    def carry_symbols(self) -> None:
        """Keep an input for each symbol that a live node mentions: one that is live anyway, if it tells the size."""
        while True:
            mentioned = {symbol: None for number in sorted(self.used) for symbol in _mentioned(self.body.nodes[number])}
            bearers = (self._bearer(symbol) for symbol in mentioned)
            extra = next((number for number in bearers if number is not None and number not in self.used), None)
            if extra is None:
                return
            self.need([Ref(extra)])

    def _bearer(self, symbol: Symbol) -> int | None:
        """Return the input to read a symbol's size from: live before dead, an axis of its own before a part of one."""
        found: list[tuple[bool, bool, int]] = []
        for declared in self.body.inputs:
            bare = symbol in bare_symbols(declared.type.shape)
            inside = any(isinstance(axis, Dim) and solve(axis, symbol) is not None for axis in declared.type.shape)
            if not declared.optional and (bare or inside):
                found.append((declared.node not in self.used, not bare, declared.node))
        return min(found)[2] if found else None

    def cut(self, wanted: frozenset[int]) -> Body:
        """Build the new body."""
        body, order = self.body, sorted(self.used)
        kept = {number: _Kept(place, self._indices(number)) for place, number in enumerate(order)}

        def moved(ref: Ref) -> Ref:
            return Ref(kept[ref.node].node, kept[ref.node].index[ref.index])

        nodes = [self._node(number, moved) for number in order]
        at = len(body.outputs)
        after = at + len(body.losses)
        modules = self._modules(nodes)
        targets = {path for node in nodes for path in read_paths(node)}
        updates = [changed(update, ref=moved(update.ref)) for update in body.updates] if self.updates else []
        touched = targets | {update.path for update in updates}
        parameters = {path: own for path, own in body.parameters.items() if self.slicer.keep or path in touched}
        return Body(
            name=body.name,
            span=body.span,
            training=body.training,
            nodes=nodes,
            inputs=[changed(declared, node=kept[declared.node].node) for declared in body.inputs if declared.node in kept],
            outputs=[changed(output, ref=moved(output.ref)) for i, output in enumerate(body.outputs) if i in wanted],
            losses=[changed(loss, ref=moved(loss.ref)) for i, loss in enumerate(body.losses, at) if i in wanted],
            updates=updates,
            states=[
                changed(state, node=kept[state.node].node, result=moved(state.result)) for i, state in enumerate(body.states, after) if i in wanted
            ],
            parameters=parameters,
            modules=modules,
            symbols=body.symbols,
            conditions=body.conditions,
            families=body.families,
            frozen=[freeze for freeze in body.frozen if _exists(freeze.path, modules, parameters)],
            ties=[tie for tie in body.ties if all(_exists(path, modules, parameters) for path in tie[:2])],
            uses_training=body.uses_training,
            doc=body.doc,
        )

    def _indices(self, number: int) -> dict[int, int]:
        """Map output numbers of a node to those that it has after the cut: calls lose what isn't used."""
        node = self.body.nodes[number]
        if node.body is None:
            return {i: i for i in range(len(node.outputs))}
        return {old: new for new, old in enumerate(sorted(self.used[number]))}

    def _node(self, number: int, moved: Any) -> Node:
        node = self.body.nodes[number]
        callee = self.called.get(number)
        names = {declared.key for declared in callee.inputs} if callee is not None else set(node.inputs)
        inputs: dict[str, Operand] = {name: _moved(operand, moved) for name, operand in node.inputs.items() if name in names}
        outputs = node.outputs if callee is None else tuple(node.outputs[i] for i in sorted(self.used[number]))
        return changed(node, inputs=inputs, outputs=outputs, body=callee)

    def _modules(self, nodes: list[Node]) -> dict[str, ModuleDecl]:
        """Keep the modules that are used or handed to one that is; what is handed on keeps all its bodies."""
        declared = self.body.modules
        used = {node.target for node in nodes if node.kind in (NodeKind.LEAF, NodeKind.CALL)}
        read = {path for node in nodes for path in read_paths(node)}
        read |= {target for target in used if target not in declared}  # leaf modules below a block of the body
        used |= {path for path in declared if any(covers(path, target) for target in read)}
        handed = {path for name in used & declared.keys() for path in declared[name].modules.values()}
        while more := {path for name in (handed & declared.keys()) for path in declared[name].modules.values()} - handed:
            handed |= more
        handed = {path for path in declared if any(covers(path, other) or covers(other, path) for other in handed)}
        kept: dict[str, ModuleDecl] = {}
        for path, module in declared.items():
            if self.slicer.keep or path in used or path in handed:
                called = [node.body for node in nodes if node.target == path]
                whole = module.bodies if path in handed or not any(called) else []
                if self.slicer.keep and path not in handed and module.extern is None:  # what is extern is held to its bodies
                    whole = [self.slicer.held(body) for body in whole]
                kept[path] = changed(module, bodies=list(distinct([*called, *whole])))
        return kept


def _moved(operand: Operand, moved: Any) -> Operand:
    if operand is None:
        return None
    return moved(operand) if isinstance(operand, Ref) else tuple(moved(ref) for ref in operand)


def _exists(path: str, modules: dict[str, ModuleDecl], parameters: Iterable[str]) -> bool:
    return any(covers(name, path) or covers(path, name) for name in (*modules, *parameters))


def _mentioned(node: Node) -> Iterator[Symbol]:
    """Yield the symbols that computing a node may ask for."""
    if node.kind in (NodeKind.OPERATION, NodeKind.LEAF, NodeKind.DRAW, NodeKind.CONSTANT):
        yield from symbols_in(node.attributes.values())
    if node.kind in (NodeKind.OPERATION, NodeKind.DRAW):
        for type_ in node.outputs:
            yield from symbols_in(type_.shape)


def symbols_in(values: Iterable[object]) -> Iterator[Symbol]:
    """Yield the symbols of all dimensions in nested values."""
    for value in values:
        if isinstance(value, Dim):
            yield from value.symbols()
        elif isinstance(value, slice):
            bounds = cast("slice[object, object, object]", value)
            yield from symbols_in((bounds.start, bounds.stop, bounds.step))
        elif isinstance(value, dict):
            yield from symbols_in(cast("dict[object, object]", value).values())
        elif isinstance(value, (list, tuple)):
            yield from symbols_in(cast("tuple[object, ...]", value))


def bare_symbols(shape: Iterable[object]) -> set[Symbol]:
    """Return the symbols that are an axis by themselves."""
    return {symbol for axis in shape if isinstance(axis, Dim) and (symbol := axis.symbol) is not None}
