"""See `MixPairs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...dsl.program import Body, Node, Ref
from ..graph import Graph
from ..optimize.affine import Affine, Term, affines
from ..optimize.gates import gate_matrix
from ..optimize.interface import Journal, Pass
from ..optimize.kernels import Kernels
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class MixPairs(Pass):
    """Mix linear experts of two linears each as one pair: `sum_e g_e B_e A_e x = [B_1, B_2, ..] (g [A_1; A_2; ..] x)`.

    The gates are numbers of a sample.  Such are mixtures of low-rank updates: MT4CrossOIE, arXiv 2308.06552.
    """

    fires: ClassVar[Mapping[str, int]] = {"texts/mix_pairs": 2}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Put the pairs of each mixture side by side."""
        evaluates = graph.program.only_evaluates
        return rebuild(graph, lambda body: _mixed(body, evaluates, journal))


def _mixed(body: Body, evaluates: bool, journal: Journal) -> Body:
    found: dict[int, Affine] = {}
    for number, affine in affines(body, evaluates).sums.items():
        against = _against(affine)
        if against is None:
            found[number] = affine
        elif any(term.gates for term in affine.terms):
            journal.decline(body, f"{len(affine.terms)} maps of one value stay apart: {against}", body.nodes[number].span)
    if not found:
        return body
    writer = Writer(body)
    kernels = Kernels(writer)
    for number, node in enumerate(body.nodes):
        if number in found:
            writer.stand_for(number, [_write(writer, kernels, found[number], node)])
            journal.fire(body, f"{sum(bool(term.gates) for term in found[number].terms)} gated pairs of linears are one", node.span)
        else:
            writer.copy(number)
    return writer.body()


def _against(affine: Affine) -> str | None:
    """Return why a sum can't be one pair."""
    gated = [term for term in affine.terms if term.gates]
    steps = [step for term in affine.terms for step in term.chain]
    if affine.shifts or any(step.declared.kind != "Linear" for step in steps):
        return "only linears gain from it"
    if len(gated) < 2 or any(len(term.chain) != 2 for term in gated):
        return "they aren't two or more gated pairs of linears"
    alike = {(term.chain[0].width, *(step.declared.arguments["bias"] for step in term.chain)) for term in gated}
    return None if len(alike) == 1 else "the pairs have different ranks, or a bias in some alone"


def _write(writer: Writer, kernels: Kernels, affine: Affine, like: Node) -> Ref:
    write, x = writer.operation, writer.at(affine.base)
    gated = [term for term in affine.terms if term.gates]
    gates = _gates(writer, gated, like)
    inner, outer = ([kernels.step(term.chain[place]) for term in gated] for place in (0, 1))
    down = _linear(writer, like, x, write("concat", like, tensors=tuple(kernel for kernel, _ in inner), dim=0), _joined(writer, inner, like))
    parts = write("unflatten", like, x=down, dim=-1, shape=(len(gated), gated[0].chain[0].width))
    rows, count = writer.type(gates).shape
    between = (1,) * (writer.type(x).rank - 2)
    column = write("reshape", like, x=gates, shape=(rows, *between, count, 1))
    scaled = write("flatten", like, x=write("mul", like, a=parts, b=column), start=-2, end=-1)
    values = [_linear(writer, like, scaled, write("concat", like, tensors=tuple(kernel for kernel, _ in outer), dim=1), None)]
    biases = tuple(bias for _, bias in outer if bias is not None)
    if biases:
        added = write("matmul", like, a=gates, b=write("stack", like, tensors=biases, dim=0))
        values.append(write("reshape", like, x=added, shape=(rows, *between, writer.type(added).shape[1])))
    values += [_plain(writer, kernels, term, x, like) for term in affine.terms if not term.gates]
    total = kernels.total(values, like)
    assert total is not None
    return total


def _gates(writer: Writer, terms: list[Term], like: Node) -> Ref:
    """Return the gates side by side, with the numbers that they are multiplied by."""
    gates = gate_matrix(writer, [term.gates for term in terms], like)
    factors = {term.factor for term in terms}
    if factors == {1.0}:
        return gates
    by = factors.pop() if len(factors) == 1 else writer.operation("constant", like, values=tuple(term.factor for term in terms), dtype=None)
    return writer.operation("mul", like, a=gates, b=by)


def _joined(writer: Writer, pairs: list[tuple[Ref, Ref | None]], like: Node) -> Ref | None:
    biases = tuple(bias for _, bias in pairs if bias is not None)
    return writer.operation("concat", like, tensors=biases, dim=0) if biases else None


def _linear(writer: Writer, like: Node, x: Ref, weight: Ref, bias: Ref | None) -> Ref:
    return writer.operation("linear", like, x=x, weight=weight, **({} if bias is None else {"bias": bias}))


def _plain(writer: Writer, kernels: Kernels, term: Term, x: Ref, like: Node) -> Ref:
    """Write an ungated map as it is."""
    for step in term.chain:
        x = _linear(writer, like, x, *kernels.step(step))
    return x if term.factor == 1 else writer.operation("mul", like, a=x, b=term.factor)
