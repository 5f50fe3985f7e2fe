"""Whether every whole number that comes in has its place: a row of the table that it is looked up in, a class of the loss.

Only numbers that can occur are followed: those that an input declares (`in 0..n`, `as tokens(n)`), that the text counts (`arange`) or
writes, as long as they are moved about and not computed with.  A model's body is looked through when it is whole, each body that it
calls once for each set of numbers handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from typing import Any

from ..dims import Dim, Symbol
from ..facts import Facts
from ..primitive import Numbers, RuleFailure
from ..program import Body, Condition, InputDecl, Node, NodeKind, Operand, Ref
from ..record import entity
from ..rule import ShapeRule
from ..source import Span
from ..types import Axis, DType, TensorType, extent
from .choices import Sources, Spend, chosen
from .context import Context, Problem, fail
from .inputs import solve, substitute
from .known import PIECES, KnownTensors, numbers_of
from .scope import Frame
from .statements import FINISHERS

Held = tuple[Numbers, ...]


@entity
class Need:
    """Numbers of an argument that must lie among its places, and the calls that lead there, the outermost first."""

    numbers: Numbers
    places: int | Dim
    name: str
    argument: str
    span: Span
    trail: tuple[tuple[str, Span], ...] = ()

    @property
    def is_met(self) -> bool:
        """True between numbers, where it holds."""
        low, high = self.numbers.low, self.numbers.high
        return isinstance(low, int) and isinstance(high, int) and isinstance(self.places, int) and low >= 0 and high <= self.places


@entity
class Found:
    """What a body needs, in its own sizes, and the numbers that its results hold, by their places among the outputs of a call."""

    needs: tuple[Need, ...]
    given: Mapping[int, Held]


class Places:
    """Follows numbers through bodies."""

    def __init__(self, spend: Spend) -> None:
        self._spend = spend
        self._found: dict[object, Found] = {}

    def of(self, body: Body, handed: Mapping[str, Held]) -> Found:
        """Look through a body whose inputs may hold these numbers."""
        numbers = tuple((name, tuple((n.low, n.high) for n in held)) for name, held in handed.items())
        found = body.found.get(("places", numbers)) or self._found.get((id(body), numbers))
        if found is None:
            found = self._through(body, handed)
            if handed and (found.needs or found.given):  # these tell where the numbers that this caller hands in come from
                self._found[id(body), numbers] = found
            else:
                body.found["places", numbers] = found
        return found

    def _through(self, body: Body, handed: Mapping[str, Held]) -> Found:
        held: dict[Ref, Held] = {}
        for declared in body.inputs:
            numbers = () if declared.is_state else handed.get(declared.key) or _declared(declared, body.nodes[declared.node])
            if numbers:
                held[Ref(declared.node)] = numbers
        places = {ref.node for ref in held}
        needs: list[Need] = []
        tables, sources = KnownTensors(body, self._spend), Sources(body, self._spend)
        silent: set[int] = set()  # bodies that need nothing, and give nothing, when no numbers are handed in
        for number, node in enumerate(body.nodes):
            known = _known(node, held, places) if held else {}
            before = len(held)
            if node.kind is NodeKind.CALL and node.body is not None:
                if known or id(node.body) not in silent:
                    needs += self._call(body, node, number, known, held, silent)
            elif node.primitive is not None:
                needs += _needed(body, node, known, tables)
                _keep(body, node, number, known, held, sources)
            if len(held) > before:
                places.add(number)
        results = [*(out.ref for out in body.outputs)]
        return Found(tuple(needs), {i: only for i, ref in enumerate(results) if (only := _numbers_only(held.get(ref, ())))})

    def _call(self, body: Body, node: Node, number: int, known: Mapping[str, Held], held: dict[Ref, Held], silent: set[int]) -> Iterator[Need]:
        assert node.body is not None
        found = self.of(node.body, {name: only for name, numbers in known.items() if (only := _numbers_only(numbers))})
        if not known and not found.needs and not found.given:
            silent.add(id(node.body))
        held.update((Ref(number, i), numbers) for i, numbers in found.given.items())
        if found.needs:
            binding = _binding(body, node)
            step = (node.body.name, node.span)
            for need in found.needs:
                outer = _outside(need, binding, step)
                if outer is not None and not outer.is_met:
                    yield outer


def _known(node: Node, held: Mapping[Ref, Held], places: Set[int]) -> dict[str, Held]:
    """Return which numbers the operands of a node may hold; only values of nodes in `places` hold any."""
    touched = ((name, operand) for name, operand in node.inputs.items() if not isinstance(operand, Ref) or operand.node in places)
    return {name: numbers for name, operand in touched if (numbers := _of(operand, held))}


def _declared(declared: InputDecl, node: Node) -> Held:
    """Return what `in 0..n`, `as tokens(n)` or the distribution of a draw says; truths are both 0 and 1."""
    if declared.type.dtype is DType.BOOL:
        return (Numbers(0, 2, declared.span),)
    if not declared.type.dtype.is_int:
        return ()
    if declared.range is not None:
        return (Numbers(*declared.range, declared.span),)
    drawn = node.attributes.get("distribution")
    role = declared.role or drawn
    if role is None:
        return ()
    numbers: Mapping[str, Any] = role.arguments
    low, high = (numbers.get("low", 0), numbers.get("high", 1)) if role.name == "uniform" else (0, numbers.get("vocab", numbers.get("n")))
    return (Numbers(low, extent(high), declared.span),) if isinstance(low, int) and high is not None else ()


def _of(operand: Operand, held: Mapping[Ref, Held]) -> Held:
    if isinstance(operand, Ref):
        return held.get(operand, ())
    return tuple(numbers for ref in operand or () for numbers in held.get(ref, ()))


def _numbers_only(held: Held) -> Held:
    """Return the stretches whose ends are numbers: they mean the same inside a called body and outside."""
    return tuple(n for n in held if isinstance(n.low, int) and isinstance(n.high, int))


# ----------------------------------------------------------------------------------------------------- operations


def _inputs(body: Body, node: Node) -> dict[str, Any]:
    """Return the arguments of an operation or a leaf as its own rules see them."""
    made: Mapping[str, Any] = body.modules[node.target].arguments if node.kind is NodeKind.LEAF and node.target in body.modules else {}
    types = {name: _types(body, operand) for name, operand in node.inputs.items()}
    assert node.primitive is not None
    defaults = {a.name: a.default for a in (*node.primitive.arguments, *node.primitive.call)}
    return {**defaults, **made, **node.attributes, **types}


def _types(body: Body, operand: Operand) -> Any:
    if isinstance(operand, Ref):
        node = body.nodes[operand.node]
        return node.attributes["value"] if node.kind is NodeKind.CONSTANT else node.outputs[operand.index]
    return None if operand is None else tuple(body.type(ref) for ref in operand)


def _needed(body: Body, node: Node, known: Mapping[str, Held], tables: KnownTensors) -> Iterator[Need]:
    primitive = node.primitive
    if primitive is None or node.target.startswith("@"):
        return
    for argument in primitive.call or primitive.arguments:
        if argument.within is not None and (held := _held(argument.name, node, known, tables)):
            inputs = _inputs(body, node)
            places = extent(argument.within(inputs))
            for numbers in held:
                need = Need(_without(numbers, inputs.get(argument.beside)), places, primitive.name, argument.name, node.span)
                if need.numbers.low != need.numbers.high and not need.is_met:
                    yield need


def _held(argument: str, node: Node, known: Mapping[str, Held], tables: KnownTensors) -> Held:
    """Return what an argument holds: of a tensor that the text decides its elements, else what is followed."""
    held, operand = known.get(argument, ()), node.inputs.get(argument)
    if isinstance(operand, Ref) and all(n.fixed for n in held):
        grid = tables.of(operand)
        if grid is not None:
            return numbers_of(grid, node.span)
    return held


def _without(numbers: Numbers, ignored: Any) -> Numbers:
    """Leave out a number at an end of a stretch that needs no place."""
    if not isinstance(ignored, int):
        return numbers
    if numbers.low == ignored:
        return replace(numbers, low=numbers.low + 1)
    return replace(numbers, high=numbers.high - 1) if numbers.high == ignored + 1 else numbers


def _keep(body: Body, node: Node, number: int, known: Mapping[str, Held], held: dict[Ref, Held], sources: Sources) -> None:
    rule = node.primitive.values if node.primitive is not None else None
    if rule is None or not any(type_.dtype.is_int for type_ in node.outputs):
        return
    chooser = next((a for a in node.primitive.arguments if a.chooses), None) if node.primitive is not None else None
    if chooser is not None:
        known = chosen(body, node, chooser.name, chooser.chooses, held, sources)
    found = rule(_inputs(body, node), known)[:PIECES]
    numbers = tuple(n if n.said is not None else replace(n, said=node.span) for n in found if not n.fixed or _holds_all(body, node))
    if numbers:
        held.update((Ref(number, i), numbers) for i, type_ in enumerate(node.outputs) if type_.dtype.is_int)


def _holds_all(body: Body, node: Node) -> bool:
    """Tell whether a result holds every element of each operand: it is no smaller, and no positions choose among them."""
    if node.primitive is None or any(argument.within is not None for argument in node.primitive.arguments):
        return False
    count = _count(node.outputs[0])
    refs = [ref for operand in node.inputs.values() for ref in ((operand,) if isinstance(operand, Ref) else operand or ())]
    return all(Facts().at_least(count, _count(body.type(ref))).is_true for ref in refs)


def _count(type_: TensorType) -> int | Dim:
    total: int | Dim = 1
    for axis in type_.shape:
        total = total * extent(axis)
    return total


# ---------------------------------------------------------------------------------------------------------- calls


def _binding(body: Body, node: Node) -> dict[Symbol, Axis]:
    """Return what the sizes of a called body are in this call."""
    binding: dict[Symbol, Axis] = {}
    assert node.body is not None
    for declared in node.body.inputs:
        operand = node.inputs.get(declared.key)
        given = body.type(operand).shape if isinstance(operand, Ref) else ()
        for local, size in zip(declared.type.shape, given, strict=False):
            if isinstance(local, Dim):
                _bind(binding, local, size)
    return binding


def _bind(binding: dict[Symbol, Axis], local: Dim, size: Axis) -> None:
    """Solve an axis of a called body for the one symbol in it that is not known yet."""
    unbound = [s for s in local.symbols() if s not in binding]
    known = local.substitute({s: extent(a) for s, a in binding.items()})
    if len(unbound) == 1 and isinstance(known, Dim):
        solution = size if local.symbol is not None else solve(known, unbound[0], extent(size))
        if solution is not None:
            binding[unbound[0]] = solution


def _outside(need: Need, binding: Mapping[Symbol, Axis], step: tuple[str, Span]) -> Need | None:
    """Return a need of a called body in its caller's sizes; none where a size is not the caller's to know."""
    sides = (need.numbers.low, need.numbers.high, need.places)
    if any(s not in binding for side in sides if isinstance(side, Dim) for s in side.symbols()):
        return None
    low, high, places = (extent(substitute(side, binding)) for side in sides)
    return Need(Numbers(low, high, need.numbers.said), places, need.name, need.argument, need.span, (step, *need.trail))


# ------------------------------------------------------------------------------------------------------ judgement


def _judge(need: Need, frame: Frame) -> None:
    """Prove a need, refute it, or keep a condition."""
    builder, numbers = frame.builder, need.numbers
    rule = ShapeRule(builder.facts)
    if rule.reaches(need.places, numbers.high) is False or rule.reaches(numbers.low, 0) is False:
        labels = [(numbers.said, f"these numbers come from here: {_shown(numbers)}")] if numbers.said is not None else []
        message = f"`{need.name}`: `{need.argument}` may hold {_shown(numbers)}, and its places are 0..{need.places}"
        fail("A326", message, need.span, "declare fewer numbers where they come in, make more places, or `clamp` what is computed", labels)
    try:
        rule.at_least(need.places, numbers.high, f"the places for `{need.argument}` of `{need.name}`")
        rule.at_least(numbers.low, 0, f"the numbers in `{need.argument}` of `{need.name}`")
    except RuleFailure as failure:
        fail(failure.code, f"`{need.name}`: {failure.message}", need.span, failure.help)
    for kind, left, right, reason in rule.conditions:
        builder.condition(Condition(kind, left, right, need.span, reason))


def _shown(numbers: Numbers) -> str:
    return f"{numbers.low}..{numbers.high}"


def _placed(context: Context, need: Need, work: Callable[[], None]) -> None:
    """Do some work as if inside the calls that lead to a need, so that its error is placed at the user's own call."""
    context.stack.extend(need.trail)
    try:
        work()
    except Problem as problem:
        context.report(problem.diagnostic)
    finally:
        del context.stack[len(context.stack) - len(need.trail) :]


def _all_have_places(frame: Frame, item: Any) -> None:
    """Check the body of a model, which no other calls."""
    builder = frame.builder
    if builder.model and not builder.poisoned:
        for need in Places(builder.context.step).of(builder.body, {}).needs:
            _placed(builder.context, need, lambda need=need: _judge(need, frame))


FINISHERS.append(_all_have_places)
