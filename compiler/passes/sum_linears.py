"""See `SumLinears`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from ...dsl.program import Body, ModuleDecl, Node, NodeKind, Ref
from ...dsl.record import record
from ...dsl.types import TensorType
from ..graph import Graph, module_at
from ..optimize.inlining import inlined_where
from ..optimize.interface import Journal, Pass
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class SumLinears(Pass):
    """Compute a sum of linears of different values as one: `sum_i c_i (W_i t_i + b_i) = [c_1 W_1, c_2 W_2, ..] [t_1; t_2; ..] + sum_i c_i b_i`.

    Each `c_i` is a number, or one for each output.  So adapters side by side that are mixed by learned scales become one bottleneck, exactly:
    ScaLearn, arXiv 2310.01217.  Only where no `t_i` is wider than the outputs.
    """

    fires: ClassVar[Mapping[str, int]] = {"scalearn:small": 2}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Merge the sums of each body, with those calls written out that they reach into."""
        return rebuild(graph, lambda body: _summed(body, journal))


@record
class Term:
    """A linear in a sum: its module, what it maps, and what its result is multiplied by."""

    path: str
    declared: ModuleDecl
    x: Ref
    factor: Ref | float | None


@record
class Sum:
    """The last `add` of a sum, its linears, and what else is added."""

    root: int
    terms: tuple[Term, ...]
    rest: tuple[Ref, ...]
    nodes: frozenset[int]


def _summed(body: Body, journal: Journal) -> Body:
    chosen = inlined_where(body, lambda flat: (number for found in _sums(flat) for number in found.nodes))
    sums = {found.root: found for found in _sums(chosen)}
    if not sums:
        return body
    writer = Writer(chosen)
    for number, node in enumerate(chosen.nodes):
        if number in sums:
            writer.stand_for(number, [_written(writer, sums[number], node)])
            journal.fire(body, f"{', '.join(term.path for term in sums[number].terms)} are one", node.span)
        else:
            writer.copy(number)
    return writer.body()


def _sums(body: Body) -> Iterator[Sum]:
    read = readers(body)
    inner = {ref.node for node in body.nodes if _is_add(node) for ref in _addends(node) if _is_add(body.nodes[ref.node]) and read[ref] == 1}
    for number, node in enumerate(body.nodes):
        if _is_add(node) and number not in inner:
            found = _sum(body, number, read)
            if found is not None:
                yield found


def _is_add(node: Node) -> bool:
    return node.kind is NodeKind.OPERATION and node.target == "add" and len(_addends(node)) == 2


def _addends(node: Node) -> list[Ref]:
    return [ref for name in ("a", "b") if isinstance(ref := node.inputs.get(name), Ref)]


def _sum(body: Body, root: int, read: Counter[Ref]) -> Sum | None:
    """Return the linears that a sum is made of, if it has two of its own shape that are worth it."""
    type_ = body.nodes[root].outputs[0]
    terms, rest, nodes, waiting = list[Term](), list[Ref](), {root}, _addends(body.nodes[root])
    while waiting:
        ref = waiting.pop(0)
        node = body.nodes[ref.node]
        if _is_add(node) and read[ref] == 1:
            nodes.add(ref.node)
            waiting[:0] = _addends(node)
            continue
        found = _term(body, ref, read, type_)
        if found is None:
            rest.append(ref)
        else:
            terms.append(found[0])
            nodes |= found[1]
    return Sum(root, tuple(terms), tuple(rest), frozenset(nodes)) if len(terms) > 1 else None


def _term(body: Body, ref: Ref, read: Counter[Ref], type_: TensorType) -> tuple[Term, set[int]] | None:
    node, nodes, factor = body.nodes[ref.node], {ref.node}, None
    if read[ref] != 1 or body.type(ref) != type_:
        return None
    if node.kind is NodeKind.OPERATION and node.target == "mul":
        scaled = _scaled(body, node, type_)
        if scaled is None or read[scaled[0]] != 1:
            return None
        ref, factor = scaled
        node = body.nodes[ref.node]
        nodes.add(ref.node)
    declared = module_at(body, node.target) if node.kind is NodeKind.LEAF else None
    x = node.inputs.get("x")
    fits = declared is not None and declared.kind == "Linear" and declared.arguments["din"] <= declared.arguments["dout"]
    return (Term(node.target, cast(ModuleDecl, declared), x, factor), nodes) if fits and isinstance(x, Ref) else None


def _scaled(body: Body, node: Node, type_: TensorType) -> tuple[Ref, Ref | float] | None:
    """Return what a product multiplies, and by what: a number, or one for each place of the last axis."""
    for name, other in (("a", "b"), ("b", "a")):
        x, factor = node.inputs.get(name), node.inputs.get(other, node.attributes.get(other))
        if not isinstance(x, Ref) or body.type(x) != type_ or body.nodes[x.node].kind is not NodeKind.LEAF:
            continue
        if isinstance(factor, (int, float)):
            return x, factor
        if isinstance(factor, Ref) and body.type(factor).shape in ((), (1,), type_.shape[-1:]):
            return x, factor
    return None


def _written(writer: Writer, found: Sum, node: Node) -> Ref:
    weights: list[Ref] = []
    biases: list[Ref] = []
    for term in found.terms:
        held = writer.weights(term.path, term.declared, node.span)
        factor = writer.at(term.factor) if isinstance(term.factor, Ref) else term.factor
        weights.append(_times(writer, node, held["weight"], factor, column=True))
        if "bias" in held:
            biases.append(_times(writer, node, held["bias"], factor, column=False))
    weight = writer.operation("concat", node, tensors=tuple(weights), dim=1)
    x = writer.operation("concat", node, tensors=tuple(writer.at(term.x) for term in found.terms), dim=-1)
    given: dict[str, Any] = {"bias": _added(writer, node, biases)} if biases else {}
    whole = writer.operation("linear", node, node.name, x=x, weight=weight, **given)
    return _added(writer, node, [whole, *(writer.at(ref) for ref in found.rest)])


def _times(writer: Writer, node: Node, value: Ref, factor: Ref | float | None, column: bool) -> Ref:
    if factor is None:
        return value
    if column and isinstance(factor, Ref) and writer.type(factor).rank:
        factor = writer.operation("unsqueeze", node, x=factor, dim=-1)
    return writer.operation("mul", node, a=value, b=factor)


def _added(writer: Writer, node: Node, values: list[Ref]) -> Ref:
    total = values[0]
    for value in values[1:]:
        total = writer.operation("add", node, a=total, b=value)
    return total
