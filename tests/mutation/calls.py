# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's calls: arguments by name and place, operations, functions, blocks being made, modules being called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from archloom.blocks.registry import primitives
from archloom.dsl import ast
from archloom.dsl.primitive import MISSING as NO_DEFAULT
from archloom.dsl.primitive import Argument, Kind

from .arithmetic import FUNCTIONS, is_static, is_tensor_like
from .checks import need
from .conversions import Slot, bind, convert, initialiser, slots
from .expressions import HANDLERS, clauses, evaluate, look_up, loosely, operate
from .parameters import typed
from .scopes import MISSING, Frame
from .torch_modules import LEAVES, call_leaf
from .values import Family, Made, Maker, Unknown, Wrong

# ------------------------------------------------------------------------------------------------------------- calling


def _call(node: ast.Call, frame: Frame) -> Any:
    body = frame.body
    slot, body.slot = body.slot, None
    callee = look_up(node.function, frame) if isinstance(node.function, ast.Name) else loosely(node.function, frame)
    if isinstance(callee, Made) and callee.path is None:
        return body.world.call_unborn(callee, node, frame, slot)
    if isinstance(callee, Made):
        found = call_made(callee, node.arguments, frame)
    elif isinstance(callee, Maker):
        found = (
            _make(callee, node, frame)
            if callee.leaf or isinstance(callee.tree, (ast.Block, ast.Model, ast.ExternBlock))
            else _apply(callee, node, frame)
        )
    else:
        raise Wrong(f"{callee!r} is called")
    body.slot = slot
    return found


def _apply(callee: Maker, node: ast.Call, frame: Frame) -> Any:
    special = SPECIAL.get(callee.name)
    if special is not None and callee.tree is None:
        return special(node, frame)
    if any(isinstance(a.value, (ast.Ellipsis, ast.Open)) for a in node.arguments):
        return _partial(callee, node, frame)
    if isinstance(callee.tree, ast.Fn):
        return frame.body.world.call_fn(callee, node, frame)
    if callee.tree is not None:
        raise Unknown("an extern function")
    folded = _fold(callee.name, node, frame)
    if folded is not MISSING:
        return folded
    if callee.name in FUNCTIONS and all(a.name is None for a in node.arguments) and not callee.given:
        return _either(callee, node, frame)
    if callee.name not in primitives():
        raise Wrong(f"{callee.name} is not called")
    return call_operation(callee, node, frame)


def call_operation(callee: Maker, node: ast.Call, frame: Frame) -> Any:
    entry = primitives()[callee.name]
    taker = next((a.name for a in entry.arguments if a.kind is Kind.SIZES), None)
    extra = _axes([a.name for a in entry.arguments], node.arguments) if taker is not None else []
    given, _ = bind([a for a in node.arguments if a not in extra], slots(entry.arguments), [k for k, _ in callee.given if k])
    by_name = {a.name: a for a in entry.arguments}
    values = {k: v for k, v in callee.given if k} | {k: _argument(by_name[k], v, frame) for k, v in given.items()}
    if extra:
        values[taker] = {a.name: evaluate(a.value, frame) for a in extra}
    return frame.body.world.apply(callee.name, values, frame)


def _axes(left: list[str], arguments: Sequence[ast.Argument]) -> list[ast.Argument]:
    """Return the keywords that are sizes of axes: those that name no argument, or one that is given before."""
    found: list[ast.Argument] = []
    for argument in arguments:
        if argument.name is not None and argument.name not in left:
            need(all(argument.name != other.name for other in found), f"{argument.name} is given twice")
            found.append(argument)
        elif left:
            left.remove(argument.name or left[0])
    return found


def _argument(argument: Argument, node: Any, frame: Frame) -> Any:
    if isinstance(node, list):
        return [evaluate(n, frame) for n in node]
    return initialiser(node, frame) if argument.kind is Kind.INIT else evaluate(node, frame)


def _partial(callee: Maker, node: ast.Call, frame: Frame) -> Maker:
    arguments = [a for a in node.arguments if not isinstance(a.value, (ast.Ellipsis, ast.Open))]
    need(all(a.name is not None for a in arguments), "a partial operation names its arguments")
    if callee.name in primitives() and callee.tree is None:
        known = {a.name for a in primitives()[callee.name].arguments}
        need(all(a.name in known for a in arguments), "an unknown argument")
    given = {**dict(callee.given), **{a.name: evaluate(a.value, frame) for a in arguments}}
    return Maker(callee.name, callee.file, callee.tree, tuple(given.items()))


def _either(callee: Maker, node: ast.Call, frame: Frame) -> Any:
    """Call what is both a static function and an operation, by what its arguments are."""
    values = [_bare(a.value, frame) for a in node.arguments]
    if callee.name in primitives() and any(map(is_tensor_like, values)):
        names = [a.name for a in primitives()[callee.name].arguments if not a.keyword]
        need(len(values) <= len(names), "an argument too much")
        return operate(frame, callee.name, *values)
    fewest, most, function = FUNCTIONS[callee.name]
    need(fewest <= len(values) <= most, f"{callee.name} takes other arguments")
    return function(values)


def _bare(node: Any, frame: Frame) -> Any:
    value = loosely(node, frame)
    return evaluate(node, frame) if isinstance(value, Family) and value.loop else value


# --------------------------------------------------------------------------------------------------------------- folds

FOLDS = {"sum": "add", "mean": "add", "all": "bitwise_and", "any": "bitwise_or"}


def _fold(name: str, node: ast.Call, frame: Frame) -> Any:
    if name not in FOLDS or len(node.arguments) != 1 or node.arguments[0].name is not None:
        return MISSING
    values = _summands(node.arguments[0].value, name, frame)
    if values is None:
        return MISSING
    if any(isinstance(v, Tensor) for v in values):
        found = values[0]
        for value in values[1:]:
            found = operate(frame, FOLDS[name], found, value)
        return operate(frame, "div", found, len(values)) if name == "mean" else found
    need(bool(values) or name != "mean", "the mean of nothing")
    if not all(map(is_static, values)):
        return MISSING
    if name == "mean":
        from .arithmetic import binary

        return binary("/", FUNCTIONS["sum"][2]([values]), len(values))
    return FUNCTIONS[name][2]([values])


def _summands(node: Any, name: str, frame: Frame) -> list[Any] | None:
    if isinstance(node, ast.Comprehension) and node.kind == "bare":
        need(node.where is None or name == "sum", "where stands in a sum")
        return [_kept(node, inner) for inner in clauses(node.clauses, frame)]
    base = node
    while isinstance(base, ast.Attribute):
        base = base.object
    if not (isinstance(base, ast.Index) and any(isinstance(i, (ast.Whole, ast.Range)) for i in base.items)):
        return None
    value = loosely(node, frame)
    found = list(value.members.values()) if isinstance(value, Family) else value
    return list(found) if isinstance(found, (list, tuple)) else None


def _kept(node: ast.Comprehension, frame: Frame) -> Any:
    value = evaluate(node.element, frame)
    if node.where is None:
        return value
    mask = evaluate(node.where, frame)
    need(isinstance(mask, Tensor) and isinstance(value, Tensor), "where masks tensors")
    for _ in range(value.dim() - mask.dim()):
        mask = operate(frame, "unsqueeze", mask, -1)
    return operate(frame, "where", mask, value, 0.0)


# --------------------------------------------------------------------------------------------------------------- blocks


def _make(callee: Maker, node: ast.Call, frame: Frame) -> Any:
    """Give a block its arguments; what comes out has no path yet."""
    entry = primitives()[callee.name] if callee.leaf else None
    taken = slots(entry.arguments) if entry is not None else [Slot(p.name, p.default is None) for p in callee.tree.parameters]
    held = dict(callee.given)
    given, left = bind(node.arguments, taken, [k for k in held if k is not None and not (callee.open and k in callee.open)])
    if entry is not None:
        by_name = {a.name: a for a in entry.arguments}
        values = {k: _argument(by_name[k], v, frame) for k, v in given.items()}
    else:
        types = {p.name: p.type for p in callee.tree.parameters}
        values = {k: typed(types[k], v, frame) for k, v in given.items()}
    held |= values
    if left is not None:
        return Maker(callee.name, callee.file, callee.tree, tuple(held.items()), callee.leaf, tuple(left))
    return Made(callee, held)


def build_leaf(made: Made) -> nn.Module:
    """Make the torch module of a leaf."""
    entry = primitives()[made.maker.name]
    values: dict[str, Any] = {}
    for argument in entry.arguments:
        value = convert(argument, made.arguments[argument.name]) if argument.name in made.arguments else argument.default
        need(value is not NO_DEFAULT, f"{argument.name} is missing")
        values[argument.name] = value
    made.arguments = dict(values)
    starts = {key: values.pop(key, None) for key in ("init", "init_bias")}
    module = LEAVES[made.maker.name](**values).to(torch.float64)
    for key, name in (("init", "weight"), ("init_bias", "bias")):
        parameter = getattr(module, name, None)
        if starts[key] is not None and isinstance(parameter, Tensor):
            starts[key].fits(parameter.shape, parameter.dtype)
    return module


def call_made(made: Made, arguments: Sequence[ast.Argument], frame: Frame) -> Any:
    """Call a module that has a path."""
    world = frame.body.world
    if made.maker.name == "Sequential":
        need(len(arguments) == 1 and arguments[0].name is None, "a Sequential takes one argument")
        return call_chain(made, evaluate(arguments[0].value, frame), frame)
    if made.module is None:
        return world.call_block(made, arguments, frame)
    entry = primitives()[made.maker.name]
    given, _ = bind(arguments, slots(entry.call))
    by_name = {a.name: a for a in entry.call}
    return run_leaf(made, [convert(by_name[k], evaluate(v, frame)) for k, v in given.items()], frame)


def run_leaf(made: Made, values: list[Any], frame: Frame) -> Tensor:
    assert made.module is not None
    made.calls += 1
    world = frame.body.world
    made.module.train(world.training)
    norm = made.maker.name.startswith("BatchNorm")
    world.modal |= norm
    if norm and world.training and made.module.track_running_stats and _has_one(values[0]):
        made.module.eval()  # right for one that is frozen for good: that is known at the end of the run
        world.starved.append(made.module)
    return world.link(world.guarded(call_leaf, made.maker.name, made.module, *values), *values, made)


def _has_one(x: Any) -> bool:
    """Tell whether a tensor has one value of each channel."""
    return isinstance(x, Tensor) and x.dim() >= 2 and x.numel() == x.shape[1]


def call_chain(made: Made, value: Any, frame: Frame) -> Any:
    for part in made.parts:
        value = call_value(part, value, frame)
    return value


def call_value(function: Any, value: Any, frame: Frame) -> Any:
    """Call a module or an operation of one argument on a value."""
    if isinstance(function, Made):
        if function.maker.name == "Sequential":
            return call_chain(function, value, frame)
        if function.module is not None:
            return run_leaf(function, [convert(primitives()[function.maker.name].call[0], value)], frame)
        return frame.body.world.call_block_on(function, value, frame)
    if isinstance(function, Maker) and function.name in primitives() and not function.leaf:
        held = {k: v for k, v in function.given if k}
        first = next(a.name for a in primitives()[function.name].arguments if a.name not in held)
        return frame.body.world.apply(function.name, {**held, first: value}, frame)
    raise Wrong(f"{function!r} is no part of a Sequential")


SPECIAL: dict[str, Any] = {}
HANDLERS[ast.Call] = _call
