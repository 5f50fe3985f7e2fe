"""See `MergeMaps`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...blocks.parameters import per_axis
from ...dsl.program import Body, Ref
from ..graph import Graph, operands
from ..optimize.affine import AXES, Affine, affines, multiply_adds, width
from ..optimize.inlining import inlined_where
from ..optimize.interface import Journal, Keeps, Pass
from ..optimize.kernels import Kernels
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer
from .fold_norms import functional


@dataclass(frozen=True, slots=True)
class MergeMaps(Pass):
    """Compute a sum of linear maps of one value as one map: `W x + b + s B A x = (W + s B A) x + b`, so that a low-rank update costs nothing.

    A map is a linear, a convolution, or a chain of them without activation between.  LoRA, arXiv 2106.09685
    """

    keeps: ClassVar[Keeps] = Keeps.EVALUATION
    example: ClassVar[tuple[str, ...]] = ("simplify",)
    fires: ClassVar[Mapping[str, int]] = {"texts/merge_maps": 2}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Merge the sums of each body, with those calls written out that they reach into."""
        return rebuild(graph, lambda body: _merged(body, journal))


def _merged(body: Body, journal: Journal) -> Body:
    chosen = inlined_where(body, lambda flat: (number for root, found in _sums(flat) for number in _between(flat, root, found.base)))
    sums = dict(_sums(chosen))
    if not sums:
        return body
    writer = Writer(chosen)
    kernels = Kernels(writer)
    for number, node in enumerate(chosen.nodes):
        if number in sums:
            writer.stand_for(number, [_written(writer, kernels, number, sums[number])])
            names = ", ".join("·".join(step.path for step in term.chain) for term in sums[number].terms)
            journal.fire(body, f"{names} are one map", node.span)
        else:
            writer.copy(number)
    return writer.body()


def _sums(body: Body) -> Iterator[tuple[int, Affine]]:
    """Yield the sums without gates that cost more than one map does, by their last nodes."""
    for number, found in affines(body, evaluates=True).sums.items():
        chain = found.terms[0].chain
        if not any(term.gates for term in found.terms):
            apart = sum(multiply_adds(term.chain) for term in found.terms)
            if apart > width(chain) * chain[0].reads:
                yield number, found


def _between(body: Body, root: int, base: Ref) -> set[int]:
    """Return the nodes that a value is computed by from another one."""
    found, waiting = set[int](), [root]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += [ref.node for _, ref in operands(body.nodes[number]) if ref != base]
    return found


def _written(writer: Writer, kernels: Kernels, number: int, found: Affine) -> Ref:
    node, first = writer.old.nodes[number], found.terms[0].chain[0]
    pairs = [kernels.of(term) for term in found.terms]
    kernel = kernels.total([kernel for kernel, _ in pairs], node)
    assert kernel is not None
    bias = kernels.total([*(bias for _, bias in pairs), *(kernels.shift(shift) for shift in found.shifts)], node)
    count = AXES[first.declared.kind]
    if count:
        window = per_axis(first.declared.arguments["kernel"], count)
        kernel = writer.operation("unflatten", node, x=kernel, dim=1, shape=(first.declared.arguments["cin"], *window))
    return functional(writer, first.declared, node, writer.at(found.base), kernel, bias)
