"""See `MixMembers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...dsl.program import Body, NodeKind, Ref
from ...dsl.record import record
from ..graph import Graph
from ..optimize.gates import gate_matrix, rows_of
from ..optimize.interface import Journal, Pass
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.summing import Product, gated, sums
from ..optimize.writing import Writer


@record
class Mixture:
    """All members of one batch, each by its gate, in their order; what else is added."""

    batch: Ref
    products: tuple[Product, ...]
    rest: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class MixMembers(Pass):
    """Mix the members of a family that were computed as one in one product: `y = sum_e g_e f_e` is `y = G F`, where each sample has its gates.

    Nothing is put side by side for it, as `f_e` are views of one value; members are left where some of them alone are mixed.
    """

    after: ClassVar[tuple[str, ...]] = ("batch_families",)
    fires: ClassVar[Mapping[str, int]] = {"texts/mix_members": 3}
    example: ClassVar[tuple[str, ...]] = ("batch_families",)

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Mix in one product what is in one value."""
        return rebuild(graph, lambda body: _mixed(body, journal))


def _mixed(body: Body, journal: Journal) -> Body:
    found = _mixtures(body, journal)
    if not found:
        return body
    writer = Writer(body)
    for number, node in enumerate(body.nodes):
        if number in found:
            _write(writer, number, found[number])
            journal.fire(body, f"{len(found[number].products)} members are mixed in one product", node.span)
        else:
            writer.copy(number)
    return writer.body()


def _mixtures(body: Body, journal: Journal) -> dict[int, Mixture]:
    """Return the sums that mix all members of one batch."""
    read = readers(body)
    found: dict[int, Mixture] = {}
    for number, addends in sums(body, read).items():
        by_node: dict[int, dict[int, tuple[Ref, Product]]] = {}
        for ref in addends:
            product = gated(body, ref) if read[ref] == 1 else None
            if product is not None and _is_member(body, product.value):
                by_node.setdefault(product.value.node, {})[product.value.index] = (ref, product)
        for source, own in by_node.items():
            batch, count = body.nodes[source].inputs["x"], len(body.nodes[source].outputs)
            if len(own) == count and number not in found and isinstance(batch, Ref):
                mixed = {ref for ref, _ in own.values()}
                products = tuple(own[index][1] for index in range(count))
                found[number] = Mixture(batch, products, tuple(ref for ref in addends if ref not in mixed))
            elif len(own) > 1:
                journal.decline(body, f"{len(own)} of {count} members are mixed here, not all of one batch", body.nodes[number].span)
    return found


def _is_member(body: Body, ref: Ref) -> bool:
    node = body.nodes[ref.node]
    return node.kind is NodeKind.OPERATION and node.target == "unbind" and node.attributes["dim"] == 0


def _write(writer: Writer, number: int, mixture: Mixture) -> None:
    body, write, like = writer.old, writer.operation, writer.old.nodes[number]
    gates = [(product.gate,) for product in mixture.products]
    matrix, values = gate_matrix(writer, gates, like), writer.at(mixture.batch)
    shape = writer.type(values).shape[1:]
    if rows_of(body, gates) == 1:
        rows = write("flatten", like, x=values, start=1, end=-1) if len(shape) > 1 else values
        total = write("reshape", like, x=write("matmul", like, a=matrix, b=rows), shape=shape)
    else:
        rows = write("flatten", like, x=values, start=2, end=-1) if len(shape) > 2 else values
        made = write("bmm", like, a=write("unsqueeze", like, x=matrix, dim=1), b=write("transpose", like, x=rows, a=0, b=1))
        total = write("squeeze", like, x=made, dim=1)
        total = write("unflatten", like, x=total, dim=-1, shape=shape[1:]) if len(shape) > 2 else total
    for more in mixture.rest:
        total = write("add", like, like.name, a=total, b=writer.at(more))
    writer.stand_for(number, [total])
