"""See `MixKernels`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from ...dsl.dims import Dim
from ...dsl.program import Body, Node, Ref
from ...dsl.types import extent
from ..graph import Graph
from ..optimize.affine import Affine, affines, composing, multiply_adds
from ..optimize.interface import Journal, Pass
from ..optimize.mixing import Mixer, Mixture, mixture
from ..optimize.rebuilding import rebuild
from ..optimize.scheduling import schedule
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class MixKernels(Pass):
    """Mix the kernels of linear experts instead of their results: `sum_e g_e A_e(x) = (sum_e g_e A_e)(x)`, one map of each sample's own.

    An expert is a linear, a convolution, or a chain of them without activation; what norms and ungated maps of the same value add goes into the
    kernel, too; norms only in a model that only evaluates.  The kernels depend on parameters alone; mixtures of the same experts, one for each task,
    are mixed in one product.
    `reading` is how many multiply-adds take as long as reading one number of a kernel that is mixed.  MLoRE, arXiv 2403.17749
    """

    reading: int = 16

    fires: ClassVar[Mapping[str, int]] = {"mlore:compared": 2}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Mix the kernels of every mixture where that costs less."""
        evaluates = graph.program.only_evaluates
        return rebuild(graph, lambda body: self._mixed(body, evaluates, journal))

    def _mixed(self, body: Body, evaluates: bool, journal: Journal) -> Body:
        sums = affines(body, evaluates).sums
        found = [mixture(body, number, affine) for number, affine in sums.items() if any(term.gates for term in affine.terms)]
        groups: dict[object, list[Mixture]] = {}
        for each in found:
            groups.setdefault(each.key, []).append(each)
        chosen = [group for group in groups.values() if self._pays(body, group, evaluates, journal)]
        if not chosen:
            return body
        order = _order(body, chosen)
        if order is None:  # what one task's experts give leads to another's gates
            chosen = [[each] for each in found if self._pays(body, [each], evaluates, journal)]
            order = _order(body, chosen) or []
        return _written(body, chosen, order, journal) if chosen else body

    def _pays(self, body: Body, group: Sequence[Mixture], evaluates: bool, journal: Journal) -> bool:
        """Compare the multiply-adds of the experts with those of one map and its mixing."""
        first = group[0]
        node = body.nodes[first.number]
        places = _places(node, first.affine)
        apart = sum(multiply_adds(term.chain) for term in first.affine.terms)
        mixing = first.size * (len(first.main.terms) * (len(group) + self.reading) // len(group) + (1 + self.reading) * len(first.gated_elsewhere))
        if not evaluates:  # the experts' own kernels are not kept from call to call
            mixing += sum(composing(term.chain) for term in first.affine.terms) // len(group)
        count = f"{len(first.affine.terms)} maps of one value"
        if places is None:
            least = mixing // (apart - first.size) + 1 if apart > first.size else None
            pays = f"one map would cost less from {least} on" if least is not None else "one map would cost more"
            journal.decline(body, f"{count} stay apart: how many places there are isn't known, {pays}", node.span)
        elif apart * places <= first.size * places + mixing:
            costs = f"they cost {apart * places} multiply-adds, one map with its mixing as much as {first.size * places + mixing}"
            journal.decline(body, f"{count} stay apart: {costs}", node.span)
        return places is not None and apart * places > first.size * places + mixing


def _places(node: Node, affine: Affine) -> int | None:
    shape = node.outputs[0].shape
    is_linear = affine.terms[0].chain[0].declared.kind == "Linear"
    sizes = [extent(axis) for axis in (shape[1:-1] if is_linear else shape[2:])]
    return None if any(isinstance(size, Dim) for size in sizes) else prod(size for size in sizes if isinstance(size, int))


def _order(body: Body, groups: Sequence[Sequence[Mixture]]) -> list[tuple[int, ...]] | None:
    numbers = [[each.number for each in group] for group in groups]
    reads: dict[int, tuple[Ref, ...]] = {each.number: each.reads for group in groups for each in group}
    return schedule(body, numbers, reads)


def _written(body: Body, groups: Sequence[Sequence[Mixture]], order: Sequence[tuple[int, ...]], journal: Journal) -> Body:
    writer = Writer(body)
    mixer = Mixer(writer)
    at = {tuple(each.number for each in group): group for group in groups}
    for unit in order:
        if unit not in at:
            writer.copy(unit[0])
            continue
        for each, made in zip(at[unit], mixer.mixed(at[unit]), strict=True):
            writer.stand_for(each.number, [made])
        first = at[unit][0]
        many = f", {len(unit)} times, the kernels mixed in one product" if unit[1:] else ""
        journal.fire(body, f"{len(first.affine.terms)} maps of one value are one{many}", body.nodes[first.number].span)
    return writer.body()
