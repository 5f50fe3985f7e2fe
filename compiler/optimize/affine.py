"""Values of a body that are sums of affine maps of one other value: what convolutions, linears, norms, numbers and gates make of it.

`y = sum_i g_i A_i(x) + c`: A_i is a chain of linears or convolutions without activation, g_i one number for each sample.  All that makes up
an A_i depends on parameters alone, so that the sum can be computed as one map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import cast

from ...blocks.parameters import per_axis
from ...dsl.dims import Dim
from ...dsl.program import Body, ModuleDecl, Node, NodeKind, Ref
from ...dsl.record import record
from ...dsl.types import extent
from ..graph import module_at, operands, results
from ..paths import is_handed, join
from .gates import is_gate
from .purity import is_pure
from .readers import readers

AXES = {"Linear": 0, "Conv1d": 1, "Conv2d": 2}
"""How many axes of places the kernel of a map slides over."""
NORMS = {"BatchNorm1d": 3, "BatchNorm2d": 4}
"""Norms that only scale and shift channels in evaluation, by the rank of what they read."""


@record
class Step:
    """One leaf of a chain: a linear, a convolution, or a norm over channels; its path is that in the body.

    A product with a matrix that depends on parameters alone is a linear, too: `matrix` is its value, `turned` if that is [inputs, outputs].
    """

    path: str
    declared: ModuleDecl
    node: Node
    matrix: Ref | None = None
    turned: bool = False

    @property
    def is_norm(self) -> bool:
        return self.declared.kind in NORMS

    @property
    def window(self) -> tuple[object, ...]:
        """What the kernel reads at each place: its size, step, padding and dilation."""
        count = AXES[self.declared.kind]
        return tuple(
            value if isinstance(value := self.declared.arguments[name], str) else per_axis(value, count)
            for name in ("kernel", "stride", "padding", "dilation")
            if count
        )

    @property
    def is_pointwise(self) -> bool:
        """Tell whether each place is mapped by itself."""
        count = AXES[self.declared.kind]
        return count == 0 or self.window[:3] in (((1,) * count, (1,) * count, (0,) * count), ((1,) * count, (1,) * count, "same"))

    @property
    def width(self) -> int:
        """The channels of its result."""
        return int(self.declared.arguments["dout" if self.declared.kind == "Linear" else "cout"])

    @property
    def reads(self) -> int:
        """How many numbers one of its results is computed from."""
        given = self.declared.arguments
        return int(given["din"]) if self.declared.kind == "Linear" else int(given["cin"]) * prod(per_axis(given["kernel"], AXES[self.declared.kind]))


Chain = tuple[Step, ...]


@record
class Term:
    """`factor g A(x)`, behind norms: `gates` are the values that are multiplied into g."""

    chain: Chain
    gates: tuple[Ref, ...] = ()
    factor: float = 1.0
    norms: Chain = ()


@record
class Shift:
    """What a norm adds, behind other norms."""

    norm: Step
    norms: Chain = ()


@record
class Affine:
    """A value as a sum of affine maps of `base`."""

    base: Ref
    terms: tuple[Term, ...]
    shifts: tuple[Shift, ...] = ()

    @property
    def is_chain(self) -> bool:
        """Tell whether it is one map, ungated."""
        first = self.terms[0]
        return len(self.terms) == 1 and not (first.gates or first.norms or self.shifts) and first.factor == 1


class Affines:
    """Finds affine values of a body, of which no pass has changed what modules compute; where it `evaluates` alone, norms are such, too, and what
    stops gradients changes nothing.
    """

    def __init__(self, body: Body, evaluates: bool) -> None:
        self.body = body
        self.evaluates = evaluates
        self.found: dict[Ref, Affine] = {}
        self.inner: set[Ref] = set()
        """Values that a larger one has taken in."""
        self._readers = readers(body)
        for number, node in enumerate(body.nodes):
            made = self._made(node)
            if made is not None:
                self.found[Ref(number)] = made

    @cached_property
    def _fixed(self) -> set[int]:
        return fixed(self.body)

    @property
    def sums(self) -> dict[int, Affine]:
        """The largest values that are sums of more than one map, by their nodes."""
        return {ref.node: found for ref, found in self.found.items() if ref not in self.inner and len(found.terms) > 1}

    def source(self, ref: Ref) -> Ref:
        """Return what a value is, seen through what only stops gradients."""
        while self.evaluates and self.body.nodes[ref.node].target == "detach" and self.body.nodes[ref.node].kind is NodeKind.OPERATION:
            ref = cast(Ref, self.body.nodes[ref.node].inputs["x"])
        return ref

    def _made(self, node: Node) -> Affine | None:
        match node.kind:
            case NodeKind.LEAF:
                return self._leaf(node)
            case NodeKind.CALL:
                return self._call(node)
            case NodeKind.OPERATION if node.target == "matmul":
                return self._product(node)
            case NodeKind.OPERATION if node.target == "add":
                return self._sum(node)
            case NodeKind.OPERATION if node.target == "mul":
                return self._scaled(node)
            case _:
                return None

    def _own(self, ref: object) -> Affine | None:
        """Return the affine form of a value that nothing else reads."""
        return self.found.get(ref) if isinstance(ref, Ref) and self._readers[ref] == 1 else None

    def _taken(self, made: Affine, *inner: object) -> Affine:
        self.inner.update(cast("Sequence[Ref]", inner))
        return made

    def _leaf(self, node: Node) -> Affine | None:
        declared, x = module_at(self.body, node.target), node.inputs.get("x")
        if declared is None or declared.extern is not None or not isinstance(x, Ref):
            return None
        step, before = Step(node.target, declared, node), self._own(x)
        if declared.kind in NORMS:
            plain = self.evaluates and declared.arguments["track"] and self.body.type(x).rank == NORMS[declared.kind]
            return self._taken(_normed(before, step), x) if plain and before is not None else None
        if declared.kind not in AXES or declared.arguments.get("padding_mode", "zeros") != "zeros" or declared.arguments.get("groups", 1) != 1:
            return None
        return self._step(x, step)

    def _product(self, node: Node) -> Affine | None:
        """Return a product with a matrix of parameters as a linear."""
        x, matrix = node.inputs["a"], node.inputs["b"]
        if not isinstance(x, Ref) or not isinstance(matrix, Ref) or matrix.node not in self._fixed or self.body.type(x).rank < 2:
            return None
        turned, sizes = True, [extent(axis) for axis in self.body.type(matrix).shape]
        source = self.body.nodes[matrix.node]
        inner = source.inputs.get("x")
        if source.kind is NodeKind.OPERATION and source.target in ("transpose", "mT") and isinstance(inner, Ref) and len(sizes) == 2:
            is_swap = source.target == "mT" or source.attributes["a"] % 2 != source.attributes["b"] % 2
            matrix, turned = (inner, False) if is_swap else (matrix, True)
        if len(sizes) != 2 or any(isinstance(size, Dim) for size in sizes):
            return None
        read = self.body.nodes[matrix.node]
        path = f"{read.target if read.kind is NodeKind.PARAMETER else f'%{matrix.node}'}{'.mT' if turned else ''}"
        declared = ModuleDecl(path, path, (), node.span, "Linear", {"din": sizes[0], "dout": sizes[1], "bias": False})
        return self._step(x, Step(path, declared, node, matrix, turned))

    def _step(self, x: Ref, step: Step) -> Affine:
        """Put a linear or a convolution behind what there is."""
        before = self._own(x)
        if before is not None and before.is_chain and step.is_pointwise:
            return self._taken(Affine(before.base, (Term((*before.terms[0].chain, step)),)), x)
        return Affine(self.source(x), (Term((step,)),))

    def _call(self, node: Node) -> Affine | None:
        callee = node.body
        given = [operand for operand in node.inputs.values() if operand is not None]
        if callee is None or is_handed(node.target) or len(given) != 1 or not isinstance(given[0], Ref) or len(results(callee)) != 1:
            return None
        chain = _chain(callee, self.evaluates)
        return Affine(self.source(given[0]), (Term(tuple(replace(s, path=join(node.target, s.path)) for s in chain)),)) if chain else None

    def _sum(self, node: Node) -> Affine | None:
        a, b = node.inputs.get("a"), node.inputs.get("b")
        left, right = self._own(a), self._own(b)
        if left is None or right is None or a == b or left.base != right.base or shape_of(left) != shape_of(right):
            return None
        return self._taken(Affine(left.base, (*left.terms, *right.terms), (*left.shifts, *right.shifts)), a, b)

    def _scaled(self, node: Node) -> Affine | None:
        for one, other in (("a", "b"), ("b", "a")):
            value, by = node.inputs.get(one), node.inputs.get(other, node.attributes.get(other))
            held = self._own(value)
            if held is None or held.shifts:
                continue
            if isinstance(by, Ref) and self._gates(by, cast(Ref, value)):
                return self._taken(replace(held, terms=tuple(replace(term, gates=(*term.gates, by)) for term in held.terms)), value)
            if isinstance(by, (int, float)):
                return self._taken(replace(held, terms=tuple(replace(term, factor=term.factor * by) for term in held.terms)), value)
        return None

    def _gates(self, by: Ref, value: Ref) -> bool:
        """Tell whether a factor is a gate; a sample with one place alone has no use for a kernel of its own."""
        factor, scaled = self.body.type(by), self.body.type(value)
        return is_gate(factor, scaled) and (scaled.rank > 2 or factor.shape[:1] in ((), (1,)))


def affines(body: Body, evaluates: bool) -> Affines:
    """Return the affine values of a body: kept with the body."""
    key = ("affines", evaluates)
    found: Affines | None = body.found.get(key)
    if found is None:
        found = body.found[key] = Affines(body, evaluates)
    return found


def _chain(callee: Body, evaluates: bool) -> Chain:
    """Return what a call computes as a chain, or nothing."""
    key = ("chain", evaluates)
    found: Chain | None = callee.found.get(key)
    if found is None:
        (result,) = results(callee)
        made = affines(callee, evaluates).found.get(result)
        plain = made is not None and made.is_chain and callee.nodes[made.base.node].kind is NodeKind.INPUT
        found = made.terms[0].chain if made is not None and plain and all(step.matrix is None for step in made.terms[0].chain) else ()
        callee.found[key] = found
    return found


def fixed(body: Body) -> set[int]:
    """Return the nodes that depend on parameters alone."""
    found: set[int] = set()
    for number, node in enumerate(body.nodes):
        sources = {ref.node for _, ref in operands(node)}
        computed = node.kind is NodeKind.OPERATION and len(node.outputs) == 1 and bool(sources) and sources <= found
        if (computed or node.kind is NodeKind.PARAMETER) and is_pure(body, node, False):
            found.add(number)
    return found


def _normed(before: Affine, norm: Step) -> Affine:
    if before.is_chain:
        return Affine(before.base, (Term((*before.terms[0].chain, norm)),))
    terms = tuple(replace(term, norms=(*term.norms, norm)) for term in before.terms)
    shifts = tuple(replace(shift, norms=(*shift.norms, norm)) for shift in before.shifts)
    return Affine(before.base, terms, (*shifts, Shift(norm)))


def shape_of(made: Affine) -> tuple[object, ...]:
    """Return what the maps of one sum must have in common: the kernel's window, what it reads, the channels of the result."""
    first, *_ = chain = made.terms[0].chain
    kind = "Linear" if first.declared.kind == "Linear" else first.declared.kind
    return (kind, first.window, first.reads, width(chain))


def width(chain: Chain) -> int:
    """Return the channels of a chain's result."""
    return next(step.width for step in reversed(chain) if not step.is_norm)


def composing(chain: Chain) -> int:
    """Return what it costs to write a chain as one kernel."""
    return sum(step.width * step.reads * chain[0].reads for step in chain[1:] if not step.is_norm)


def multiply_adds(chain: Chain) -> int:
    """Return what a chain costs at each place."""
    return sum(step.width * step.reads for step in chain if not step.is_norm)
