"""Where gradients go: what a value may need one for, and of which values one is wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from ...dsl.program import Body, Node, NodeKind, Program, Ref
from ...dsl.record import record
from ..census import leaf_specs
from ..flow import carries
from ..graph import module_at, operand_refs, operands, ordered, results
from ..paths import covers
from .rebuilding import roots

CUTS = frozenset(("detach", "zeros_like", "ones_like", "rand_like", "randn_like"))
"""Operations on floats that torch records nothing of; of those that are flat otherwise, as `floor`, it records that the gradient is zero."""
SHAPE = "like"
"""What an argument is called of which sizes alone are read."""


@record
class Sources:
    """What a value is computed from by recorded steps: inputs by key, and whether parameters that may be trained are among it."""

    inputs: frozenset[str] = frozenset()
    learns: bool = False

    def __or__(self, other: Sources) -> Sources:
        return Sources(self.inputs | other.inputs, self.learns or other.learns)


NONE = Sources()


class Gradients:
    """Follows gradients through all bodies of a program, once each: what one call of a body needs, all its calls have.

    They are taken of all results of the model, or with `losses` of the losses alone, where it has any.  No input of the model needs one.
    """

    def __init__(self, program: Program, losses: bool = False) -> None:
        tops = roots(program)
        self.bodies = ordered(tops)
        self._sources: dict[int, Mapping[Ref, Sources]] = {}
        for body in self.bodies:
            self._sources[id(body)] = dict(self._forward(body))
        self._live: dict[int, set[str]] = {id(body): set() for body in tops}
        self._asked: dict[int, set[int]] = {id(body): set(_differentiated(body, losses)) for body in tops}
        self._wanted: dict[int, Collection[Ref]] = {}
        for body in reversed(self.bodies):
            if id(body) in self._asked:
                self._wanted[id(body)] = self._backward(body)

    def is_passed(self, body: Body) -> bool:
        """Tell whether a gradient is taken through any call of a body; of others it is the call that is looked at."""
        return bool(self._wanted.get(id(body)))

    def records(self, body: Body, number: int) -> bool:
        """Tell whether torch would record a step: whether a value that it gives may need a gradient."""
        return any(self._needs(body, Ref(number, index)) for index in range(len(body.nodes[number].outputs)))

    def wants(self, body: Body, number: int) -> bool:
        """Tell whether a gradient is taken through a step."""
        return any(Ref(number, index) in self._wanted.get(id(body), ()) for index in range(len(body.nodes[number].outputs)))

    def _needs(self, body: Body, ref: Ref) -> bool:
        found = self._sources[id(body)].get(ref, NONE)
        return found.learns or not found.inputs.isdisjoint(self._live[id(body)])

    # ------------------------------------------------------------------------------------------------------ forward

    def _forward(self, body: Body) -> Iterator[tuple[Ref, Sources]]:
        found: dict[Ref, Sources] = {}
        for number, node in enumerate(body.nodes):
            for index, type_ in enumerate(node.outputs):
                made = self._made(body, node, index, found) if carries(type_) else NONE
                if made != NONE:
                    found[Ref(number, index)] = made
        yield from found.items()

    def _made(self, body: Body, node: Node, index: int, found: Mapping[Ref, Sources]) -> Sources:
        if node.is_handed_in:
            return Sources(frozenset((node.target,)))
        own = Sources(learns=_learns(body, node))
        if node.body is None:
            return _together(own, (found.get(ref, NONE) for ref in _recorded(node)))
        inner = self._sources[id(node.body)].get(results(node.body)[index], NONE)
        own = Sources(learns=inner.learns and not _is_frozen(body, node.target))
        return _together(own, (found.get(ref, NONE) for name in inner.inputs for ref in operand_refs(node.inputs.get(name))))

    # ----------------------------------------------------------------------------------------------------- backward

    def _backward(self, body: Body) -> Collection[Ref]:
        """Return the values of a body that a gradient is taken of, and ask the bodies that it calls for theirs."""
        ends = results(body)
        wanted = {ends[index] for index in self._asked[id(body)] if carries(body.type(ends[index]))}
        for number in range(len(body.nodes) - 1, -1, -1):
            node = body.nodes[number]
            asked = [index for index in range(len(node.outputs)) if Ref(number, index) in wanted]
            if node.body is not None:
                self._call(body, node, node.body, asked)
            if not asked:
                continue
            read = _recorded(node) if node.body is None else self._passed(node, node.body, asked)
            wanted.update(ref for ref in read if carries(body.type(ref)))
        return wanted

    def _call(self, body: Body, node: Node, callee: Body, asked: Iterable[int]) -> None:
        self._asked.setdefault(id(callee), set()).update(asked)
        live = self._live.setdefault(id(callee), set())
        live.update(name for name, ref in operands(node) if self._needs(body, ref))

    def _passed(self, node: Node, callee: Body, asked: Iterable[int]) -> Iterator[Ref]:
        """Yield what a call passes the gradients of some results on to."""
        ends, sources = results(callee), self._sources[id(callee)]
        for index in asked:
            for name in sources.get(ends[index], NONE).inputs:
                yield from operand_refs(node.inputs.get(name))


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


def _together(first: Sources, rest: Iterable[Sources]) -> Sources:
    for each in rest:
        first = first | each
    return first
