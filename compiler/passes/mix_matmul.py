"""See `MixMatmul`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...dsl.program import Body, Ref
from ...dsl.record import record
from ..graph import Graph
from ..optimize.gates import gate_matrix, rows_of
from ..optimize.interface import Journal, Pass
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.scheduling import schedule
from ..optimize.summing import Product, gated, is_scaled, sums
from ..optimize.writing import Writer


@record
class Mixture:
    """A sum of gated values, and what else is added."""

    number: int
    products: tuple[Product, ...]
    rest: tuple[Ref, ...]

    @property
    def reads(self) -> tuple[Ref, ...]:
        return (*(ref for each in self.products for ref in (each.gate, each.value)), *self.rest)


@dataclass(frozen=True, slots=True)
class MixMatmul(Pass):
    """Mix the same values for several tasks in one matrix product: `y_t = sum_e g_t,e f_e` is `[y_t] = G [f_e]`, where each sample has its gates.

    A mixture alone, gates of places, and fewer than `least` gated values in all are left as they are: there a product was measured to be slower
    (unless the values are members of one batch, see `mix_members`).
    """

    least: int = 10

    fires: ClassVar[Mapping[str, int]] = {"taskexpert:compared": 1}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Mix together what is mixed of the same values."""
        return rebuild(graph, lambda body: _mixed(self.least, body, journal))


def _mixed(least: int, body: Body, journal: Journal) -> Body:
    groups: dict[object, list[Mixture]] = {}
    for each in _mixtures(body, journal):
        rows = rows_of(body, [(product.gate,) for product in each.products])
        groups.setdefault((rows, tuple(product.value for product in each.products)), []).append(each)
    chosen = [group for group in groups.values() if len(group) > 1 and _is_worth(least, body, group, journal)]
    if not chosen:
        return body
    order = schedule(body, [[each.number for each in group] for group in chosen], {each.number: each.reads for group in chosen for each in group})
    if order is None:
        journal.decline(body, "what one mixture gives leads to another's gates: they can't be one product", body.nodes[chosen[0][0].number].span)
        return body
    writer, at = Writer(body), {tuple(each.number for each in group): group for group in chosen}
    for unit in order:
        if unit in at:
            _write(writer, at[unit])
            what = f"{len(unit)} mixtures of the same {len(at[unit][0].products)} values are one product"
            journal.fire(body, what, body.nodes[unit[0]].span)
        else:
            writer.copy(unit[0])
    return writer.body()


def _is_worth(least: int, body: Body, group: Sequence[Mixture], journal: Journal) -> bool:
    """Tell whether there are enough gated values for one product."""
    count = sum(len(each.products) for each in group)
    if count < least:
        what = (
            f"{len(group)} mixtures of the same {len(group[0].products)} values stay apart: one product gains from `least = {least}` gated values on"
        )
        journal.decline(body, f"{what}, here are {count}", body.nodes[group[0].number].span)
    return count >= least


def _mixtures(body: Body, journal: Journal) -> Iterator[Mixture]:
    """Yield the sums that mix values which other sums mix, too, in the order of the body."""
    read = readers(body)
    added = sums(body, read)
    found: dict[int, dict[Ref, tuple[Ref, Product]]] = {}
    mixed: dict[Ref, int] = {}
    for number, addends in added.items():
        products = ((ref, gated(body, ref)) for ref in addends if read[ref] == 1)
        found[number] = {product.value: (ref, product) for ref, product in products if product is not None}
        for value in found[number]:
            mixed[value] = mixed.get(value, 0) + 1
    for number, own in found.items():
        shared = {ref: product for value, (ref, product) in own.items() if mixed[value] > 1}
        if len(shared) > 1:
            products = tuple(sorted(shared.values(), key=lambda product: (product.value.node, product.value.index)))
            yield Mixture(number, products, tuple(ref for ref in added[number] if ref not in shared))
        elif len(own) > 1:
            journal.decline(body, f"{len(own)} values are mixed only here: one product would be slower", body.nodes[number].span)
        elif sum(is_scaled(body, ref) for ref in added[number]) > 1:
            journal.decline(body, "the gates are of places: one product would be slower", body.nodes[number].span)


def _write(writer: Writer, group: list[Mixture]) -> None:
    body, write = writer.old, writer.operation
    like = body.nodes[group[0].number]
    gates = tuple(gate_matrix(writer, [(product.gate,) for product in each.products], like) for each in group)
    values = tuple(writer.at(product.value) for product in group[0].products)
    shape = writer.type(values[0]).shape[1:]
    stacked = write("stack", like, tensors=values, dim=0)
    stacked = write("flatten", like, x=stacked, start=2, end=-1) if len(shape) > 1 else stacked
    together = write("stack", like, tensors=gates, dim=0)
    made = write("matmul", like, a=write("transpose", like, x=together, a=0, b=1), b=write("transpose", like, x=stacked, a=0, b=1))
    parts = write("unbind", like, x=write("unflatten", like, x=made, dim=-1, shape=shape) if len(shape) > 1 else made, dim=1)
    for index, each in enumerate(group):
        total = Ref(parts.node, index)
        for more in each.rest:
            total = write("add", body.nodes[each.number], body.nodes[each.number].name, a=total, b=writer.at(more))
        writer.stand_for(each.number, [total])
