"""See `Sdpa`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.types import DType
from ..graph import Graph, operand_refs, operands
from ..optimize.interface import Journal, Pass
from ..optimize.purity import chance
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer

AXES = 4
"""The rank that torch's fused kernels take; attention of another rank would run as the same products, with more around them."""


@dataclass(frozen=True, slots=True)
class Sdpa(Pass):
    """Compute attention that is written out, `softmax(scale q k^T + mask) v`, by torch's fused kernel, which keeps no weights.

    Not where the scores or weights are read otherwise.  The kernel gives no gradient to its mask, drops other weights in training than the text
    does, and has no derivative of its derivative: `optimize = "none"` where that is taken.
    """

    fires: ClassVar[Mapping[str, int]] = {"sketches/cswin": 7}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Put the kernel in the place of every product with weights."""
        evaluates = graph.program.only_evaluates
        return rebuild(graph, lambda body: _Reader(body, evaluates, journal).fused())


@dataclass(slots=True)
class _Scores:
    """What the scores are: `scale q k^T`, with numbers added and places that are seen; `down`: the keys lie as `k^T`."""

    q: Ref
    k: Ref
    down: bool
    scale: float = 1.0
    added: list[Ref] = field(default_factory=list[Ref])
    seen: list[Ref] = field(default_factory=list[Ref])


class _Reader:
    """Finds attention in a body."""

    def __init__(self, body: Body, evaluates: bool, journal: Journal) -> None:
        self.body = body
        self.evaluates = evaluates
        self.journal = journal
        self.read: Counter[Ref] = readers(body)

    def fused(self) -> Body:
        """Return the body with the kernel, or the very body."""
        found = {number: made for number, node in enumerate(self.body.nodes) if (made := self._attention(node)) is not None}
        if not found:
            return self.body
        writer = Writer(self.body)
        for number, node in enumerate(self.body.nodes):
            if number not in found:
                writer.copy(number)
                continue
            scores, v = found[number]
            writer.stand_for(number, [_written(writer, node, scores, v)])
            self.journal.fire(self.body, "attention by the fused kernel", node.span)
        return writer.body()

    def _attention(self, node: Node) -> tuple[_Scores, Ref] | None:
        """Return the scores and the values of a product with weights, where the kernel may stand for it."""
        product = _product(self.body, node)
        if product is None or product[2]:
            return None
        weights, v, _ = product
        soft = self._operation(weights)
        chain = [weights]
        drops = False
        if soft is not None and soft.target == "dropout" and isinstance(x := soft.inputs["x"], Ref):
            drops = chance(soft) > 0
            chain.append(x)
            soft = self._operation(x)
        if soft is None or soft.target != "softmax" or not isinstance(x := soft.inputs["x"], Ref):
            return None
        if soft.attributes["dim"] not in (-1, self.body.type(x).rank - 1) or soft.attributes["dtype"] is not None:
            return None
        scores = self._scores(x)
        if scores is None:
            return None
        why = self._against(scores, v, chain, drops)
        if why:
            self.journal.decline(self.body, why, node.span)
        return None if why else (scores, v)

    def _scores(self, ref: Ref) -> _Scores | None:
        """Read scores; those that something else reads, too, are computed anyway."""
        node = self._operation(ref)
        if node is None or self.read[ref] != 1:
            return None
        product = _product(self.body, node)
        if product is not None:
            return self._products(*product)
        factor, inner = _scaled(node)
        if inner is not None:
            found = self._scores(inner)
            if found is None or found.added:
                return None  # what is added would be scaled, too
            found.scale *= factor
            return found
        return self._masked(node)

    def _products(self, a: Ref, b: Ref, down: bool) -> _Scores:
        """Read `q k^T`; a factor of either is one of the scores."""
        found = _Scores(a, b, not down)
        turned = self._operation(b)
        if found.down and turned is not None and _turns(turned) and isinstance(x := turned.inputs["x"], Ref):
            found.k, found.down = x, False
        for name in ("q", "k"):
            own: Ref = getattr(found, name)
            node = self._operation(own)
            factor, inner = _scaled(node) if node is not None else (1.0, None)
            if inner is not None and self.read[own] == 1:
                found.scale *= factor
                setattr(found, name, inner)
        return found

    def _masked(self, node: Node) -> _Scores | None:
        """Read `scores + mask` and `where(seen, scores, -inf)`."""
        a, b = node.inputs.get("a"), node.inputs.get("b")
        if node.target == "add" and isinstance(a, Ref) and isinstance(b, Ref):
            for scores, mask in ((a, b), (b, a)):
                found = self._scores(scores) if self.body.type(scores) == node.outputs[0] else None
                if found is not None:
                    found.added.append(mask)
                    return found
        if node.target == "where" and isinstance(a, Ref) and node.attributes.get("b") == float("-inf"):
            seen = node.inputs["condition"]
            found = self._scores(a) if self.body.type(a) == node.outputs[0] else None
            if found is not None and isinstance(seen, Ref):
                found.seen.append(seen)
                return found
        return None

    def _against(self, scores: _Scores, v: Ref, chain: list[Ref], drops: bool) -> str:
        """Say why the kernel can't stand for the text."""
        q, k, values = (self.body.type(ref) for ref in (scores.q, scores.k, v))
        width = k.shape[-2] if scores.down else k.shape[-1]
        if any(self.read[ref] != 1 for ref in chain):
            return "the weights are read otherwise, too"
        if q.rank != AXES or q.rank != k.rank != values.rank or not q.shape[:-2] == k.shape[:-2] == values.shape[:-2] or q.shape[-1] != width:
            return f"the kernel takes {AXES} axes, [B, heads, tokens, d], of which the first two are the same for queries, keys and values"
        if len({q.dtype, k.dtype, values.dtype}) != 1 or any(self.body.type(mask).dtype is not q.dtype for mask in scores.added):
            return "the kernel takes queries, keys, values and what is added to the scores in one dtype"
        if any(not 2 <= self.body.type(mask).rank <= AXES for mask in (*scores.added, *scores.seen)):
            return "a mask of the kernel has the scores' last two axes"
        if drops and not self.evaluates:
            return "the weights are dropped in training, and the kernel draws others"
        if not self.evaluates and any(self._learns(mask) for mask in scores.added):
            return "what is added to the scores may need a gradient, and the kernel gives it none"
        return ""

    def _learns(self, ref: Ref) -> bool:
        """Tell whether a value may need a gradient."""
        node = self.body.nodes[ref.node]
        if self.body.type(ref).dtype in (DType.BOOL, DType.INT, DType.INT32):
            return False
        return node.kind not in (NodeKind.OPERATION, NodeKind.CONSTANT) or any(self._learns(operand) for _, operand in operands(node))

    def _operation(self, ref: Ref) -> Node | None:
        node = self.body.nodes[ref.node]
        return node if node.kind is NodeKind.OPERATION else None


def _product(body: Body, node: Node) -> tuple[Ref, Ref, bool] | None:
    """Return the operands of a matrix product over the last two axes, and whether the second lies transposed."""
    if node.kind is not NodeKind.OPERATION:
        return None
    if node.target == "matmul":
        a, b = node.inputs["a"], node.inputs["b"]
        return (a, b, False) if isinstance(a, Ref) and isinstance(b, Ref) else None
    refs = operand_refs(node.inputs["tensors"]) if node.target == "einsum" else ()
    sides, _, result = str(node.attributes.get("pattern", "")).partition("->")
    words = [side.split() for side in (*sides.split(","), result)]
    if len(refs) != 2 or any(len(word) != AXES for word in words) or not words[0][:2] == words[1][:2] == words[2][:2]:
        return None
    (i, j), second, third = (word[2:] for word in words)
    if len({*words[0][:2], i, j, *second}) != AXES + 1:
        return None
    if second[1] == j and third == [i, second[0]]:
        return refs[0], refs[1], True
    return (refs[0], refs[1], False) if second[0] == j and third == [i, second[1]] else None


def _scaled(node: Node) -> tuple[float, Ref | None]:
    """Return the factor and the operand of a product or quotient with a number."""
    a, b = node.inputs.get("a"), node.inputs.get("b")
    left, right = node.attributes.get("a"), node.attributes.get("b")
    if node.target == "mul" and isinstance(a, Ref) and isinstance(right, (int, float)):
        return float(right), a
    if node.target == "mul" and isinstance(b, Ref) and isinstance(left, (int, float)):
        return float(left), b
    return (1 / float(right), a) if node.target == "div" and isinstance(a, Ref) and isinstance(right, (int, float)) and right else (1.0, None)


def _turns(node: Node) -> bool:
    """Tell whether a node changes places of the last two axes alone."""
    rank = node.outputs[0].rank
    return node.target == "mT" or (node.target == "transpose" and {node.attributes["a"] % rank, node.attributes["b"] % rank} == {rank - 2, rank - 1})


def _written(writer: Writer, node: Node, scores: _Scores, v: Ref) -> Ref:
    """Write the kernel with one mask."""
    k = writer.at(scores.k)
    if scores.down:
        k = writer.operation("mT", node, x=k)
    masks: dict[str, Ref] = {}
    for name, operation, refs in (("added", "add", scores.added), ("seen", "bitwise_and", scores.seen)):
        for ref in refs:
            masks[name] = writer.operation(operation, node, a=masks[name], b=writer.at(ref)) if name in masks else writer.at(ref)
    mask = masks.get("added", masks.get("seen"))
    if len(masks) == 2:
        mask = writer.operation("where", node, condition=masks["seen"], a=masks["added"], b=float("-inf"))
    given = {} if mask is None else {"mask": mask}
    return writer.operation("attention", node, node.name, q=writer.at(scores.q), k=k, v=writer.at(v), scale=scores.scale, **given)
