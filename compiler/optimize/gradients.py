"""Where gradients go: what a value may need one for, and of which values one is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...dsl.program import Body, Node, NodeKind, Program, Ref
from ..census import leaf_specs
from ..flow import carries
from ..graph import module_at, operand_refs, operands, ordered, results
from ..paths import covers
from .rebuilding import roots

CUTS = frozenset(("detach", "zeros_like", "ones_like", "rand_like", "randn_like"))
"""Operations on floats that torch records nothing of; of those that are flat otherwise, as `floor`, it records that the gradient is zero."""
SHAPE = "like"
"""What an argument is called of which sizes alone are read."""


LEARNS = 1
"""The bit that says that what may be trained is among what a value is computed from by recorded steps; the others are a body's inputs."""
Masks = Sequence[Sequence[int]]
"""Such bits for each value of each step of a body."""


class Gradients:
    """Follows gradients through all bodies of a program, once each: what one call of a body needs, all its calls have.

    They are taken of all results of the model, or with `losses` of the losses alone, where it has any.  No input of the model needs one.
    """

    def __init__(self, program: Program, losses: bool = False) -> None:
        tops = roots(program)
        self.bodies = ordered(tops)
        self._results = {id(body): results(body) for body in self.bodies}
        self._inputs = {id(body): [node.target for node in body.nodes if node.is_handed_in] for body in self.bodies}
        self._live: dict[int, int] = {id(body): LEARNS for body in tops}
        self._sources: dict[int, Masks] = {}
        for body in self.bodies:
            self._sources[id(body)] = self._forward(body)
        self._asked: dict[int, set[int]] = {id(body): set(_differentiated(body, losses)) for body in tops}
        self._wanted: dict[int, list[set[int]]] = {}
        for body in reversed(self.bodies):
            if id(body) in self._asked:
                self._wanted[id(body)] = self._backward(body)

    def is_passed(self, body: Body) -> bool:
        """Tell whether a gradient is taken through any call of a body; of others it is the call that is looked at."""
        return any(self._wanted.get(id(body), ()))

    def records(self, body: Body, number: int) -> bool:
        """Tell whether torch would record a step: whether a value that it gives may need a gradient."""
        live = self._live.get(id(body), LEARNS)  # nothing is given to a body that is not called
        return any(made & live for made in self._sources[id(body)][number])

    def wants(self, body: Body, number: int) -> bool:
        """Tell whether a gradient is taken through a step."""
        wanted = self._wanted.get(id(body))
        return wanted is not None and bool(wanted[number])

    # ------------------------------------------------------------------------------------------------------ forward

    def _forward(self, body: Body) -> Masks:
        """Return what each value of a body is computed from, a bit for each of its inputs, but for the model's own, and one for what learns."""
        found: list[Sequence[int]] = []
        is_top, given = id(body) in self._live, 0
        for node in body.nodes:
            if node.is_handed_in:
                given += 1
                made = [0 if is_top else LEARNS << given]
            else:
                made = self._made(body, node, found)
            found.append([each if each and carries(type_) else 0 for each, type_ in zip(made, node.outputs, strict=True)])
        return found

    def _made(self, body: Body, node: Node, found: Masks) -> Sequence[int]:
        """Return what each result of a step is computed from."""
        if node.body is None:
            made = int(_learns(body, node))
            for ref in _recorded(node):
                made |= found[ref.node][ref.index]
            return [made] * len(node.outputs)
        masks = {} if _is_frozen(body, node.target) else {LEARNS: LEARNS}
        for place, name in enumerate(self._inputs[id(node.body)], 1):
            mask = 0
            for ref in operand_refs(node.inputs.get(name)):
                mask |= found[ref.node][ref.index]
            if mask:
                masks[LEARNS << place] = mask
        sources = self._sources[id(node.body)]
        return [_seen(sources[ref.node][ref.index], masks) for ref in self._results[id(node.body)]]

    # ----------------------------------------------------------------------------------------------------- backward

    def _backward(self, body: Body) -> list[set[int]]:
        """Return which values of each step of a body a gradient is taken of, and ask the bodies that it calls for theirs."""
        wanted: list[set[int]] = [set() for _ in body.nodes]
        self._want(body, wanted, (self._results[id(body)][index] for index in self._asked[id(body)]))
        for node, asked in zip(reversed(body.nodes), reversed(wanted), strict=True):
            if node.body is not None:
                self._call(body, node, node.body, asked)
            if asked:
                self._want(body, wanted, _recorded(node) if node.body is None else self._passed(node, node.body, asked))
        return wanted

    def _want(self, body: Body, wanted: list[set[int]], read: Iterable[Ref]) -> None:
        for ref in read:
            if ref.index not in wanted[ref.node] and carries(body.type(ref)):
                wanted[ref.node].add(ref.index)

    def _call(self, body: Body, node: Node, callee: Body, asked: Iterable[int]) -> None:
        self._asked.setdefault(id(callee), set()).update(asked)
        sources, live, needed = self._sources[id(body)], self._live[id(body)], self._live.get(id(callee), LEARNS)
        for place, name in enumerate(self._inputs[id(callee)], 1):
            if any(sources[ref.node][ref.index] & live for ref in operand_refs(node.inputs.get(name))):
                needed |= LEARNS << place
        self._live[id(callee)] = needed

    def _passed(self, node: Node, callee: Body, asked: Iterable[int]) -> Iterator[Ref]:
        """Yield what a call passes the gradients of some results on to."""
        ends, sources, passed = self._results[id(callee)], self._sources[id(callee)], 0
        for index in asked:
            passed |= sources[ends[index].node][ends[index].index]
        for place, name in enumerate(self._inputs[id(callee)], 1):
            if passed >> place & 1:
                yield from operand_refs(node.inputs.get(name))


def _seen(sources: int, masks: Mapping[int, int]) -> int:
    """Return what a result of a call is computed from: by the bits of what the callee may read, what these are computed from."""
    made = 0
    for bit, mask in masks.items():
        if sources & bit:
            made |= mask
    return made


def _differentiated(body: Body, losses: bool) -> Iterable[int]:
    first = len(body.outputs)
    return range(first, first + len(body.losses)) if losses and body.losses else range(len(results(body)))


def _recorded(node: Node) -> Iterator[Ref]:
    """Yield the values that a step passes a gradient on to."""
    if node.kind is NodeKind.OPERATION and node.target in CUTS:
        return
    yield from (ref for name, ref in operands(node) if name != SHAPE)


def _learns(body: Body, node: Node) -> bool:
    """Tell whether a step reads a parameter itself that may be trained."""
    if node.kind not in (NodeKind.PARAMETER, NodeKind.DERIVED, NodeKind.LEAF, NodeKind.EXTERN):
        return False
    if _is_frozen(body, node.target):
        return False
    if node.kind is NodeKind.PARAMETER:
        own = body.parameters.get(node.target)
        return own is None or not own.buffer
    declared = module_at(body, node.target) if node.kind is NodeKind.LEAF else None
    return declared is None or declared.extern is not None or any(not spec.buffer for spec in leaf_specs(declared))


def _is_frozen(body: Body, path: str) -> bool:
    return any(covers(frozen.path, path) for frozen in body.frozen)
