"""The hierarchical typed graph of a program: bodies with their nodes, and everything that can be asked of them.

A CALL node points to a body that all calls alike share, so a question is answered once for a body and multiplied: a model of a
thousand layers costs little more than one layer.  A flat view is made by the lowering alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from ..dsl.elaborate.values import Function, Template
from ..dsl.program import Body, ModuleDecl, Node, NodeKind, Operand, Program, Recipe, Ref
from .census import Bodies, Census, Count, Tensor, distinct
from .paths import covers, join

if TYPE_CHECKING:
    import networkx

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""The buffers of a batch norm."""


def operand_refs(operand: Operand) -> tuple[Ref, ...]:
    """Return the values of an operand: one, several or none."""
    if operand is None:
        return ()
    return (operand,) if isinstance(operand, Ref) else operand


def operands(node: Node) -> Iterator[tuple[str, Ref]]:
    """Yield each value that a node reads, with the argument it is read for."""
    for name, operand in node.inputs.items():
        for ref in operand_refs(operand):
            yield name, ref


def results(body: Body) -> tuple[Ref, ...]:
    """Return what a call of the body gives, in order: its outputs, its losses, its states."""
    return (*(output.ref for output in body.outputs), *(loss.ref for loss in body.losses), *(state.result for state in body.states))


def result_names(body: Body) -> tuple[str, ...]:
    """Return the names of what a call gives, in order: `h.generate`, `understand.logits` for outputs, paths for losses, keys for states."""
    outputs = (".".join([*([output.task] if output.task else []), output.name, *map(str, output.members)]) for output in body.outputs)
    return (*outputs, *(loss.path for loss in body.losses), *(state.key for state in body.states))


class Graph:
    """A program as a graph.  Nothing in it changes after it was made; what is derived from a body is kept by body."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._flows: dict[int, networkx.DiGraph[int]] = {}

    @cached_property
    def roots(self) -> Bodies:
        """The bodies of the model itself: evaluation, training, and those of its entries."""
        entries = (body for plan in self.program.entries.values() for body in (plan.eval, plan.train))
        return distinct((self.program.eval, self.program.train, *entries))

    @cached_property
    def bodies(self) -> Bodies:
        """Every body once, what is called before what calls it."""
        return ordered(self.roots)

    def flow(self, body: Body) -> networkx.DiGraph[int]:
        """Return the dataflow of a body: a vertex for each node number, an edge from producer to reader with `arguments`."""
        found = self._flows.get(id(body))
        if found is None:
            found = self._flows[id(body)] = _flow(body)
        return found

    @cached_property
    def census(self) -> Census:
        """Every parameter, buffer and module by path."""
        return Census(self.roots)

    def parameters(self, path: str = "") -> Iterator[Tensor]:
        """Yield every parameter and buffer at or below a path, by absolute path."""
        return self.census.tensors(path)

    def count(self, *paths: str) -> Count:
        """Count parameters and buffers below the paths, tied ones once, without expanding; KeyError for an unknown path."""
        return self.census.count(*paths)

    def calls(self, root: Body | None = None) -> dict[int, int]:
        """Return how often each body runs in one evaluation of the model, or of another root, by `id` of the body."""
        times = {id(body): 0 for body in self.bodies}
        times[id(root or self.program.eval)] = 1
        for body in reversed(self.bodies):
            for node in body.nodes:
                if node.body is not None:
                    times[id(node.body)] += times[id(body)]
        return times

    def __str__(self) -> str:
        return "\n\n".join(body_text(body) for body in reversed(self.bodies))


def ordered(tops: Bodies) -> Bodies:
    """Return every body at and below some, once, what is called before what calls it."""
    order: list[Body] = []
    seen: set[int] = set()
    stack: list[tuple[Body, bool]] = [(body, False) for body in reversed(tops)]
    while stack:
        body, done = stack.pop()
        if done:
            order.append(body)
        elif id(body) not in seen:
            seen.add(id(body))
            stack.append((body, True))
            stack.extend((callee, False) for callee in callees(body))
    return tuple(order)


def callees(body: Body) -> Bodies:
    """Return the bodies that a body calls, and those of modules that it makes and hands down."""
    found: Bodies | None = body.found.get("callees")
    if found is None:
        called = [node.body for node in body.nodes]
        found = body.found["callees"] = distinct((*called, *(inner for declared in body.modules.values() for inner in declared.bodies)))
    return found


def module_at(body: Body, path: str) -> ModuleDecl | None:
    """Return the module of a body at a path, also one inside a block of its own; None where there is none."""
    found = body.modules.get(path)
    if found is not None:
        return found
    for name, declared in body.modules.items():
        if covers(name, path):
            inside = (module_at(inner, path[len(name) + 1 :]) for inner in declared.bodies)
            found = next((inner for inner in inside if inner is not None), None)
            if found is not None:
                return found
    return None


def _flow(body: Body) -> networkx.DiGraph[int]:
    import networkx

    flow: networkx.DiGraph[int] = networkx.DiGraph()
    for number, node in enumerate(body.nodes):
        flow.add_node(number, kind=node.kind.value, target=node.target, name=node.name, node=node)
        for argument, ref in operands(node):
            if flow.has_edge(ref.node, number):
                flow.edges[ref.node, number]["arguments"].append((argument, ref.index))
            else:
                flow.add_edge(ref.node, number, arguments=[(argument, ref.index)])
    return flow


def body_text(body: Body) -> str:
    """Return a body as text, one line for each module, node and result."""
    mode = " (training)" if body.training and body.uses_training else ""
    lines = [f"{body.name}{mode} {{"]
    lines += [f"  {own.path} = {'Buffer' if own.buffer else 'Parameter'} {own.dtype}[{_axes(own.shape)}]" for own in body.parameters.values()]
    for declared in body.modules.values():
        made = ", ".join(f"{name} = {_plain(value)}" for name, value in declared.arguments.items())
        lines.append(f"  {declared.path} = {declared.kind}({made})")
    lines += [f"  {_node_text(number, node)}" for number, node in enumerate(body.nodes)]
    lines += [f"  out {name} = {_ref(ref)}" for name, ref in zip(result_names(body), results(body), strict=True)]
    lines += [f"  update {update.path} = {_ref(update.ref)}" for update in body.updates]
    return "\n".join([*lines, "}"])


def read_paths(node: Node) -> tuple[str, ...]:
    """Return the parameters and buffers that a node reads by path."""
    if node.kind is NodeKind.PARAMETER:
        return (node.target,)
    if node.kind is NodeKind.NORMS:
        return tuple(join(path, name) for path in node.attributes["modules"] for name in STATISTICS)
    return node.attributes["recipe"].paths if node.kind is NodeKind.DERIVED else ()


def recipe_text(recipe: Recipe) -> str:
    """Return what a derived value is, as one expression: `stack([expert.0.weight, expert.1.weight], dim = 0)`."""
    texts: list[str] = []
    for node in recipe.body.nodes:
        read = [f"{name} = {_expression(operand, texts)}" for name, operand in node.inputs.items()]
        statics = [f"{name} = {_plain(value)}" for name, value in node.attributes.items() if value is not None]
        texts.append(node.target if node.kind is NodeKind.PARAMETER else f"{node.target}({', '.join(read + statics)})")
    return _expression(recipe.body.outputs[0].ref, texts)


def _expression(operand: Operand, texts: list[str]) -> str:
    if operand is None:
        return "none"
    if isinstance(operand, Ref):
        return f"{texts[operand.node]}[{operand.index}]" if operand.index else texts[operand.node]
    return f"[{', '.join(_expression(ref, texts) for ref in operand)}]"


def _node_text(number: int, node: Node) -> str:
    kept = f"  [{node.region}]" if node.region is not None else ""
    if node.kind is NodeKind.DERIVED:
        return f"%{number}: {node.outputs[0]} = derived {node.target} = {recipe_text(node.attributes['recipe'])}{kept}"
    read = [f"{name} = {_operand(operand)}" for name, operand in node.inputs.items()]
    statics = [f"{name} = {_plain(value)}" for name, value in node.attributes.items()]
    types = ", ".join(map(str, node.outputs))
    name = f"  # {node.name}" if node.name else ""
    what = f"{node.kind.value} {node.target}".rstrip()
    return f"%{number}: {types} = {what}({', '.join(read + statics)}){kept}{name}"


def _operand(operand: Operand) -> str:
    if operand is None:
        return "none"
    return _ref(operand) if isinstance(operand, Ref) else f"[{', '.join(map(_ref, operand))}]"


def _ref(ref: Ref) -> str:
    return f"%{ref.node}.{ref.index}" if ref.index else f"%{ref.node}"


def _axes(shape: tuple[object, ...]) -> str:
    return ", ".join(map(str, shape))


def _plain(value: object) -> str:
    if isinstance(value, (Template, Function)):
        return value.name
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)


__all__ = ["Graph", "NodeKind", "body_text", "callees", "operand_refs", "operands", "result_names", "results"]
