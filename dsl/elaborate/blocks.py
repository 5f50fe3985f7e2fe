"""Elaborating a block: once for each combination of static arguments, input types and mode; every call after that is one node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import ast
from ..limits import exceeded
from ..program import Body, InputDecl, LossDecl, ModuleDecl, NodeKind, Ref
from ..source import Span
from ..types import TensorType
from .arguments import Slot, bind, static_arguments, unmade
from .builder import Builder
from .conditions import lift_conditions
from .context import Context, Poisoned, Problem, fail, too_long
from .expressions import evaluate, lookup
from .fitting import VALUE, refitted
from .inputs import Pattern, Wanted, flat, match, outside, pattern, shown, wanted
from .kept import Elaborated, keep, recall
from .scope import Frame
from .statements import finish, run
from .states import bind_lengths, lifted_states
from .values import EmptyState, Family, LiveState, Module, ModuleChain, Record, Tensor, Value, describe, freeze


def inputs_of(item: ast.Block | ast.Model | ast.ExternBlock) -> tuple[Wanted, ...]:
    """Return the inputs that a block names, in order."""
    names: dict[str, Wanted] = {}
    for entry in wanted(item.body):
        names.setdefault(entry.name, entry)
    return tuple(names.values())


def call_block(module: Module, arguments: Sequence[ast.Argument], frame: Frame, span: Span) -> Value:
    """Call a block instance: find or make its body, match the types, append one node."""
    slots = [Slot(s.name, not s.optional, s.draw) for s in _slots(module, frame, span)]
    bound = bind(module.template.name, arguments, slots, span, hint="" if arguments else f"; {unmade(module)}").given
    values = {key: _argument(node, frame) for key, node in bound.items()}
    return _call(module, values, {key: node.span for key, node in bound.items()}, frame, span)


def call_block_on(module: Module, value: Value, frame: Frame, span: Span) -> Value:
    """Call a block instance with its first input, as a part of a Sequential."""
    plain = [s.name for s in _slots(module, frame, span) if not s.draw]
    if not plain:
        fail("A201", f"`{module.template.name}` takes no input", span)
    return _call(module, {plain[0]: value}, {}, frame, span)


def _slots(module: Module, frame: Frame, span: Span) -> tuple[Wanted, ...]:
    item = module.template.item
    if item is None:
        fail("A104", f"`{module.path}` can't be called from here", span, "call it inside the block that makes it, and return what is wanted by `out`")
    return frame.builder.context.files.once(inputs_of, item)


def _call(module: Module, values: Mapping[str, Value], spans: Mapping[str, Span], frame: Frame, span: Span) -> Value:
    actual: dict[str, TensorType] = {}
    tensors: dict[str, Tensor] = {}
    for name, value in values.items():
        if value is None:
            continue
        for key, _, found in flat(name, value, spans.get(name, span)):
            tensors[key] = _tensor(found, key, module, spans.get(name, span), frame)
            actual[key] = tensors[key].type
    elaborated = elaborate_block(module, actual, frame, span)
    _called_as(module.path, elaborated.body, frame, span)
    for name, argument in module.arguments.items():
        if isinstance(argument, (Module, ModuleChain)):
            _hand_back(name, argument.path, elaborated.borrowed, frame, span)
    return _node(module, elaborated, tensors, actual, {**spans, "": span}, frame, span)


def _argument(node: ast.Expr, frame: Frame) -> Value:
    try:
        if isinstance(node, ast.Name):
            value = lookup(node, frame)
            if isinstance(value, Family) and not value.loop_born:
                return value
        return evaluate(node, frame)
    except Problem as problem:
        raise refitted(problem, node, frame, VALUE) from None


def _tensor(value: Value, key: str, module: Module, span: Span, frame: Frame) -> Tensor:
    if isinstance(value, LiveState):
        return value.tensor
    if isinstance(value, Tensor):
        return value
    if isinstance(value, EmptyState):
        fail("A415", f"the state `{value.name}` holds nothing in the plain forward", span)
    fail("A203", f"`{key}` of `{module.template.name}` takes a tensor, not {describe(value)}", span)


def _called_as(path: str, body: Body, frame: Frame, span: Span) -> None:
    """Keep that the module at `path` is called as `body`; one that came as an argument is its maker's to keep."""
    declared = frame.builder.body.modules.get(path)
    bodies = declared.bodies if declared is not None else frame.builder.borrowed.setdefault(path, [])
    if not any(body is known for known in bodies):
        if declared is not None:
            _same_parameters(declared, body, frame, span)
        bodies.append(body)


def _hand_back(name: str, path: str, borrowed: Mapping[str, list[Body]], frame: Frame, span: Span) -> None:
    """Keep how a called block calls the module `path` that it was handed as `name`."""
    for inner, bodies in borrowed.items():
        if inner == f"@{name}" or inner.startswith(f"@{name}."):
            for body in bodies:
                _called_as(path + inner[len(name) + 1 :], body, frame, span)


def _same_parameters(declared: ModuleDecl, body: Body, frame: Frame, span: Span) -> None:
    """Require every way of calling one module to need the same parameters."""
    if not declared.bodies:
        return
    one, two = (_owned(called) for called in (declared.bodies[0], body))
    different = sorted(path for path in one.keys() | two.keys() if one.get(path) != two.get(path))
    if different:
        help = "one module has one set of parameters: make two modules, or give both calls the same sizes"
        fail("A308", f"`{declared.path}` would need other parameters in this call (`{different[0]}`)", span, help)


def _owned(body: Body) -> dict[str, object]:
    """Return what a body and the modules in it own: paths, with what must be equal at each."""
    found = body.found.get("tensors")
    if found is not None:
        return found
    own: dict[str, object] = {p.path: (p.shape, p.dtype, p.buffer) for p in body.parameters.values()}
    for module in body.modules.values():
        path = module.path
        if module.primitive is not None:
            own.update({f"{path}.{s.name}": (s.shape, s.dtype, s.buffer) for s in module.primitive.parameters(module.arguments)})
        elif module.extern is not None:
            own[path] = (module.extern, freeze(dict(module.arguments)))
        for inner in module.bodies:
            own.update({f"{path}.{name}": what for name, what in _owned(inner).items()})
    body.found["tensors"] = own
    return own


# ------------------------------------------------------------------------------------------------------- elaboration


def elaborate_block(module: Module, actual: Mapping[str, TensorType], frame: Frame, span: Span) -> Elaborated:
    """Return the body of a block for these types; raises Poisoned if it has errors (they are reported once)."""
    context = frame.builder.context
    patterns = {key: pattern(type_) for key, type_ in actual.items()}
    key = (module.template.key, freeze(dict(module.arguments)), tuple(patterns.items()), context.training)
    apart = (*key, context.entry is not None)  # where a body that is another one in entries is kept
    found = context.memo.get(key) or context.memo.get(apart)
    if found is None:
        steps, nodes = context.spent.steps, context.spent.nodes
        found = recall(key, context) or recall(apart, context)
        if found is None:
            found = _elaborate(module, patterns, context, span)
            keep(apart if found.body.differs_in_entries else key, found, module)
        for outer in context.making[-1:]:
            outer.steps -= context.spent.steps - steps
            outer.nodes -= context.spent.nodes - nodes
    place = apart if found.body.differs_in_entries else key
    context.memo[place] = found
    for outer in context.making[-1:]:
        outer.inner[place] = found
        outer.sources.update(found.sources)
    if found.failed:
        raise Poisoned
    return found


def _elaborate(module: Module, patterns: Mapping[str, Pattern], context: Context, span: Span) -> Elaborated:
    template = module.template
    item, file = template.item, template.file
    assert item is not None and file is not None
    if len(context.stack) >= context.limits.blocks:
        message = f"blocks nest deeper than {context.limits.blocks}"
        raise Problem(exceeded("blocks", message, span, "put fewer blocks in blocks, or use `repeat`", "A805"))
    if any(name == template.name and i is item for name, i in context.active):
        names = [name for name, _ in context.active]
        chain = " > ".join([*names[names.index(template.name) if template.name in names else 0 :], template.name])
        fail("A905", f"`{template.name}` contains itself: {chain}", span, "recursion is not in the language: use `repeat` over an index set")
    before, reports, steps, nodes = len(context.diagnostics), context.reports, context.spent.steps, context.spent.nodes
    context.step(span, 40)
    builder = Builder(context, template.name, item.span)
    builder.given = patterns
    inner = Frame("block", builder, file)
    found = Elaborated(item, builder.body, builder.outs, borrowed=builder.borrowed)
    followed, context.files.followed = context.files.followed, found.sources
    context.stack.append((template.name, span))
    context.making.append(found)
    context.enter(template.name, item)
    try:
        _prepare(module, item, inner)
        run(item.body, inner)
        finish(inner, item)
        builder.body.names = inner.names
    except Problem as problem:
        context.report(problem.diagnostic)
    except OverflowError as error:
        context.report(too_long(error, item.span))
    except Poisoned:
        pass
    finally:
        context.stack.pop()
        context.making.pop()
        context.active.pop()
        context.files.followed = followed
    found.failed = any(d.severity.value == "error" for d in context.diagnostics[before:]) or builder.poisoned
    found.quiet = context.reports == reports
    found.steps += context.spent.steps - steps
    found.nodes += context.spent.nodes - nodes
    return found


def _prepare(module: Module, item: ast.Block | ast.Model | ast.ExternBlock, inner: Frame) -> None:
    """Bind the static arguments in the block's own frame; module arguments become names of its own."""
    given = dict(module.arguments)
    for name, value in given.items():
        if isinstance(value, (Module, ModuleChain)):
            given[name] = _handed(value, f"@{name}")
    static_arguments(item.parameters, given, {}, inner)
    inner.builder.body.doc = getattr(item, "doc", None)


def _handed(value: Module | ModuleChain, path: str) -> Module | ModuleChain:
    if isinstance(value, ModuleChain):
        parts = tuple(_handed(p, f"{path}.{i}") if isinstance(p, (Module, ModuleChain)) else p for i, p in enumerate(value.parts))
        return ModuleChain(path, parts, value.span)
    return Module(path, value.template, value.arguments, value.span)


# ----------------------------------------------------------------------------------------------------- the call node


def _node(
    module: Module,
    elaborated: Elaborated,
    tensors: Mapping[str, Tensor],
    actual: Mapping[str, TensorType],
    spans: Mapping[str, Span],
    frame: Frame,
    span: Span,
) -> Value:
    builder, body = frame.builder, elaborated.body
    name = module.template.name
    plain = [i for i in body.inputs if not i.is_state]
    unknown = [key for key in tensors if not any(i.key == key for i in plain)]
    if unknown:
        fail("A201", f"`{name}` takes no `{unknown[0]}` here", spans.get(unknown[0].split(".")[0], span), "the condition of this input does not hold")
    _all_given(plain, tensors, name, span, builder)
    binding = match(builder, plain, actual, spans, name)
    lift_conditions(builder, body, binding, span, name, module)
    operands: dict[str, Any] = {i.key: tensors[i.key].ref for i in plain if i.key in tensors}
    place = _place(module, builder)
    bind_lengths(builder, body, binding)
    types = _outer_types(body, binding, builder)
    results = len(types) - len(body.states)
    operands |= lifted_states(builder, place, body, types[results:], span)
    number = builder.node(NodeKind.CALL, module.path, operands, {}, types[:results], span, body=body)
    builder.body.uses_training |= body.uses_training
    builder.body.differs_in_entries |= body.differs_in_entries
    _lift_losses(place, body, number, frame)
    return rebuilt(elaborated.outs, {o.ref: Tensor(Ref(number, i), types[i]) for i, o in enumerate(body.outputs)}, name)


def _outer_types(body: Body, binding: Mapping[Any, Any], builder: Builder) -> tuple[TensorType, ...]:
    """Return what a call gives, as its caller sees it: outputs, losses, states; then what its states are before.  Equal layers of a loop
    give the same."""
    key = ("types", id(body), tuple(binding.items()))
    found = builder.context.memo.get(key)
    if found is None:
        results = [*(out.ref for out in body.outputs), *(loss.ref for loss in body.losses), *(state.result for state in body.states)]
        inside = [*map(body.type, results), *(state.type for state in body.states)]
        distinct = {id(type_): outside(type_, binding) for type_ in {id(type_): type_ for type_ in inside}.values()}
        types = tuple(distinct[id(type_)] for type_ in inside)
        found = builder.context.memo[key] = (body, types)  # a body's id is its own as long as it lives
    return found[1]


def _all_given(plain: list[InputDecl], tensors: Mapping[str, Tensor], name: str, span: Span, builder: Builder) -> None:
    for inp in plain:
        if inp.key not in tensors and not inp.optional:
            fail("A202", f"`{name}` needs its input `{inp.key}` (`{shown(inp.type)}`)", span, "give it by name", [(inp.span, "declared here")])


def _place(module: Module, builder: Builder) -> str:
    """Return what the losses and states of this call are known by: a module's later calls have values of their own."""
    count = builder.calls[module.path] = builder.calls.get(module.path, 0) + 1
    return module.path if count == 1 else f"{module.path}#{count}"


def _lift_losses(place: str, body: Body, number: int, frame: Frame) -> None:
    for i, loss in enumerate(body.losses):
        ref, path = Ref(number, len(body.outputs) + i), f"{place}.{loss.path}"
        frame.builder.is_new("loss", path)
        frame.builder.body.losses.append(LossDecl(path, ref, loss.weight, loss.span, frame.task))


def rebuilt(outs: Mapping[str, Value], tensors: Mapping[Ref, Tensor], name: str) -> Value:
    """Return a call's result: the value itself for one `out`, a record for several."""
    fields = {key: _mapped(value, tensors) for key, value in outs.items()}
    if len(fields) == 1:
        return next(iter(fields.values()))
    return Record(fields, name)


def _mapped(value: Value, tensors: Mapping[Ref, Tensor]) -> Value:
    if isinstance(value, Tensor):
        return tensors[value.ref]
    if isinstance(value, Family):
        return Family(value.set, {k: _mapped(v, tensors) for k, v in value.members.items()}, value.name)
    return value
