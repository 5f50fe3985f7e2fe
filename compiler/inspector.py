"""Answers the elaborator's questions about finished bodies: what they own, and what depends on what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..dsl.holdings import Holding, Place
from ..dsl.inspector import Owned, Work
from ..dsl.members import member_text
from ..dsl.primitive import ParameterSpec
from ..dsl.program import Body, ModuleDecl, Node, NodeKind, ParameterDecl, Ref
from ..dsl.source import Span
from ..dsl.types import SetAxis
from .census import Bodies, distinct, leaf_specs, sizes
from .cost import Unsized, model_expense
from .flow import Flow, Origins, stems, together
from .graph import result_names, results
from .paths import covers
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
        return self.holding(body).entries

    def holding(self, *bodies: Body) -> Holding:
        """Return what is below some bodies of one model together."""
        return _holding(bodies)

    # --------------------------------------------------------------------------------------------------- dependence

    def dependence(self, body: Body, result: str | Ref, source: str | Ref) -> Sequence[str] | None:
        """Return the steps by which a result depends on a source, the result first; None if it doesn't.  Raises KeyError for an unknown result."""
        found = self._trail(body, result, source)
        if found is None:
            return None
        inner, trail = found
        steps = [_step(inner.nodes[step.node], step) for step in reversed(trail)]
        return [step for i, step in enumerate(steps) if i == 0 or step != steps[i - 1]]

    def met(self, body: Body, result: Ref, sources: Iterable[str | Ref]) -> Sequence[str | Ref]:
        """Return those of some sources that a value of a body depends on; what the value reads is found once for all of them."""
        reach, read, inputs = self._reach_of(body), self._dependence.of(body, frozenset((result,))), _inputs(body)

        def is_met(source: str | Ref) -> bool:
            if isinstance(source, Ref):
                return source in reach.ancestors(body, (result,))
            if source in inputs:
                return any(Ref(number) in reach.ancestors(body, (result,)) for number in inputs[source])
            return read.meets(source)

        return [source for source in sources if is_met(source)]

    def mixing(self, body: Body, result: str | Ref, source: str | Ref) -> Sequence[Span]:
        """Return where the steps by which a result depends on a source meet what doesn't depend on it, nearest to the result, and go on."""
        found = self._trail(body, result, source)
        if found is None:
            return ()
        inner, trail = found
        return [inner.nodes[step.node].span for step in self._reach[id(body)].mixed(inner, trail)]

    def _reach_of(self, body: Body) -> Reach:
        found = self._reach.get(id(body))
        if found is None or found.root is not body:
            found = self._reach[id(body)] = Reach(body)
        return found

    def _trail(self, body: Body, result: str | Ref, source: str | Ref) -> tuple[Body, Sequence[Ref]] | None:
        """Return the values on a path from a source to a result, and the body that holds them."""
        reach = self._reach_of(body)
        ref = result if isinstance(result, Ref) else dict(zip(result_names(body), results(body), strict=True))[result]
        end = Occurrence((), ref.node, ref.index)
        for start in self._sources(reach, body, source):
            trail = reach.trail(end, start)
            if trail is not None:
                return _inside(body, trail[0]), trail[1]
        return None

    def _sources(self, reach: Reach, body: Body, source: str | Ref) -> Iterator[Occurrence]:
        if isinstance(source, Ref):
            yield Occurrence((), source.node, source.index)
            return
        inputs = _inputs(body).get(source)
        yield from (Occurrence((), number) for number in inputs) if inputs else reach.occurrences(source)

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


def _inputs(body: Body) -> Mapping[str, Sequence[int]]:
    """Return the nodes of the inputs at and below each path."""
    found: dict[str, list[int]] | None = body.found.get("input nodes")
    if found is None:
        found = body.found["input nodes"] = {}
        for declared in body.inputs:
            for stem in stems(declared.key):
                found.setdefault(stem, []).append(declared.node)
    return found


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


def _holding(bodies: Bodies) -> Holding:
    """Return what some bodies of one module own together; found once for the first of them."""
    if not bodies:
        return Holding(())
    key = ("holding", *map(id, bodies[1:]))
    if key not in bodies[0].found:
        bodies[0].found[key] = (bodies[1:], Holding(_places(bodies)))
    return bodies[0].found[key][1]


def _places(bodies: Bodies) -> Iterator[Place]:
    own = {parameter.path: parameter for body in bodies for parameter in body.parameters.values()}
    yield from map(_parameter, own.values())
    modules: dict[str, tuple[ModuleDecl, list[Body]]] = {}
    for body in bodies:
        for path, declared in body.modules.items():
            modules.setdefault(path, (declared, []))[1].extend(declared.bodies)
    alike: dict[tuple[int, int], Holding] = {}  # the steps of a loop share the arguments of their leaf modules
    for declared, called in modules.values():
        if declared.primitive is None:
            yield _module(declared, _holding(distinct(called)))
            continue
        key = (id(declared.primitive), id(declared.arguments))
        if key not in alike:
            alike[key] = Holding(map(_tensor, leaf_specs(declared)))
        yield _module(declared, alike[key])


def _parameter(own: ParameterDecl) -> Place:
    name, members = (own.name, own.members) if own.name else _named(own.path)
    tasks = (own.task,) if own.task else ()
    return Place(own.path, ((name, members),), (own.sets,), (), tasks, sizes(own.shape), own.buffer)


def _named(path: str) -> Part:
    name, *members = path.split(".")
    return name, tuple(members)


def _module(declared: ModuleDecl, inside: Holding) -> Place:
    parts, sets = _place(declared)
    kinds = (*["Sequential"] * (len(parts) - 1), declared.kind)
    tasks = (declared.task,) if declared.task else ()
    if declared.extern is not None:
        return Place(declared.path, parts, sets, kinds, tasks, (0,))
    return Place(declared.path, parts, sets, kinds, tasks, inside=inside)


def _tensor(spec: ParameterSpec) -> Place:
    parts = tuple((word, ()) for word in spec.name.split("."))
    return Place(spec.name, parts, tuple(() for _ in parts), (), (), sizes(spec.shape), spec.buffer)


def _place(declared: ModuleDecl) -> tuple[tuple[Part, ...], tuple[tuple[SetAxis, ...], ...]]:
    """Return a module's parts: its name with its members, then its places in the Sequentials around it."""
    start = ".".join([declared.name, *map(member_text, declared.members)]) if declared.members else declared.name
    if start == declared.path:
        return ((declared.name, declared.members),), (declared.sets,)
    if not covers(start, declared.path):
        return (_named(declared.path),), ((),)
    chain = tuple((word, ()) for word in declared.path[len(start) + 1 :].split(".") if word)
    return ((declared.name, declared.members), *chain), (declared.sets, *(() for _ in chain))
