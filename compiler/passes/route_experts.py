"""See `RouteExperts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, cast

from ...dsl.dims import Dim
from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.record import record
from ...dsl.types import Axis, extent
from ..graph import Graph, module_at, operands
from ..optimize.batching import BINARY, ELEMENTWISE
from ..optimize.feeding import FeedForward, feed_forward
from ..optimize.inlining import inlined_where
from ..optimize.interface import Journal, Pass
from ..optimize.purity import static
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer

ROWWISE = (ELEMENTWISE | BINARY) - {"mT"}


@dataclass(frozen=True, slots=True)
class RouteExperts(Pass):
    """Compute each expert on the rows that it is kept for alone: `sum_e g_e f_e(x) where keep_e`, where `topk_mask` keeps a number of experts for
    each row.

    Feed-forward experts without biases under gates are one operation, `moe_ffn`, which gives few rows to all of them.  For any other experts the rows
    are put in the order of their experts, the linears of all experts are one grouped product, and the results are added up where the rows came from.
    Gates that are masked by `keep_e` and normalised are computed for the experts that are kept alone, a softmax as that over these.
    In a call with fewer rows than experts the product is one for each expert that has rows, and the others' parameters get a gradient of zeros
    without storage.
    Only where `keep_e` is false for half of the experts or more, and that spares `least` multiply-adds; an axis of open size counts as `rows`.
    Under `torch.compile` grouped products exist in bfloat16 alone: there it pays to leave the pass out for other dtypes.
    """

    least: int = 2_000_000
    rows: int = 16

    fires: ClassVar[Mapping[str, int]] = {"texts/route_experts": 6}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Route the mixtures of each body."""
        return rebuild(graph, lambda body: self._routed(body, journal))

    def _routed(self, body: Body, journal: Journal) -> Body:
        if not any(_sums(body, readers(body))):
            return body
        chosen = inlined_where(body, lambda flat: (number for found in self._mixtures(flat, journal) for number in found.nodes))
        mixtures = {found.root: found for found in self._mixtures(chosen, None)}
        if not mixtures:
            return body
        writer = Writer(chosen)
        for number, node in enumerate(chosen.nodes):
            if number in mixtures:
                found = mixtures[number]
                writer.stand_for(number, [_Emission(writer, found, node).result()])
                journal.fire(body, f"of {len(found.values)} experts each row is given to {found.kept} alone", node.span)
            else:
                writer.copy(number)
        return writer.body()

    def _mixtures(self, body: Body, journal: Journal | None) -> Iterator[Mixture]:
        read = readers(body)
        for root, terms in _sums(body, read):
            found = _mixture(body, root, terms)
            if found is None:
                continue
            against = found.experts.against or self._loss(body, found, read)
            if against is None:
                yield found
            elif journal is not None:
                journal.decline(body, f"each row is given to all of {len(found.values)} experts: {against}", body.nodes[root].span)

    def _loss(self, body: Body, found: Mixture, read: Counter[Ref]) -> str | None:
        """Say why nothing would be won."""
        inside = Counter(ref for number in found.experts.nodes for _, ref in operands(body.nodes[number]))
        inside.update(found.values)
        if any(read[Ref(number)] != inside[Ref(number)] for number in found.experts.nodes):
            return "what they compute is read elsewhere, too"
        count, sizes = len(found.values), [extent(axis) for axis in found.rows]
        places = prod(self.rows if isinstance(size, Dim) else size for size in sizes)
        spared = (count - found.kept) * places * found.experts.products // count
        if 2 * found.kept > count:
            return f"{found.kept} of them are kept"
        return f"that spares {spared} multiply-adds" if spared < self.least else None


@record
class Mixture:
    """A sum over experts that keeps a few for each row: what is kept, the gates if there are any, and the results by expert."""

    root: int
    keep: Ref
    kept: int
    gate: Ref | None
    values: tuple[Ref, ...]
    rows: tuple[Axis, ...]
    experts: Experts

    @property
    def nodes(self) -> set[int]:
        """What has to stand in the same body."""
        return {*self.experts.nodes, self.keep.node, *([] if self.gate is None else [self.gate.node])}


def _sums(body: Body, read: Counter[Ref]) -> Iterator[tuple[int, tuple[Ref, ...]]]:
    """Yield the largest sums of values that are masked with zeros."""
    found: dict[int, tuple[Ref, ...]] = {}
    inner: set[int] = set()
    for number, node in enumerate(body.nodes):
        if node.kind is not NodeKind.OPERATION:
            continue
        if node.target == "where" and node.attributes.get("b") == 0.0 and isinstance(node.inputs.get("a"), Ref):
            found[number] = (Ref(number),)
        elif node.target == "add":
            sides = [ref for _, ref in operands(node)]
            if len(sides) == 2 and all(ref.node in found and read[ref] == 1 for ref in sides):
                found[number] = (*found[sides[0].node], *found[sides[1].node])
                inner.update(ref.node for ref in sides)
    yield from ((number, terms) for number, terms in found.items() if len(terms) > 1 and number not in inner)


def _mixture(body: Body, root: int, terms: tuple[Ref, ...]) -> Mixture | None:
    values: dict[int, Ref] = {}
    keeps, gates = set[Ref](), set[Ref | None]()
    for term in terms:
        node = body.nodes[term.node]
        keep = _member(body, cast(Ref, node.inputs["condition"]))
        if keep is None or keep[1] in values:
            return None
        gate, values[keep[1]] = _gated(body, cast(Ref, node.inputs["a"]), keep[1])
        keeps.add(keep[0])
        gates.add(gate)
    keep, gate = next(iter(keeps)), next(iter(gates))
    kept, *rows, count = _kept(body, keep), *body.type(keep).shape
    if len(keeps) != 1 or len(gates) != 1 or kept is None or not rows or set(values) != set(range(int(cast(int, extent(count))))):
        return None
    if gate is not None and body.type(gate).shape != body.type(keep).shape:
        return None
    ordered = tuple(values[member] for member in sorted(values))
    return Mixture(root, keep, kept, gate, ordered, tuple(rows), Experts(body, ordered, tuple(rows)))


def _member(body: Body, ref: Ref) -> tuple[Ref, int] | None:
    """Return the value of which this is one position of the last axis, and which; axes of size 1 may stand behind."""
    node = body.nodes[ref.node]
    while node.kind is NodeKind.OPERATION and node.target == "unsqueeze" and node.attributes["dim"] in (-1, node.outputs[0].rank - 1):
        node = body.nodes[cast(Ref, node.inputs["x"]).node]
    if node.kind is not NodeKind.OPERATION or node.target != "index":
        return None
    x, items = cast(Ref, node.inputs["x"]), list(node.attributes["items"])
    while items and items[-1] is None:
        items.pop()
    *before, at = items or [None]
    whole = before == [...] or (all(item == slice(None) for item in before) and len(items) == body.type(x).rank)
    return (x, at) if whole and isinstance(at, int) and at >= 0 else None


def _gated(body: Body, ref: Ref, member: int) -> tuple[Ref | None, Ref]:
    """Return the gates of all experts, if a value is multiplied by that of its own, and what is multiplied."""
    node = body.nodes[ref.node]
    if node.kind is NodeKind.OPERATION and node.target == "mul":
        for one, other in (("a", "b"), ("b", "a")):
            by, value = node.inputs.get(one), node.inputs.get(other)
            if isinstance(by, Ref) and isinstance(value, Ref) and body.type(by).rank == body.type(value).rank:
                gate = _member(body, by)
                if gate is not None and gate[1] == member and extent(body.type(by).shape[-1]) == 1:
                    return gate[0], value
    return None, ref


def _kept(body: Body, ref: Ref) -> int | None:
    """Return how many of the last axis a mask is true for, if that is the same in every row."""
    node = body.nodes[ref.node]
    if node.kind is not NodeKind.OPERATION or node.target != "topk_mask" or node.attributes["dim"] not in (-1, node.outputs[0].rank - 1):
        return None
    count = node.attributes["k"]
    return count if isinstance(count, int) and count > 0 else None


class Experts:
    """How values of all experts come about alike: by linears of each expert's own and operations on rows, from values that they share."""

    def __init__(self, body: Body, values: tuple[Ref, ...], rows: tuple[Axis, ...]) -> None:
        self.body, self.rows = body, rows
        self.nodes: set[int] = set()
        self.products = 0
        self.linears: dict[tuple[Ref, ...], list[list[tuple[Ref, ...]]]] = {}  # by what they read
        self.against = self._against(values)

    def _against(self, refs: tuple[Ref, ...]) -> str | None:
        """Collect what computes these values; return what speaks against it."""
        nodes = [self.body.nodes[ref.node] for ref in refs]
        first, type_ = nodes[0], self.body.type(refs[0])
        if type_.shape[:-1] != self.rows:
            return f"`{first.name or first.target}` has other rows"
        if all(ref == refs[0] for ref in refs):
            return None
        if refs[0].node in self.nodes:
            return None
        linear = first.kind is NodeKind.LEAF and len({node.target for node in nodes}) == len(nodes) and self._alike(nodes)
        if not linear and (first.kind is not NodeKind.OPERATION or first.target not in ROWWISE):
            return f"`{first.name or first.target}` is no operation on rows"
        described = {(node.kind, node.target if not linear else "", static(node.attributes), tuple(node.inputs), node.outputs) for node in nodes}
        if len(described) > 1:
            return f"`{first.name or first.target}` differs between them"
        self.nodes.update(ref.node for ref in refs)
        for name in first.inputs:
            given = tuple(ref for node in nodes if isinstance(ref := node.inputs[name], Ref))
            against = self._against(given) if given else None
            if against is not None:
                return against
            if linear:
                self._beside(given, refs)
        return None

    def _beside(self, given: tuple[Ref, ...], refs: tuple[Ref, ...]) -> None:
        """Put linears beside others that read the same, if all have a bias or none has."""
        found = self.linears.setdefault(given, [])
        home = next((others for others in found if self._has_bias(others) == self._has_bias(refs)), None)
        if home is None:
            found.append([refs])
        else:
            home.append(refs)

    def _has_bias(self, others: list[tuple[Ref, ...]] | tuple[Ref, ...]) -> bool:
        first = others[0] if isinstance(others[0], Ref) else others[0][0]
        declared = module_at(self.body, self.body.nodes[first.node].target)
        return declared is not None and bool(declared.arguments["bias"])

    def _alike(self, nodes: list[Node]) -> bool:
        made = [module_at(self.body, node.target) for node in nodes]
        sizes = {
            (each.kind, each.arguments["din"], each.arguments["dout"], each.arguments["bias"]) for each in made if each and each.kind == "Linear"
        }
        if len(sizes) != 1 or any(each is None or each.kind != "Linear" for each in made):
            return False
        _, din, dout, _ = next(iter(sizes))
        self.products += len(nodes) * int(din) * int(dout)
        return True


class _Emission:
    """Writes one mixture."""

    def __init__(self, writer: Writer, found: Mixture, like: Node) -> None:
        self.writer, self.found, self.like = writer, found, like
        self._made: dict[tuple[Ref, ...], Ref] = {}
        mask = writer.old.nodes[found.keep.node]
        best = writer.operation("topk", mask, x=writer.at(cast(Ref, mask.inputs["x"])), k=found.kept, dim=-1, largest=mask.attributes["largest"])
        self._chosen = Ref(best.node, 1)
        self._of_chosen = {cast(Ref, mask.inputs["x"]): best}
        rows = writer.operation("routes", like, chosen=self._chosen, members=len(found.values))
        self._rows, self._members, self._places, self._ends = (Ref(rows.node, place) for place in range(4))

    def result(self) -> Ref:
        """Return the sum."""
        write, like = self.writer.operation, self.like
        fed = feed_forward(self.writer.old, self.found.values) if self.found.gate is not None else None
        if fed is not None:
            return self._fed(fed)
        value = self._value(self.found.values)
        if self.found.gate is not None:
            gates = write("flatten", like, x=self._at_chosen(self.found.gate), start=0, end=-1)
            own = write("take", like, x=gates, index=self._places, dim=0)
            value = write("mul", like, a=value, b=write("unsqueeze", like, x=own, dim=-1))
        shape = like.outputs[0].shape
        size: Any = 1
        for axis in self.found.rows:
            size = size * extent(axis)
        total = write("segment_sum", like, like.name, x=value, segment=self._rows, count=size)
        return total if len(self.found.rows) == 1 else write("unflatten", like, like.name, x=total, dim=0, shape=shape[:-1])

    def _fed(self, found: FeedForward) -> Ref:
        """Return the sum over feed-forward experts, weighed by gates."""
        write, like = self.writer.operation, self.like
        weights = [self._own(self.writer.old.nodes[refs[expert].node])["weight"] for expert in range(len(found.outer)) for refs in found.inner]
        inner = write("concat", like, tensors=tuple(weights), dim=0)
        last = [self.writer.old.nodes[ref.node] for ref in found.outer]
        outer = self._side_by_side([self._own(node)["weight"] for node in last], int(cast(int, extent(last[0].outputs[0].shape[-1]))))
        given = {"x": self.writer.at(found.read), "chosen": self._chosen, "gates": self._at_chosen(cast(Ref, self.found.gate))}
        return write("moe_ffn", like, like.name, inner=inner, outer=outer, activation=found.activation, **given)

    def _at_chosen(self, ref: Ref) -> Ref:
        """Return a value of all experts for those that each row is given to, computed for them alone where it is masked and normalised."""
        if ref not in self._of_chosen:
            self._of_chosen[ref] = self._narrowed(ref)
        return self._of_chosen[ref]

    def _narrowed(self, ref: Ref) -> Ref:
        old, write = self.writer.old, self.writer.operation
        node, whole = old.nodes[ref.node], old.type(self.found.keep).shape
        if self._is_masked(ref):
            return self._at_chosen(cast(Ref, node.inputs["a"]))
        shares = self._normalised(node)
        if shares is not None:  # softmax over those that are kept
            return write("softmax", node, node.name, **{**shares.attributes, "x": self._at_chosen(cast(Ref, shares.inputs["x"]))})
        if node.kind is NodeKind.OPERATION and node.target in ROWWISE and old.type(ref).shape == whole:
            given = {name: self._at_chosen(each) for name, each in node.inputs.items() if isinstance(each, Ref)}
            return write(node.target, node, node.name, **{**node.attributes, **given})
        if node.kind is NodeKind.OPERATION and node.target == "sum" and old.type(ref).shape == (*whole[:-1], 1):
            masked = cast(Ref, node.inputs["x"])
            if self._is_masked(masked) and old.nodes[masked.node].attributes.get("b") == 0.0:
                return write("sum", node, node.name, **{**node.attributes, "x": self._at_chosen(masked)})
        if old.type(ref).shape == whole:
            return write("gather", self.like, x=self.writer.at(ref), index=self._chosen, dim=-1)
        return self.writer.at(ref)

    def _normalised(self, node: Node) -> Node | None:
        """Return the softmax over all experts that a node masks with zeros, and divides by what is left."""
        old = self.writer.old
        a, b = node.inputs.get("a"), node.inputs.get("b")
        if node.kind is not NodeKind.OPERATION or node.target != "div" or not isinstance(a, Ref) or not isinstance(b, Ref) or not self._is_masked(a):
            return None
        masked, total = old.nodes[a.node], old.nodes[b.node]
        shares = old.nodes[cast(Ref, masked.inputs["a"]).node]
        sums = total.kind is NodeKind.OPERATION and total.target == "sum" and total.inputs["x"] == a
        divided = sums and old.type(b).shape == (*old.type(a).shape[:-1], 1)
        softmax = shares.kind is NodeKind.OPERATION and shares.target == "softmax" and shares.attributes["dim"] in (-1, len(self.found.rows))
        return shares if divided and softmax and masked.attributes.get("b") == 0.0 else None

    def _is_masked(self, ref: Ref) -> bool:
        """Tell whether a value of all experts is something else where it is not kept."""
        node, old = self.writer.old.nodes[ref.node], self.writer.old
        whole = old.type(self.found.keep).shape
        if node.kind is not NodeKind.OPERATION or node.target != "where" or node.inputs["condition"] != self.found.keep:
            return False
        return isinstance(a := node.inputs.get("a"), Ref) and old.type(a).shape == whole

    def _taken(self, ref: Ref) -> Ref:
        """Return the rows of a value in the order of their experts."""
        x = self.writer.at(ref)
        flat = self.writer.operation("flatten", self.like, x=x, start=0, end=-2) if self.writer.type(x).rank > 2 else x
        return self.writer.operation("take", self.like, x=flat, index=self._rows, dim=0)

    def _value(self, refs: tuple[Ref, ...]) -> Ref:
        """Return what the experts compute, each of its rows by its own expert."""
        if refs not in self._made:
            node = self.writer.old.nodes[refs[0].node]
            if all(ref == refs[0] for ref in refs):
                self._made[refs] = self._taken(refs[0])
            elif node.kind is NodeKind.LEAF:
                self._linears(refs)
            else:
                given = {name: self._value(self._inputs(refs, name)) for name, operand in node.inputs.items() if operand is not None}
                self._made[refs] = self.writer.operation(node.target, node, node.name, **{**node.attributes, **given})
        return self._made[refs]

    def _inputs(self, refs: tuple[Ref, ...], name: str) -> tuple[Ref, ...]:
        return tuple(cast(Ref, self.writer.old.nodes[ref.node].inputs[name]) for ref in refs)

    def _linears(self, refs: tuple[Ref, ...]) -> None:
        """Write linears of the experts with all others that read the same as one product."""
        given = self._inputs(refs, "x")
        x = self._value(given)
        siblings = next(found for found in self.found.experts.linears[given] if refs in found)
        nodes = [[self.writer.old.nodes[refs[expert].node] for refs in siblings] for expert in range(len(given))]
        widths = [int(cast(int, extent(node.outputs[0].shape[-1]))) for node in nodes[0]]
        tensors = [[self._own(node) for node in own] for own in nodes]
        made = {name: self._side_by_side([own[name] for each in tensors for own in each], sum(widths)) for name in tensors[0][0]}
        whole = self.writer.operation("grouped_linear", nodes[0][0], nodes[0][0].name, x=x, member=self._members, ends=self._ends, **made)
        if not siblings[1:]:
            self._made[siblings[0]] = whole
            return
        parts = self.writer.operation("split", nodes[0][0], x=whole, sizes=tuple(widths), dim=-1)
        for place, refs in enumerate(siblings):
            self._made[refs] = Ref(parts.node, place)

    def _own(self, node: Node) -> Mapping[str, Ref]:
        declared = module_at(self.writer.old, node.target)
        assert declared is not None
        return self.writer.weights(node.target, declared, node.span)

    def _side_by_side(self, values: list[Ref], width: int) -> Ref:
        """Return the tensors of all experts, an expert at each place of a new axis 0."""
        joined = self.writer.operation("concat", self.like, tensors=tuple(values), dim=0)
        count = len(self.found.values)
        return self.writer.operation("unflatten", self.like, x=joined, dim=0, shape=(count, width))
