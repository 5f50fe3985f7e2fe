"""Answers the elaborator's questions about finished bodies: what they own, and what depends on what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..dsl.inspector import Owned, Work
from ..dsl.members import member_text
from ..dsl.program import Body, ModuleDecl, Node, NodeKind, ParameterDecl, Ref
from ..dsl.source import Span
from ..dsl.types import SetAxis
from .census import Bodies, distinct, leaf_specs, sizes
from .cost import Unsized, model_expense
from .flow import Flow, Origins, together
from .graph import result_names, results
from .paths import covers, join
from .reach import Occurrence, Reach
from .slice import Slicer

Part = tuple[str, tuple[object, ...]]


class GraphInspector:
    """Implements `dsl.inspector.Inspector`; keeps what it found by body, so that a thousand equal layers are looked at once."""

    def __init__(self) -> None:
        self._reach: dict[int, Reach] = {}
        self._gradient, self._dependence = Flow(gradient=True), Flow(gradient=False)

    # ---------------------------------------------------------------------------------------------------- ownership

    def owned(self, body: Body) -> Sequence[Owned]:
        """Return every parameter and buffer below a body; an extern module, whose tensors its class alone knows, as one entry of size 0."""
        return _below((body,))

    # --------------------------------------------------------------------------------------------------- dependence

    def dependence(self, body: Body, result: str | Ref, source: str | Ref) -> Sequence[str] | None:
        """Return the steps by which a result depends on a source, the result first; None if it doesn't.  Raises KeyError for an unknown result."""
        found = self._trail(body, result, source)
        if found is None:
            return None
        inner, trail = found
        steps = [_step(inner.nodes[step.node], step) for step in reversed(trail)]
        return [step for i, step in enumerate(steps) if i == 0 or step != steps[i - 1]]

    def mixing(self, body: Body, result: str | Ref, source: str | Ref) -> Sequence[Span]:
        """Return where the steps by which a result depends on a source meet what doesn't depend on it, nearest to the result, and go on."""
        found = self._trail(body, result, source)
        if found is None:
            return ()
        inner, trail = found
        return [inner.nodes[step.node].span for step in self._reach[id(body)].mixed(inner, trail)]

    def _trail(self, body: Body, result: str | Ref, source: str | Ref) -> tuple[Body, Sequence[Ref]] | None:
        """Return the values on a path from a source to a result, and the body that holds them."""
        reach = self._reach.get(id(body))
        if reach is None or reach.root is not body:
            reach = self._reach[id(body)] = Reach(body)
        ref = result if isinstance(result, Ref) else dict(zip(result_names(body), results(body), strict=True))[result]
        end = Occurrence((), ref.node, ref.index)
        for start in self._sources(reach, body, ref, source):
            trail = reach.trail(end, start)
            if trail is not None:
                return _inside(body, trail[0]), trail[1]
        return None

    def _sources(self, reach: Reach, body: Body, result: Ref, source: str | Ref) -> Iterator[Occurrence]:
        """Yield where ways from a source to a result may start: all that a result reads is found once, and the uses of a module only looked for
        where it is among that."""
        if isinstance(source, Ref):
            yield Occurrence((), source.node, source.index)
            return
        inputs = [declared for declared in body.inputs if covers(source, declared.key)]
        if inputs:
            yield from (Occurrence((), declared.node) for declared in inputs)
        elif self._dependence.of(body, frozenset((result,))).meets(source):
            yield from reach.occurrences(source)

    def work(self, body: Body, sizes: Mapping[str, int]) -> Work:
        """Return what the outputs of a body cost in eval mode, at sizes by the names of its symbols."""
        try:
            expense = model_expense(Slicer().variant(body, range(len(body.outputs)), False), sizes)
        except Unsized as unsized:
            return Work(missing=unsized.names)
        return Work(expense.multiply_adds, unknown=tuple(sorted(expense.unknown)))

    def losses_reach(self, body: Body, losses: Iterable[str]) -> Origins:
        """Return what gets a gradient from the named losses."""
        wanted = set(losses)
        return self._gradient.of(body, frozenset(loss.ref for loss in body.losses if loss.path in wanted))

    def results_reach(self, bodies: Iterable[Body]) -> Origins:
        """Return what outputs, losses, states and updates depend on."""
        ends = ((body, frozenset((*results(body), *(update.ref for update in body.updates)))) for body in bodies)
        return together(self._dependence.of(body, refs) for body, refs in ends)


def _inside(body: Body, calls: Sequence[int]) -> Body:
    for call in calls:
        inner = body.nodes[call].body
        assert inner is not None
        body = inner
    return body


def _step(node: Node, ref: Ref) -> str:
    if node.is_handed_in:
        return f"the {node.kind.value} `{node.target}`"
    if node.kind is NodeKind.CALL and node.body is not None:
        names = result_names(node.body)
        return f"`{node.target}(...).{names[ref.index]}`" if len(names) > 1 else f"`{node.target}(...)`"
    if node.kind is NodeKind.LEAF:
        return f"`{node.target}(...)`"
    return f"`{node.name or node.target}`" if node.name or node.kind is NodeKind.PARAMETER else f"`{node.target}(...)`"


# ---------------------------------------------------------------------------------------------------------- ownership


def _below(bodies: Bodies) -> tuple[Owned, ...]:
    """Return what some bodies of one module own together; found once for the first of them."""
    key = ("owned", *map(id, bodies[1:]))
    if not bodies:
        return ()
    if key not in bodies[0].found:
        bodies[0].found[key] = (bodies[1:], tuple(_entries(bodies)))
    return bodies[0].found[key][1]


def _entries(bodies: Bodies) -> Iterator[Owned]:
    seen: set[str] = set()
    for body in bodies:
        for own in body.parameters.values():
            if own.path not in seen:
                seen.add(own.path)
                yield _parameter(own)
    modules: dict[str, tuple[ModuleDecl, list[Body]]] = {}
    for body in bodies:
        for path, declared in body.modules.items():
            modules.setdefault(path, (declared, []))[1].extend(declared.bodies)
    for declared, called in modules.values():
        yield from _module(declared, distinct(called))


def _parameter(own: ParameterDecl) -> Owned:
    name, members = (own.name, own.members) if own.name else _named(own.path)
    tasks = (own.task,) if own.task else ()
    return Owned(own.path, ((name, members),), sizes(own.shape), own.buffer, (), tasks, (own.sets,))


def _named(path: str) -> Part:
    name, *members = path.split(".")
    return name, tuple(members)


def _module(declared: ModuleDecl, called: Bodies) -> Iterator[Owned]:
    parts, sets = _place(declared)
    kinds = (*("Sequential" for _ in parts[1:]), declared.kind)
    tasks = (declared.task,) if declared.task else ()
    if declared.extern is not None:
        yield Owned(declared.path, parts, (0,), False, kinds, tasks, sets)
    elif declared.primitive is not None:
        for spec in leaf_specs(declared):
            names = tuple((word, ()) for word in spec.name.split("."))
            yield Owned(join(declared.path, spec.name), (*parts, *names), sizes(spec.shape), spec.buffer, kinds, tasks, (*sets, *(() for _ in names)))
    else:
        for own in _below(called):
            path = f"{declared.path}.{own.path}" if own.path else declared.path
            yield Owned(path, parts + own.parts, own.shape, own.buffer, kinds + own.kinds, tasks + own.tasks, sets + own.sets)


def _place(declared: ModuleDecl) -> tuple[tuple[Part, ...], tuple[tuple[SetAxis, ...], ...]]:
    """Return a module's parts: its name with its members, then its places in the Sequentials around it."""
    start = ".".join([declared.name, *map(member_text, declared.members)])
    if not covers(start, declared.path):
        return (_named(declared.path),), ((),)
    chain = tuple((word, ()) for word in declared.path[len(start) + 1 :].split(".") if word)
    return ((declared.name, declared.members), *chain), (declared.sets, *(() for _ in chain))
