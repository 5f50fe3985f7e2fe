# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's indices and attributes: members of families and sets, positions of tensors, parts of modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from archloom.dsl import ast

from .arithmetic import is_tensor_like, key
from .expressions import HANDLERS, evaluate, literal_member, look_up, loosely, operate, runs
from .scopes import MISSING, Frame, Steps
from .values import Family, Late, Made, Member, Result, Set, Unknown, Wrong, plain, tidy, whole

# ------------------------------------------------------------------------------------------------------------- indexing


def _index(node: ast.Index, frame: Frame) -> Any:
    if not isinstance(node.object, ast.Name):
        return index(loosely(node.object, frame), node.items, frame)
    name = node.object.id
    step = _stepped(node, frame)
    if step is not None and _bears(step, name, frame):
        return _earlier(node, name, step, frame)
    try:
        target = look_up(node.object, frame, node.items)
    except Wrong:
        if step is None or frame.owner(name) is not None:
            raise
        return _earlier(node, name, step, frame)
    if isinstance(target, Steps):
        assert target.frame.loop is not None
        if target.frame.kind == "for":
            raise Wrong(f"{name} is another step's")
        target = Family(target.frame.loop.set, dict(target.frame.loop.born[name]))
    return index(target, node.items, frame)


def _stepped(node: ast.Index, frame: Frame) -> Frame | None:
    item = node.items[0]
    if len(node.items) != 1 or not isinstance(item, ast.Binary) or item.op != "-" or not isinstance(item.left, ast.Name):
        return None
    home = frame.owner(item.left.id)
    return home if home is not None and home.loop is not None and item.left.id in home.loop.names else None


def _bears(step: Frame, name: str, frame: Frame) -> bool:
    """Tell whether a loop binds a name itself, in this step or an earlier one."""
    assert step.loop is not None
    home = frame.owner(name)
    inside = home
    while inside is not None and inside is not step:
        inside = inside.parent
    return home is step if inside is step else name in step.loop.born


def _earlier(node: ast.Index, name: str, step: Frame, frame: Frame) -> Any:
    loop, item = step.loop, node.items[0]
    assert loop is not None
    if step.kind == "for":
        raise Wrong("the steps of a for are independent")
    born = loop.born.get(name, {})
    if isinstance(step.member, (int, float)):
        member = whole(evaluate(item, frame), "a step")
    else:
        place = loop.set.declared.index(step.member) - whole(evaluate(item.right, frame), "a step")
        member = loop.set.declared[place] if place >= 0 else place
    if member not in born:
        raise Wrong(f"{name} has no member {member} yet")
    return born[member]


def index(target: Any, items: Sequence[Any], frame: Frame) -> Any:
    """Return `target[items]`."""
    if isinstance(target, Tensor):
        return _of_tensor(target, items, frame)
    if isinstance(target, Family):
        return _of_family(target, items, frame)
    if len(items) != 1:
        raise Wrong("one index is taken")
    item = items[0]
    if isinstance(target, Set):
        return _of_set(target, item, frame)
    if isinstance(target, dict):
        return _of_map(target, item, frame)
    if isinstance(target, Member):
        target = target.key
    if isinstance(target, Made) and target.maker.name == "Sequential":
        target = target.parts
    if isinstance(target, (list, tuple)):
        return _of_list(target, item, frame)
    raise Wrong(f"{target!r} has no members")


def _member_of(item: Any, home: Set, frame: Frame) -> Any:
    """Evaluate an index unless it is a member's name."""
    if isinstance(item, ast.Name) and item.id in home.declared:
        bound = frame.find(item.id)
        return bound.key if isinstance(bound, Member) else item.id
    if isinstance(item, ast.Tuple) and (found := literal_member(item, frame)) in home.declared:
        return found
    return evaluate(item, frame)


def _key(value: Any, home: Set) -> Any:
    found = key(value)
    if not isinstance(found, (bool, list, dict, Tensor)) and found in home.members:
        return found
    if isinstance(found, int) and not isinstance(found, bool) and -len(home.members) <= found < 0:
        return home.members[found]
    raise Wrong(f"{found!r} is no member of {home.members}")


def _of_family(target: Family, items: Sequence[Any], frame: Frame) -> Any:
    first, rest = items[0], items[1:]

    def deeper(value: Any) -> Any:
        if rest and isinstance(value, Tensor):
            raise Wrong("an index has more entries than there are loops")
        return index(value, rest, frame) if rest else value

    if isinstance(first, ast.Whole):
        return Family(target.set, {m: deeper(v) for m, v in target.members.items()})
    chosen = cut(target.set, first, frame) if isinstance(first, ast.Range) else _member_of(first, target.set, frame)
    if isinstance(chosen, Set):
        if any(m not in target.members for m in chosen.members):
            raise Wrong("a member is absent")
        return Family(chosen, {m: deeper(target.members[m]) for m in chosen.members})
    member = _key(chosen, target.set)
    if member not in target.members:
        raise Wrong(f"the member {member} is absent")
    return deeper(target.members[member])


def cut(home: Set, node: ast.Range, frame: Frame) -> Set:
    """Return the members from one end to another."""
    start = 0 if node.start is None else _edge(node.start, home, frame)
    stop = len(home.members) if node.stop is None else _edge(node.stop, home, frame) + node.inclusive
    if stop < start:
        raise Wrong("a range runs backwards")
    return home.cut(home.members[start:stop])


def _edge(node: Any, home: Set, frame: Frame) -> int:
    members = home.members
    if isinstance(node, ast.Name) and node.id in members and frame.find(node.id) is MISSING:
        return members.index(node.id)
    found = tidy(plain(evaluate(node, frame)))
    if not isinstance(found, (bool, Tensor)) and found in members:
        return members.index(found)
    if isinstance(found, int) and not isinstance(found, bool):
        if not members:
            return 0
        numbers = [m for m in members if isinstance(m, int)]
        if len(numbers) == len(members):
            if found == max(numbers) + 1:
                return len(members)
            if -len(members) <= found < 0:
                return len(members) + found
        elif not numbers and -len(members) <= found <= len(members):
            return found % len(members) if found < 0 else found
    raise Wrong(f"{found!r} is no member of {members}")


def _of_set(target: Set, item: Any, frame: Frame) -> Any:
    if isinstance(item, ast.Whole):
        return target
    if isinstance(item, ast.Range):
        return cut(target, item, frame)
    value = _member_of(item, target, frame)
    if isinstance(value, int) and not isinstance(value, bool) and not any(isinstance(m, int) for m in target.members):
        if not -len(target.members) <= value < len(target.members):
            raise Wrong("a set has no such member")
        return Member(target.members[value], target)
    return Member(_key(value, target), target)


def _of_map(target: dict[Any, Any], item: Any, frame: Frame) -> Any:
    if isinstance(item, ast.Name) and item.id in target and not runs(item.id, frame):
        return target[item.id]
    found = key(evaluate(item, frame))
    if isinstance(found, (Tensor, list, dict)) or found not in target:
        raise Wrong(f"the map has no key {found!r}")
    return target[found]


def _of_list(target: Sequence[Any], item: Any, frame: Frame) -> Any:
    def place(node: Any, edge: bool = False) -> int:
        value = whole(evaluate(node, frame), "a position")
        at = value + len(target) if value < 0 else value
        if not 0 <= at < len(target) + edge:
            raise Wrong(f"position {value} of {len(target)}")
        return at

    if isinstance(item, ast.Whole):
        return list(target)
    if isinstance(item, ast.Range):
        start = 0 if item.start is None else place(item.start, True)
        stop = len(target) if item.stop is None else place(item.stop, True) + item.inclusive
        return list(target[start:stop])
    return target[place(item)]


def _of_tensor(x: Tensor, items: Sequence[Any], frame: Frame) -> Tensor:
    entries = [_entry(item, frame) for item in items]
    used = sum(e is not None and e is not ... for e in entries)
    if sum(e is ... for e in entries) > 1 or used > x.dim():
        raise Wrong("an index names too many axes")
    full = entries if any(e is ... for e in entries) else [*entries, ...]
    at = next(i for i, e in enumerate(full) if e is ...)
    full = [*full[:at], *[slice(None)] * (x.dim() - used), *full[at + 1 :]]
    place = 0
    for entry in full:
        if entry is not None:
            _inside(entry, x.shape[place])
            place += 1
    world = frame.body.world
    return world.link(x[tuple(slice(*e) if isinstance(e, tuple) else e for e in full)], x)


def _inside(entry: Any, length: int) -> None:
    """Require that a position or slice lies within its axis."""
    if not isinstance(entry, slice):
        if not -length <= entry < length:
            raise Wrong(f"position {entry} of {length}", "run")
        return
    start, stop, step = entry.start, entry.stop, entry.step
    if step is not None and step < 1:
        raise Wrong("a step below 1")
    if start is None and stop is None:
        return
    ends = []
    for bound, default in ((start, 0), (stop, length)):
        bound = default if bound is None else bound
        if not -length <= bound <= length:
            raise Wrong(f"a slice ends at {bound} of {length}", "run")
        ends.append(bound + length if bound < 0 else bound)
    if ends[0] > ends[1]:
        raise Wrong("a slice runs backwards", "run")


def _entry(item: Any, frame: Frame) -> Any:
    if isinstance(item, ast.Ellipsis):
        return ...
    if isinstance(item, ast.Slice):
        return slice(*(None if e is None else _position(evaluate(e, frame)) for e in (item.start, item.stop, item.step)))
    if isinstance(item, (ast.Range, ast.Whole)):
        raise Wrong("a range cuts families, not tensors")
    value = evaluate(item, frame)
    if value is None:
        return None
    if isinstance(value, Set):
        places = [value.declared.index(m) for m in value.members]
        if not places or places != list(range(places[0], places[0] + len(places))):
            raise Wrong("members don't lie side by side")
        return slice(places[0], places[-1] + 1, None)
    return _position(value)


def _position(value: Any) -> int:
    if isinstance(value, Member):
        return value.position
    if isinstance(value, Set):
        return len(value.members)
    value = tidy(value)
    late = isinstance(value, Late)
    value = value.value if late else value
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"{value!r} is no position", "run" if late else "text")
    return value


# ----------------------------------------------------------------------------------------------------------- attributes


def _attribute(node: ast.Attribute, frame: Frame) -> Any:
    if not isinstance(node.part, str):
        raise Wrong("a selector is no value")
    target = evaluate(node.object, frame) if isinstance(node.object, ast.Name) else loosely(node.object, frame)
    return attribute(target, node.part, frame)


def attribute(target: Any, part: str, frame: Frame) -> Any:
    """Return `target.part`."""
    if isinstance(target, Tensor) and part == "mT":
        return operate(frame, "mT", target)
    if isinstance(target, Family):
        return Family(target.set, {m: attribute(v, part, frame) for m, v in target.members.items()})
    if isinstance(target, Set) and part in target.members:
        return Member(part, target)
    if isinstance(target, Made):
        return _of_made(target, part, frame)
    if isinstance(target, Member):
        target = frame.body.tasks.get(str(target.key))
    named = target.names if isinstance(target, Frame) else target.fields if isinstance(target, Result) else target
    if isinstance(named, dict) and part in named:
        return named[part]
    raise Wrong(f"{target!r} has no {part}")


def _of_made(target: Made, part: str, frame: Frame) -> Any:
    if target.maker.name == "Sequential":
        if not part.isdigit() or int(part) >= len(target.parts):
            raise Wrong(f"no part {part}")
        return target.parts[int(part)]
    if target.module is not None:
        own = {**dict(target.module.named_parameters(recurse=False)), **dict(target.module.named_buffers(recurse=False))}
        if part in own:
            return frame.body.world.link(own[part], target)
        if part in target.arguments:
            return target.arguments[part]
        raise Wrong(f"{target.maker.name} has no {part}")
    if target.calls == 0:
        if part in target.arguments:
            return target.arguments[part]
        called = frame.body.world.whole.children.get(target.path) if frame.body.world.whole is not None else None
        if called is None or called.calls == 0:
            raise Unknown(f"{part} of a module that is not called yet")
        target = called  # an entry looks into what its model calls
    value = target.last.get(part, MISSING)
    if value is MISSING or (is_tensor_like(value) and not _owned(value)):
        raise Wrong(f"{target.maker.name} has no {part}")
    return value


def _owned(value: Any) -> bool:
    if isinstance(value, Family):
        return all(_owned(v) for v in value.members.values())
    return isinstance(value, torch.nn.Parameter) or getattr(value, "own", False)


HANDLERS.update({ast.Index: _index, ast.Attribute: _attribute})
