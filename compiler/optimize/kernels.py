"""Writes the one map that a chain of linears or convolutions is: a kernel and a bias, computed from parameters alone."""

from __future__ import annotations

from collections.abc import Sequence

from ...dsl.program import Node, Ref
from .affine import Chain, Shift, Step, Term, width
from .writing import Writer


class Kernels:
    """Kernels as matrices [outputs, inputs], where the places of a convolution's window stand behind its channels in one axis.

    What is asked for twice is written once.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._chains: dict[tuple[str, ...], tuple[Ref, Ref | None]] = {}
        self._norms: dict[str, tuple[Ref, Ref]] = {}
        self._scales: dict[tuple[str, ...], Ref] = {}

    def of(self, term: Term) -> tuple[Ref, Ref | None]:
        """Return kernel and bias of a term behind its norms, without gates and without what the norms add."""
        kernel, bias = self._chain(term.chain)
        like = term.chain[0].node
        if term.factor != 1:
            kernel = self.writer.operation("mul", like, a=kernel, b=term.factor)
            bias = bias and self.writer.operation("mul", like, a=bias, b=term.factor)
        scale = self.scale(term.norms)
        return (kernel, bias) if scale is None else self._scaled(kernel, bias, scale, like)

    def scale(self, norms: Chain) -> Ref | None:
        """Return what norms multiply each channel by."""
        if not norms:
            return None
        key = tuple(norm.path for norm in norms)
        if key not in self._scales:
            first, scale = self.scale(norms[:-1]), self._norm(norms[-1])[0]
            self._scales[key] = scale if first is None else self.writer.operation("mul", norms[-1].node, a=first, b=scale)
        return self._scales[key]

    def shift(self, shift: Shift) -> Ref:
        """Return what a norm adds, behind later norms."""
        _, found = self._norm(shift.norm)
        for norm in shift.norms:
            found = self.writer.operation("mul", norm.node, a=found, b=self._norm(norm)[0])
        return found

    def total(self, values: Sequence[Ref | None], like: Node) -> Ref | None:
        """Return the sum of those values that there are."""
        found: Ref | None = None
        for value in values:
            found = value if found is None else found if value is None else self.writer.operation("add", like, a=found, b=value)
        return found

    def bank(self, terms: Sequence[Term]) -> tuple[Ref, Ref | None]:
        """Return the kernels of several terms as columns [outputs inputs, terms], and their biases as columns [outputs, terms]."""
        like = terms[0].chain[0].node
        size = width(terms[0].chain) * terms[0].chain[0].reads
        pairs = [self.of(term) for term in terms]
        kernels = tuple(self.writer.operation("reshape", like, x=kernel, shape=(size,)) for kernel, _ in pairs)
        biases = tuple(bias for _, bias in pairs if bias is not None)
        return self._columns(kernels, like), self._columns(biases, like) if biases else None

    def _columns(self, values: tuple[Ref, ...], like: Node) -> Ref:
        return self.writer.operation("mT", like, x=self.writer.operation("stack", like, tensors=values, dim=0))

    def step(self, step: Step) -> tuple[Ref, Ref | None]:
        """Return kernel and bias of one linear or convolution."""
        return self._chain((step,))

    def _chain(self, chain: Chain) -> tuple[Ref, Ref | None]:
        key = tuple(step.path for step in chain)
        found = self._chains.get(key)
        if found is None:
            found = self._chains[key] = self._after(*self._chain(chain[:-1]), chain[-1]) if chain[1:] else self._first(chain[0])
        return found

    def _first(self, step: Step) -> tuple[Ref, Ref | None]:
        if step.matrix is not None:
            matrix = self.writer.at(step.matrix)
            return (self.writer.operation("mT", step.node, x=matrix) if step.turned else matrix), None
        held = self.writer.weights(step.path, step.declared, step.node.span)
        kernel = held["weight"]
        if self.writer.type(kernel).rank > 2:
            kernel = self.writer.operation("flatten", step.node, x=kernel, start=1, end=-1)
        return kernel, held.get("bias")

    def _after(self, kernel: Ref, bias: Ref | None, step: Step) -> tuple[Ref, Ref | None]:
        if step.is_norm:
            scale, added = self._norm(step)
            kernel, moved = self._scaled(kernel, bias, scale, step.node)
        else:
            own, added = self._first(step)
            kernel = self.writer.operation("matmul", step.node, a=own, b=kernel)
            moved = bias and self.writer.operation("matmul", step.node, a=own, b=bias)
        return kernel, self.total((moved, added), step.node)

    def _scaled(self, kernel: Ref, bias: Ref | None, scale: Ref, like: Node) -> tuple[Ref, Ref | None]:
        column = self.writer.operation("unsqueeze", like, x=scale, dim=1)
        return self.writer.operation("mul", like, a=kernel, b=column), bias and self.writer.operation("mul", like, a=bias, b=scale)

    def _norm(self, norm: Step) -> tuple[Ref, Ref]:
        """Return scale and shift: `s = gamma / sqrt(v + eps)`, `beta - s m`."""
        found = self._norms.get(norm.path)
        if found is None:
            write, like = self.writer.operation, norm.node
            held = self.writer.weights(norm.path, norm.declared, like.span)
            scale = write("rsqrt", like, x=write("add", like, a=held["running_var"], b=norm.declared.arguments["eps"]))
            scale = write("mul", like, a=held["weight"], b=scale) if "weight" in held else scale
            mean = write("mul", like, a=held["running_mean"], b=scale)
            shift = write("sub", like, a=held["bias"], b=mean) if "bias" in held else write("neg", like, x=mean)
            found = self._norms[norm.path] = scale, shift
        return found
