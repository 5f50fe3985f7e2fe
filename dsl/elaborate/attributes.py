"""`x.name`: results of records, parts of modules, members of sets, values of tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .. import ast
from ..parse.gaps import NAME
from ..primitive import ParameterSpec
from ..program import Body
from ..source import Span
from ..types import TensorType
from . import statics
from .births import read
from .context import Poisoned, fail, suggest
from .expressions import evaluate, evaluate_whole, register
from .operations import operation
from .scope import Frame
from .values import POISON, Family, IndexSet, MemberOf, Module, ModuleChain, Record, TaskScope, Template, Tensor, Value, describe


def _attribute(node: ast.Attribute, frame: Frame) -> Value:
    if not isinstance(node.part, str):
        fail(
            "A208",
            f"`{node.span.text}` is a selector and can't stand here",
            node.span,
            "selectors stand in `tune`, `freeze`, `params(...)` and weights maps",
        )
    target = evaluate(node.object, frame) if isinstance(node.object, ast.Name) else evaluate_whole(node.object, frame)
    return attribute(target, node.part, node, frame)


def attribute(target: Value, part: str, node: ast.Attribute, frame: Frame) -> Value:
    """Return `target.part`."""
    handler = ATTRIBUTES.get(target.__class__)
    if handler is None:
        turned = isinstance(target, str) and part in ("T", "mT")
        help = f"what is stored is turned by `transpose({node.object.span.text})`" if turned else None
        fail("A104", f"{describe(target)} has no `{part}`", node.part_span, help)
    return handler(target, part, node, frame)


def _of_tensor(target: Tensor, part: str, node: ast.Attribute, frame: Frame) -> Value:
    if part == "mT":
        return operation(frame, "mT", (target,), node.span)
    primitive = frame.builder.context.library.primitive(part)
    function = f"operations are functions here: write `{part}({node.object.span.text}, ...)`"
    help = function if primitive else "a tensor has `.mT`; its sizes are `size(x, d)`"
    fail("A104", f"a tensor has no `{part}`", node.part_span, help)


def _of_family(target: Family, part: str, node: ast.Attribute, frame: Frame) -> Value:
    return Family(target.set, {key: attribute(value, part, node, frame) for key, value in target.members.items()}, f"{target.name}.{part}")


def _of_set(target: IndexSet, part: str, node: ast.Attribute, frame: Frame) -> Value:
    if part not in target.members:
        fail(
            "A407",
            f"`{part}` is no member of `{target.name}`",
            node.part_span,
            suggest(part, map(str, target.members), f"its members are {statics.listed(target.members)}"),
        )
    return MemberOf(target, part)


def _of_task(target: TaskScope, part: str, node: ast.Attribute, frame: Frame) -> Value:
    if part not in target.names:
        fail(
            "A104", f"the task `{target.name}` has no `{part}`", node.part_span, suggest(part, target.names, f"it has {statics.listed(target.names)}")
        )
    if target.names[part] is POISON:
        raise Poisoned
    return target.names[part]


def _of_member(target: MemberOf, part: str, node: ast.Attribute, frame: Frame) -> Value:
    task = frame.builder.tasks.get(str(target.key))
    if task is None:
        fail("A104", f"{describe(target)} has no `{part}`", node.part_span, f"there is no task `{target.key}` above")
    return _of_task(task, part, node, frame)


def _of_map(target: dict[Any, Value], part: str, node: ast.Attribute, frame: Frame) -> Value:
    if part not in target:
        fail("A104", f"the map has no key `{part}`", node.part_span, suggest(part, map(str, target), f"its keys are {statics.listed(target)}"))
    return target[part]


def _of_chain(target: ModuleChain, part: str, node: ast.Attribute, frame: Frame) -> Value:
    if not part.isdigit() or int(part) >= len(target.parts):
        fail("A104", f"`{target.path}` has no part `{part}`", node.part_span, f"its parts are `0` to `{len(target.parts) - 1}`")
    return target.parts[int(part)]


def _of_record(target: Record, part: str, node: ast.Attribute, frame: Frame) -> Value:
    if part not in target.fields:
        help = suggest(part, target.fields, f"it has {statics.listed(target.fields)}")
        fail("A104", f"`{node.object.span.text}` has no result `{part}`", node.part_span, help)
    return target.fields[part]


# ----------------------------------------------------------------------------------------------------------- modules


def _of_module(module: Module, part: str, node: ast.Attribute, frame: Frame) -> Value:
    """Read a module's parameter, static argument, or module inside."""
    template = module.template
    if template.primitive is not None:
        for spec in template.primitive.parameters(module.arguments):
            if spec.name == part:
                return _read_spec(module, spec, frame, node.span)
        if part in module.arguments:
            return module.arguments[part]
        names = [s.name for s in template.primitive.parameters(module.arguments)] + [a.name for a in template.primitive.arguments]
        fail("A104", f"`{template.name}` has no `{part}`", node.part_span, suggest(part, names, f"it has {statics.listed(names)}"))
    return _inner(module, part, node, frame)


def _read_spec(module: Module, spec: ParameterSpec, frame: Frame, span: Span) -> Tensor:
    return read(f"{module.path}.{spec.name}", TensorType(spec.dtype, spec.shape), frame, span)


def _bodies(inside: Iterable[Body], words: Sequence[str]) -> Iterator[Body]:
    """Yield the bodies of the module at a path, which may be in a module of a module: its name may have several words."""
    for body in inside:
        for count in range(1, len(words) + 1):
            declared = body.modules.get(".".join(words[:count]))
            if declared is not None:
                yield from _bodies(declared.bodies, words[count:]) if count < len(words) else declared.bodies


def _inner(module: Module, part: str, node: ast.Attribute, frame: Frame) -> Value:
    known = [frame.builder.body, *([frame.builder.model_body] if frame.builder.model_body is not None else [])]
    bodies = list(_bodies(known, module.path.split(".")))
    for body in bodies:
        if part in body.parameters:
            spec = body.parameters[part]
            return read(f"{module.path}.{part}", TensorType(spec.dtype, spec.shape), frame, node.span)
        family = [m for m in body.modules.values() if m.name == part]
        if family and not family[0].members:
            inner = family[0]
            template = Template(inner.kind, None, None, inner.primitive)
            return Module(f"{module.path}.{part}", template, inner.arguments, inner.span)
    if part in module.arguments:
        return module.arguments[part]
    item = module.template.item
    if frame.builder.poisoned and item is not None and part in NAME.findall(item.span.text):
        raise Poisoned  # a call of it may have failed
    help = (
        f"call `{module.path}` before this line: what it holds is known from its call"
        if not bodies
        else "a block shows its parameters, its static arguments and its modules"
    )
    fail("A104", f"`{module.template.name}` has no `{part}`", node.part_span, help)


ATTRIBUTES: dict[type, Callable[[Any, str, ast.Attribute, Frame], Value]] = {
    Tensor: _of_tensor, Family: _of_family, IndexSet: _of_set, TaskScope: _of_task, MemberOf: _of_member, dict: _of_map, Record: _of_record,
    ModuleChain: _of_chain, Module: _of_module,
}  # fmt: skip
register(ast.Attribute, _attribute)
