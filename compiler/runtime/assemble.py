"""From a program to a model: units are lowered, modules are made on the meta device."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from keyword import iskeyword
from types import FunctionType

import torch

from ...dsl.plans import StagePlan
from ...dsl.program import Body, EntryPlan, InputDecl, Program
from ..census import Bodies, Census
from ..lower.build import Builder, ExternMaker
from ..lower.names import identifier
from ..lower.unit import Lowerer
from ..optimize.bypass import bypassed, targets_gone
from ..optimize.rebuilding import roots
from ..optimize.report import NO_PASSES, Passes
from ..paths import join
from ..slice import Slicer
from .border import Names
from .calls import Request, Signature
from .model import Model
from .plan import Plan


def assemble(program: Program, dtype: torch.dtype, extern: ExternMaker, passes: Passes = NO_PASSES) -> tuple[Model, Plan]:
    """Return the model on the meta device, without values, and its plan; `passes` are those that have made the program."""
    plan = planned(program, Builder(dtype, extern), Lowerer(extern.function), passes=passes)
    return instance(plan), plan


def planned(program: Program, builder: Builder, lowerer: Lowerer, whole: Sequence[Body] = (), passes: Passes = NO_PASSES) -> Plan:
    """Return the plan of a model; with `whole`, these bodies are its views, of which nothing is cut."""
    slicer, around = Slicer(), bypassed(program)
    program = apart(program)
    plain = original(program) if program.original is not None and not program.only_evaluates else None
    signature = Signature(program.eval, program.training, slicer, plain and partial(plain, None))
    requests = [Request(None, frozenset()), Request(None, signature.losses())]
    pairs = [(body, body) for body in whole] or list(dict.fromkeys(signature.pair(request) for request in requests))
    registered = roots(program)
    unit = lowerer.unit(program.name, registered, pairs)
    census = Census(registered)
    known = [tensor.path for tensor in census.tensors()]
    variants = {name: Signature(own.eval, own.train or own.eval, slicer, plain and partial(plain, name)) for name, own in program.variants.items()}
    return Plan(
        program,
        unit,
        builder,
        signature,
        variants,
        Names(signature.inputs, gone=targets_gone(program)),
        {name: stage_names(stage, variants.get(name, signature)) for name, stage in program.stages.items() if name in variants or stage.uses},
        ties(census, known),
        tuple(frozen("", registered, census)),
        passes,
        around,
    )


def original(program: Program) -> Callable[[str | None], Signature]:
    """Return what gives the border of a stage, or of the model, without passes, made when it is first asked for."""
    slicer = Slicer()

    @cache
    def made(stage: str | None) -> Signature:
        text = apart(program.original or program)
        own = text.variants[stage] if stage is not None else EntryPlan("", text.eval, text.train)
        return Signature(own.eval, own.train or own.eval, slicer)

    return made


def instance(plan: Plan) -> Model:
    """Return a model of a plan, of a class of its own with the name and signature of the text."""
    forward = FunctionType(Model.forward.__code__, Model.forward.__globals__, "forward")
    forward.__doc__ = Model.forward.__doc__
    inputs = [d for signature in (plan.signature, *plan.variants.values()) for d in signature.inputs]
    vars(forward)["__signature__"] = signature_of(inputs)  # read by inspect, Trainer and export
    class_: Callable[[], Model] = type(identifier(plan.program.name), (Model,), {"_plan": plan, "__doc__": plan.program.doc, "forward": forward})
    return class_()


def signature_of(declared: Iterable[InputDecl]) -> inspect.Signature:
    """Return the Python signature of `forward`: one parameter for each declared name."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = dict.fromkeys(d.name for d in declared)
    parameters = [inspect.Parameter("self", kind)]
    parameters += [inspect.Parameter(name, kind, default=None) for name in names if name.isidentifier() and not iskeyword(name) and name != "self"]
    return inspect.Signature(parameters)


def stage_names(stage: StagePlan, signature: Signature) -> Names:
    """Return the inputs that a stage takes; what an earlier one emits goes by the name that it has there, too."""
    aliases: dict[str, tuple[str, ...]] = {}
    for target, source in stage.uses.items():
        task, _, name = target.rpartition(".")
        apart = len({d.task for d in signature.inputs if d.name == name}) > 1
        aliases[source.rpartition(".")[2]] = (name, task) if apart else (name,)
    return Names(signature.inputs, aliases)


def apart(program: Program) -> Program:
    """Return the program with inputs of one name in several tasks made a family over these tasks: `labels={"a": x, "b": y}`."""
    entries = {name: _plan_apart(plan) for name, plan in program.entries.items()}
    variants = {name: _plan_apart(plan) for name, plan in program.variants.items()}
    train = _body_apart(program.train) if program.train is not None else None
    return replace(program, eval=_body_apart(program.eval), train=train, entries=entries, variants=variants)


def _plan_apart(plan: EntryPlan) -> EntryPlan:
    return EntryPlan(plan.name, _body_apart(plan.eval), _body_apart(plan.train) if plan.train is not None else None)


def _body_apart(body: Body) -> Body:
    keys = [d.key for d in body.inputs]
    twice = {d.name for d in body.inputs if keys.count(d.key) > 1}
    if not twice:
        return body
    inputs = [replace(d, members=(d.task, *d.members)) if d.name in twice and d.task is not None else d for d in body.inputs]
    nodes = list(body.nodes)
    for declared in inputs:
        nodes[declared.node] = replace(nodes[declared.node], target=declared.key)
    return replace(body, inputs=inputs, nodes=nodes)


def ties(census: Census, known: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return every tied path with the one of its group that was born first, as `named_parameters` does; `known` is in order of birth."""
    births = {path: number for number, path in enumerate(known)}
    groups = (sorted((path for path in group if path in births), key=births.__getitem__) for group in census.tie_groups)
    return tuple((group[0], other) for group in groups for other in group[1:])


def frozen(prefix: str, bodies: Bodies, census: Census) -> Iterator[str]:
    """Yield every path that a `freeze` names, in the model and in its blocks."""
    yield from (join(prefix, freeze.path) for body in bodies for freeze in body.frozen)
    for path, (_, called) in census.owned(bodies).blocks.items():
        yield from frozen(join(prefix, path), called, census)
