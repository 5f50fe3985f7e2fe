"""The registry of primitives: declared by decorator, complete or refused, found by lying in `blocks/primitives/`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from ..dsl.diagnostics import closest
from ..dsl.primitive import MISSING, Argument, Cost, ExactRule, Inputs, Kind, ParameterSpec, Rule, ValueRule
from ..dsl.record import entity
from ..dsl.types import DType, TensorType
from .lowering import Child, Given, LeafModule, Lowering, LoweringBuilder
from .operands import MIXED
from .samples import Sample

Result = TensorType | tuple[TensorType, ...]
ShapeRule = Callable[..., Result]
CostRule = Callable[[Inputs, tuple[TensorType, ...]], Cost]
ParameterRule = Callable[[Inputs], tuple[ParameterSpec, ...]]

BAD_CHOICE = "A213"


@entity
class Entry:
    """One primitive with all that is declared about it; implements the `Primitive` protocol."""

    name: str
    arguments: tuple[Argument, ...]
    call: tuple[Argument, ...]
    results: tuple[str, ...]
    is_leaf: bool
    is_random: bool
    doc: str
    shape_rule: ShapeRule
    cost_rule: CostRule
    parameter_rule: ParameterRule | None
    lowering: Lowering
    good: tuple[Sample, ...]
    bad: tuple[Sample, ...]
    several: bool = False
    """True where the result is a list, also of one tensor."""
    values: ValueRule | None = None
    exact: ExactRule | None = None

    @property
    def mode_dependent(self) -> bool:
        """True where training and evaluation differ: it runs as a module of its own."""
        return isinstance(self.lowering, Child)

    @property
    def all_arguments(self) -> tuple[Argument, ...]:
        """Arguments of making and of calling together."""
        return self.arguments + self.call

    def bound(self, inputs: Inputs) -> dict[str, Any]:
        """Return the value of every argument, defaults filled in."""
        return {a.name: inputs.get(a.name, a.default) for a in self.all_arguments}

    def infer(self, rule: Rule, inputs: Inputs) -> Result:
        """Return the result types, or raise the `RuleFailure` that says why the call is wrong."""
        bound = self.bound(inputs)
        for argument in self.all_arguments:
            _check(rule, self.name, argument, bound[argument.name])
        found = self.shape_rule(rule, **bound)
        self._check_weights(rule, bound)
        return found

    def _check_weights(self, rule: Rule, bound: Mapping[str, Any]) -> None:
        """Refuse floats of another dtype than that of the leaf's own tensors, with which they are reckoned."""
        others = [a.name for a in self.call if isinstance(t := bound[a.name], TensorType) and t.dtype.is_float and t.dtype is not DType.FLOAT]
        if others and any(own.dtype is DType.FLOAT for own in self.parameters(bound)):
            message = f"`{others[0]}` is {bound[others[0]].dtype} and the weights of `{self.name}` are float"
            raise rule.fail(message, f"convert it: `float({others[0]})`", MIXED)

    def parameters(self, inputs: Inputs) -> tuple[ParameterSpec, ...]:
        """Return the tensors that the leaf owns, by the names of its state dict."""
        return self.parameter_rule(self.bound(inputs)) if self.parameter_rule else ()

    def cost(self, inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
        """Return FLOPs and bytes of one call."""
        return self.cost_rule(self.bound(inputs), outputs)

    def lower(self, builder: LoweringBuilder, values: Mapping[str, Any], types: Inputs, outputs: tuple[TensorType, ...]) -> Any:
        """Emit the calls of an operation: `values` holds handles for tensors and statics, `types` what `infer` was given."""
        return self.lowering.lower(builder, Given(self.bound(values), self.bound(types), outputs))

    def constructor(self, builder: LoweringBuilder, inputs: Inputs) -> tuple[str, dict[str, Any]]:
        """Return the class and the keyword arguments of a leaf module."""
        if not isinstance(self.lowering, LeafModule):
            raise TypeError(f"`{self.name}` is no module")
        bound = self.bound(inputs)
        return self.lowering.target, self.lowering.constructor(builder, Given(bound, bound, ()))


def _check(rule: Rule, name: str, argument: Argument, value: Any) -> None:
    if value is MISSING:
        raise rule.fail(f"`{name}` needs `{argument.name}`", argument.doc or None, "A202")
    if argument.choices and value is not None and value not in argument.choices:
        near = closest(str(value), argument.choices)
        help_ = f"did you mean `{near}`?" if near else "take one of " + ", ".join(f"`{c}`" for c in argument.choices)
        raise rule.fail(f"`{argument.name}` of `{name}` can't be `{value}`", help_, BAD_CHOICE)


_ENTRIES: dict[str, Entry] = {}


def _missing(name: str, entry: Entry) -> str | None:
    """Say what a declaration lacks, or None."""
    tests: Sequence[tuple[bool, str]] = (
        (bool(entry.all_arguments), "arguments"),
        (all(a.doc for a in entry.all_arguments), "a doc for each argument"),
        (bool(entry.doc.strip()), "a docstring with its equation and shapes"),
        (callable(entry.cost_rule), "a cost rule"),
        (hasattr(entry.lowering, "lower"), "a lowering"),
        (bool(entry.good), "good samples"),
        (bool(entry.bad) and all(s.code for s in entry.bad), "error samples with their code"),
        (not entry.is_leaf or any(a.kind is Kind.TENSOR for a in entry.call), "a call with a tensor, as it is a leaf"),
        (len({a.name for a in entry.all_arguments}) == len(entry.all_arguments), "distinct argument names"),
    )
    lacks = [what for passed, what in tests if not passed]
    return f"the primitive `{name}` lacks {', '.join(lacks)}" if lacks else None


def register(entry: Entry) -> Entry:
    """Add a primitive; raises TypeError for one that is incomplete and ValueError for a name taken."""
    lacking = _missing(entry.name, entry)
    if lacking:
        raise TypeError(lacking)
    if entry.name in _ENTRIES:
        raise ValueError(f"the primitive `{entry.name}` is registered twice")
    _ENTRIES[entry.name] = entry
    return entry


def operation(
    *,
    arguments: Sequence[Argument],
    lowering: Lowering,
    cost: CostRule,
    good: Sequence[Sample],
    bad: Sequence[Sample],
    name: str | None = None,
    doc: str | None = None,
    results: Sequence[str] = (),
    random: bool = False,
    several: bool = False,
    values: ValueRule | None = None,
    exact: ExactRule | None = None,
) -> Callable[[ShapeRule], ShapeRule]:
    """Register the decorated shape rule as an operation; the rule is called with `rule` and every argument by name."""

    def decorate(rule: ShapeRule) -> ShapeRule:
        title = name or rule.__name__.rstrip("_")
        text = doc or rule.__doc__ or ""
        random_ = random or isinstance(lowering, Child)
        args = (
            tuple(arguments),
            (),
            tuple(results),
            False,
            random_,
            text,
            rule,
            cost,
            None,
            lowering,
            tuple(good),
            tuple(bad),
            several,
            values,
            exact,
        )
        register(Entry(title, *args))
        return rule

    return decorate


def leaf(
    *,
    name: str,
    arguments: Sequence[Argument],
    lowering: LeafModule,
    parameters: ParameterRule,
    cost: CostRule,
    good: Sequence[Sample],
    bad: Sequence[Sample],
    call: Sequence[Argument] = (Argument("x", Kind.TENSOR, doc="the input"),),
    random: bool = False,
) -> Callable[[ShapeRule], ShapeRule]:
    """Register the decorated shape rule as a leaf module; the rule gets making and calling arguments together."""

    def decorate(rule: ShapeRule) -> ShapeRule:
        doc = rule.__doc__ or ""
        args = (tuple(arguments), tuple(call), (), True, random, doc, rule, cost, parameters, lowering, tuple(good), tuple(bad))
        register(Entry(name, *args))
        return rule

    return decorate


@cache
def primitives() -> Mapping[str, Entry]:
    """Return every primitive by name, reading the files of `blocks/primitives/` once."""
    package = import_module(f"{__package__}.primitives")
    for found in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        import_module(f"{package.__name__}.{found}")
    return dict(sorted(_ENTRIES.items()))
