# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's calls of blocks and functions: a body for each, with tensors in the place of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from archloom.dsl import ast

from .arithmetic import is_number
from .borders import dimension, fit, fresh, tensor_axes
from .calls import build_leaf, call_made
from .checks import need
from .conversions import Slot, bind
from .expressions import evaluate, loosely
from .parameters import checked, typed
from .reading import wanted
from .scopes import Body, Frame
from .statements import bear, run
from .values import Family, Late, Made, Maker, Member, Result, Set, Unknown, Wrong, number, plain


class Calling:
    """What a run calls."""

    active: list[Any]
    run_items: list[Any]
    steps: int
    alone: bool
    apart: int

    def call_unborn(self, made: Made, node: ast.Call, frame: Frame, slot: str | None) -> Any:
        """Call a block in the breath that makes it."""
        if slot is not None:
            home = frame.owner(slot)
            old = home.names[slot] if home is not None else None
            need(home is None or (isinstance(old, Family) and old.loop), f"a module would be called {slot}")
            return call_made(bear(made, slot, frame, frame.members()), node.arguments, frame)
        need(frame.body.kind != "fn", "a fn owns nothing")
        name = f"_{made.maker.name}_{len(frame.body.births)}"
        frame.body.births.add((name,))
        fresh = Made(made.maker, dict(made.arguments), (name,), parts=list(made.parts))
        if made.maker.leaf:
            fresh.module = build_leaf(fresh)
        elif made.maker.name == "Sequential":
            fresh = bear(made, name, frame, ())
        result = call_made(fresh, node.arguments, frame)
        need(not any(True for _ in owned(fresh)), "a module with parameters has no name")
        return result

    def call_fn(self, callee: Maker, node: ast.Call, frame: Frame) -> Any:
        item = callee.tree
        need(not any(a is item for a in self.active), "a fn calls itself")
        types = {p.name: p.type for p in item.parameters}
        held = {k: v for k, v in callee.given if k}
        given, _ = bind(node.arguments, [Slot(p.name, p.default is None) for p in item.parameters], list(held))
        values = held | {k: evaluate(v, frame) if _tensorial(types[k]) else typed(types[k], v, frame) for k, v in given.items()}
        body = Body(self, frame.body.made, callee.file, "fn")
        body.given = {k: v for k, v in values.items() if v is not None}
        inner = Frame("block", body)
        self.active.append(item)
        self.run_items.append(item)
        for parameter in item.parameters:
            value = values.get(parameter.name)
            if not _tensorial(parameter.type):
                self._static(parameter, values, inner)
            elif isinstance(value, Tensor):
                inner.names[parameter.name] = fit(value, parameter.type, inner, parameter.name)
            else:
                need(value is not None or parameter.default is not None, f"{parameter.name} is missing")
                need(value is None or is_number(number(value)) or isinstance(value, (bool, Late, Member)), f"{parameter.name} is no tensor")
                inner.names[parameter.name] = value
        run(item.body, inner)
        outs = body.results.get(None, {})
        self.active.pop()
        self.finish(body, inner)
        need(bool(outs), "a fn gives nothing")
        return next(iter(outs.values())) if len(outs) == 1 else Result(outs)

    def _static(self, parameter: ast.Parameter, values: Mapping[str, Any], frame: Frame) -> None:
        if parameter.name in values:
            value = values[parameter.name]
        elif parameter.default is not None:
            value = typed(parameter.type, parameter.default, frame)
        else:
            return
        absent = isinstance(parameter.default, ast.Constant) and parameter.default.value is None
        need(value is not None or absent, f"{parameter.name} is none")
        value = checked(value, parameter.type, frame, parameter.name)
        frame.names[parameter.name] = value
        if isinstance(value, Set):
            for keys in [k for n, k in frame.body.maps if n == parameter.name]:
                need(set(keys) == set(value.members), "a map has other keys")
            frame.body.maps = [m for m in frame.body.maps if m[0] != parameter.name]

    def call_block(self, made: Made, arguments: Sequence[ast.Argument], frame: Frame) -> Any:
        taken = [Slot(n, not optional, draw) for n, optional, draw in wanted(made.maker.tree.body)]
        seen: dict[str, Slot] = {}
        for slot in taken:
            seen.setdefault(slot.name, slot)
        given, _ = bind(arguments, list(seen.values()))
        return self._called(made, {k: _family(v, frame) for k, v in given.items()}, frame)

    def call_block_on(self, made: Made, value: Any, frame: Frame) -> Any:
        plain = [n for n, _, draw in wanted(made.maker.tree.body) if not draw]
        need(bool(plain), "a block without inputs")
        return self._called(made, {plain[0]: value}, frame)

    def _called(self, made: Made, given: dict[str, Any], frame: Frame) -> Any:
        result = self._once(made, given, frame)
        if self.alone and not self.apart:
            self._by_itself(made, given, frame)
        return result

    def _by_itself(self, made: Made, given: dict[str, Any], frame: Frame) -> None:
        """Require that a block runs at some sizes that all differ where its types give them different names."""
        failed: Wrong | None = None
        steps, calls, losses = self.steps, made.calls, dict(frame.body.losses)
        for attempt in range(1, 7):
            self.apart = attempt
            try:
                self._once(made, given, frame, apart=True)
                failed = None
                break
            except Wrong as wrong:
                failed = wrong
            finally:
                self.apart = 0
        self.steps, made.calls = steps, calls
        frame.body.losses.clear()
        frame.body.losses.update(losses)
        if failed is not None and failed.reason != "a requirement isn't met":
            raise Wrong(f"a block by itself: {failed.reason}")

    def stranger(self, value: Tensor, type_: Any, frame: Frame) -> Tensor:
        """Make a tensor of a block's declared type whose symbolic sizes are its own."""
        _, entries = tensor_axes(type_, frame)
        dots = next((i for i, e in enumerate(entries) if isinstance(e, ast.Ellipsis)), None)
        actual = list(value.shape)
        head = actual if dots is None else actual[:dots]
        tail = [] if dots is None else actual[len(actual) - (len(entries) - 1 - dots) :]
        middle = [] if dots is None else actual[dots : len(actual) - len(tail)]
        if dots is None and len(actual) != len(entries):
            return value
        shape = []
        for entry, old in zip((e for e in entries if not isinstance(e, ast.Ellipsis)), [*head, *tail], strict=True):
            word = entry.id if isinstance(entry, ast.Name) and fresh(entry.id, frame) else ""
            if isinstance(entry, ast.Index) and isinstance(entry.object, ast.Name) and entry.object.id[0].isupper():
                word = f"{entry.object.id}{plain(evaluate(entry.items[0], frame))}"
            own = 2 + (sum(map(ord, word)) * self.apart + self.apart) % 13
            shape.append(dimension(entry, frame, own if word and self.moves(old) else old))
        shape = shape if dots is None else [*shape[:dots], *middle, *shape[dots:]]
        return value.detach().flatten()[torch.randint(0, value.numel(), shape)] if value.numel() else value

    def _once(self, made: Made, given: dict[str, Any], frame: Frame, apart: bool = False) -> Any:
        item = made.maker.tree
        if isinstance(item, ast.ExternBlock):
            raise Unknown("an extern block")
        need(not any(a is item for a in self.active) and len(self.active) < 60, "a block contains itself")
        before = {p: tuple(t.shape) for p, t in owned(made)} if made.calls else None
        body = Body(self, made, made.maker.file, "block", given={k: v for k, v in given.items() if v is not None})
        body.apart = apart
        inner = Frame("block", body)
        self.active.append(item)
        self.run_items.append(item)
        for parameter in item.parameters:
            self._static(parameter, made.arguments, inner)
        run(item.body, inner)
        outs = body.results.get(None, {})
        need(bool(outs), "a block gives nothing")
        declared = {n for n, _ in body.inputs}
        for name, value in body.given.items():
            for key in _keys(name, value):
                need(key in declared or name in inner.names, f"{key} is not taken here")
        for name, value in body.given.items():
            taken = {n for n, _ in body.inputs if n == name or n.startswith(f"{name}.")}
            draws = {n for n, _, draw in wanted(item.body) if draw}
            need(name in draws or set(_keys(name, value)) <= taken, f"{name} has members that are not taken")
        self.finish(body, inner)
        self.active.pop()
        made.calls += 1
        made.last = inner.names
        for path in [p for p in made.children if p not in body.births]:
            raise Wrong(f"{path} is missing in a later call")
        if before is not None:
            need(before == {p: tuple(t.shape) for p, t in owned(made)}, "a later call has other parameters")
        self._lift(made, body, frame)
        return next(iter(outs.values())) if len(outs) == 1 else Result(outs)

    def _lift(self, made: Made, body: Body, frame: Frame) -> None:
        start = ".".join(made.path or ())
        place = start if made.calls == 1 else f"{start}#{made.calls}"
        for path, (value, _) in body.losses.items():
            frame.body.losses[f"{place}.{path}"] = (value, frame.task)
            parts, kinds = body.parts[path]
            frame.body.parts[f"{place}.{path}"] = ((*made.words, *parts), (made.maker.name, *kinds))

    def finish(self, body: Body, frame: Frame) -> None:
        """Judge what waits for the whole body."""
        from .facts import judge

        for name in body.words:
            need(name in body.read, f"{name} is bound and never read")
        need(not body.maps, f"no index set {body.maps}")
        judge(body, frame)


def _tensorial(type_: Any) -> bool:
    return isinstance(type_, ast.TypeRef) and type_.arguments is not None and type_.name not in ("list", "map", "set")


def _family(node: Any, frame: Frame) -> Any:
    value = loosely(node, frame)
    return value if isinstance(value, Family) and not value.loop else evaluate(node, frame)


def _keys(name: str, value: Any) -> list[str]:
    if isinstance(value, Family):
        return [k for m, v in value.members.items() for k in _keys(f"{name}.{m}", v)]
    need(isinstance(value, Tensor), f"{name} is no tensor")
    return [name]


def owned(made: Made, prefix: tuple[str, ...] = ()) -> Any:
    """Yield the path and tensor of each parameter and buffer that a module owns."""
    for path, tensor in made.own.items():
        yield ".".join((*prefix, *path)), tensor
    for path, child in made.children.items():
        yield from owned(child, (*prefix, *path))
    if made.module is not None:
        yield from ((".".join((*prefix, name)), tensor) for name, tensor in made.module.state_dict(keep_vars=True).items())
