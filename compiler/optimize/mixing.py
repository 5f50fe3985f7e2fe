"""Mixtures of affine maps of one value, and how one map with a mixed kernel is written in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...blocks.parameters import per_axis
from ...dsl.program import Body, Node, Ref
from ...dsl.record import record
from ...dsl.types import Axis
from .affine import AXES, Affine, Chain, Term, shape_of, width
from .gates import gate_matrix, rows_of
from .kernels import Kernels
from .writing import Writer


@record
class Part:
    """Gated terms behind the same norms, all with a bias or all without one."""

    norms: Chain
    terms: tuple[Term, ...]


@record
class Mixture:
    """A sum: the most terms that go together, other gated ones, and what is the same for every sample."""

    number: int
    affine: Affine
    main: Part
    others: tuple[Part, ...]
    fixed: tuple[Term, ...]
    rows: Axis
    """What the gates of `main` are for: the axis of samples, or 1."""

    @property
    def key(self) -> object:
        """What mixtures have in common whose kernels can be mixed in one product."""
        experts = tuple((tuple(step.path for step in term.chain), term.factor) for term in self.main.terms)
        return shape_of(self.affine), experts, self.rows

    @property
    def size(self) -> int:
        """How many numbers a kernel holds."""
        chain = self.affine.terms[0].chain
        return width(chain) * chain[0].reads

    @property
    def gated_elsewhere(self) -> tuple[Term, ...]:
        """Return the gated terms of other parts."""
        return tuple(term for part in self.others for term in part.terms)

    @property
    def reads(self) -> tuple[Ref, ...]:
        """Return what will be read: the one value and the gates."""
        return (self.affine.base, *(gate for term in self.affine.terms for gate in term.gates))


def mixture(body: Body, number: int, affine: Affine) -> Mixture:
    """Sort the terms of a sum that has gated ones."""
    parts: dict[object, list[Term]] = {}
    for term in affine.terms:
        if term.gates:
            parts.setdefault((tuple(norm.path for norm in term.norms), _has_bias(term.chain)), []).append(term)
    made = sorted((Part(terms[0].norms, tuple(terms)) for terms in parts.values()), key=lambda part: -len(part.terms))
    return Mixture(
        number,
        affine,
        made[0],
        tuple(made[1:]),
        tuple(term for term in affine.terms if not term.gates),
        rows_of(body, [term.gates for term in made[0].terms]),
    )


def _has_bias(chain: Chain) -> bool:
    return any(step.is_norm or step.declared.arguments["bias"] for step in chain)


class Mixer:
    """Writes mixtures into a body."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.kernels = Kernels(writer)

    def mixed(self, group: Sequence[Mixture]) -> list[Ref]:
        """Write mixtures of the same experts, their kernels in one product; return their results."""
        like = self.writer.old.nodes[group[0].number]
        gates = [self._gates(each.main, like) for each in group]
        if not group[1:]:
            return [self._result(group[0], gates[0], None, like)]
        together = self.writer.operation("stack", like, tensors=tuple(gates), dim=0)
        bank, _ = self.kernels.bank([replace(term, norms=()) for term in group[0].main.terms])
        product = self.writer.operation("linear", like, x=together, weight=bank)
        parts = self.writer.operation("unbind", like, x=product, dim=0)
        made = [Ref(parts.node, index) for index in range(len(group))]
        return [self._result(*each, like) for each in zip(group, gates, made, strict=True)]

    def _result(self, mixture: Mixture, gates: Ref, kernel: Ref | None, like: Node) -> Ref:
        """Write one mixture; `kernel` is what its main part is without its norms, where that is there."""
        own = [self.kernels.of(term) for term in mixture.fixed]
        shifts = [self.kernels.shift(shift) for shift in mixture.affine.shifts]
        fixed = self.kernels.total([each for each, _ in own], like)
        added = self.kernels.total([*(bias for _, bias in own), *shifts], like)
        kernels: list[Ref] = []
        biases: list[Ref] = []
        if kernel is not None:
            kernels.append(self._behind(mixture, kernel, like))
        for part, by in ((mixture.main, gates), *((part, self._gates(part, like)) for part in mixture.others)):
            bank, columns = self.kernels.bank(part.terms)
            if kernel is None or part is not mixture.main:
                kernels.append(self._shaped(mixture, self._linear(like, by, bank, self._flat(fixed, like)), like))
                fixed = None
            if columns is not None:
                biases.append(self._linear(like, by, columns, added))
                added = None
        whole = self.kernels.total([*kernels, fixed], like)
        assert whole is not None
        return self._map(mixture, whole, self.kernels.total([*biases, added], like), like)

    def _linear(self, like: Node, x: Ref, weight: Ref, bias: Ref | None) -> Ref:
        return self.writer.operation("linear", like, x=x, weight=weight, **({} if bias is None else {"bias": bias}))

    def _flat(self, kernel: Ref | None, like: Node) -> Ref | None:
        return None if kernel is None else self.writer.operation("flatten", like, x=kernel, start=0, end=-1)

    def _shaped(self, mixture: Mixture, kernel: Ref, like: Node) -> Ref:
        """Return kernels [samples, outputs inputs] as [samples, outputs, inputs]."""
        chain = mixture.affine.terms[0].chain
        return self.writer.operation("unflatten", like, x=kernel, dim=-1, shape=(width(chain), chain[0].reads))

    def _behind(self, mixture: Mixture, kernel: Ref, like: Node) -> Ref:
        """Return kernels behind the norms of the main part."""
        shaped, scale = self._shaped(mixture, kernel, like), self.kernels.scale(mixture.main.norms)
        if scale is None:
            return shaped
        return self.writer.operation("mul", like, a=shaped, b=self.writer.operation("unsqueeze", like, x=scale, dim=1))

    def _gates(self, part: Part, like: Node) -> Ref:
        return gate_matrix(self.writer, [term.gates for term in part.terms], like)

    # ------------------------------------------------------------------------------------------------------------ the map

    def _map(self, mixture: Mixture, kernel: Ref, bias: Ref | None, like: Node) -> Ref:
        step, x = mixture.affine.terms[0].chain[0], self.writer.at(mixture.affine.base)
        rows, outputs, _ = self.writer.type(kernel).shape
        single = rows == 1
        if bias is not None:
            flat = self.writer.type(bias).rank == 1
            shape = (outputs,) if single else (rows, outputs)
            if single is not flat:
                bias = self.writer.operation("reshape" if single else "expand", like, x=bias, shape=shape)
        if step.declared.kind == "Linear":
            kernel = self.writer.operation("flatten", like, x=kernel, start=0, end=1) if single else kernel
            return self._linear(like, x, kernel, bias) if single else self._product(like, x, kernel, bias)
        window = (int(step.declared.arguments["cin"]), *per_axis(step.declared.arguments["kernel"], AXES[step.declared.kind]))
        kernel = self.writer.operation("reshape", like, x=kernel, shape=(outputs, *window) if single else (rows, outputs, *window))
        given: dict[str, Any] = {name: step.declared.arguments[name] for name in ("stride", "padding", "dilation")}
        given |= {} if bias is None else {"bias": bias}
        name = step.declared.kind.lower()
        return self.writer.operation(name if single else f"dynamic_{name}", like, like.name, x=x, weight=kernel, **given)

    def _product(self, like: Node, x: Ref, kernel: Ref, bias: Ref | None) -> Ref:
        """Map the last axis with a matrix of each sample's own."""
        rows, outputs, inputs = self.writer.type(kernel).shape
        between = (1,) * (self.writer.type(x).rank - 3)
        matrix = self.writer.operation("mT", like, x=kernel)
        if between:
            matrix = self.writer.operation("reshape", like, x=matrix, shape=(rows, *between, inputs, outputs))
        made = self.writer.operation("matmul", like, like.name, a=x, b=matrix)
        if bias is None:
            return made
        column = self.writer.operation("reshape", like, x=bias, shape=(rows, *between, 1, outputs))
        return self.writer.operation("add", like, like.name, a=made, b=column)
