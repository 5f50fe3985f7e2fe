"""`x[...]`: members of families, sets, lists and maps; positions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import ast
from ..dims import Dim
from ..program import Member
from ..types import SetAxis
from . import statics
from .bulk import spend
from .context import Poisoned, Problem, fail, suggest
from .expressions import earlier, evaluate, evaluate_whole, lookup, register
from .literals import literal_member, runs, whole
from .operations import apply, axis
from .scope import Earlier, Frame
from .values import POISON, Family, IndexSet, LiveState, MemberOf, ModuleChain, Tensor, Value, describe, place


def _index(node: ast.Index, frame: Frame) -> Value:
    if not isinstance(node.object, ast.Name):
        return index(evaluate_whole(node.object, frame), node.items, node, frame)
    loop = _stepped(node, frame)
    if loop is not None and _bears(loop, node.object.id, frame):
        return _earlier(node, node.object.id, loop, frame)
    try:
        target = lookup(node.object, frame, node.items)
    except Problem as problem:
        if loop is None or problem.diagnostic.code != "A102":
            raise
        return _earlier(node, node.object.id, loop, frame)
    if isinstance(target, Earlier):
        target = earlier(target, node.object)
    return index(target, node.items, node, frame)


def index(target: Value, items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    """Return `target[items]`."""
    handler = _HANDLERS.get(target.__class__)
    if handler is None:
        help = "families, index sets, lists, maps and tensors can"
        if target is None:
            help = f"`{node.object.span.text}` is absent here: read it only where it is given"
        fail("A211", f"{describe(target)} can't be indexed", node.span, help)
    return handler(target, items, node, frame)


# --------------------------------------------------------------------------------------------- earlier steps of a loop


def _stepped(node: ast.Index, frame: Frame) -> Frame | None:
    """Return the step of the loop around whose variable stands in `name[i - k]`."""
    item = node.items[0]
    if len(node.items) != 1 or not isinstance(item, ast.Binary) or item.op != "-" or not isinstance(item.left, ast.Name):
        return None
    home = frame.owner(item.left.id)
    return home if home is not None and home.loop is not None and item.left.id in home.loop.names else None


def _bears(step: Frame, name: str, frame: Frame) -> bool:
    """Say whether a loop binds `name` itself: in this step, or in an earlier one."""
    assert step.loop is not None
    home = frame.owner(name)
    inside = home
    while inside is not None and inside is not step:
        inside = inside.parent
    return home is step if inside is step else name in step.loop.born


def _earlier(node: ast.Index, name: str, step: Frame, frame: Frame) -> Value:
    """Read `name[i - k]`, the member of an earlier step."""
    item, loop = node.items[0], step.loop
    assert isinstance(item, ast.Binary) and loop is not None
    loop.varied = True
    if step.kind == "for":
        help = f"hand `{name}` from step to step in a `repeat`"
        fail("A402", f"`{node.span.text}` reads another step, and the steps of a `for` are independent", node.span, help)
    born = loop.born.get(name, {})
    if isinstance(step.member, (int, float)):
        key: Member = whole(evaluate(item, frame), item)
    else:
        place = loop.set.declared.index(step.member) - whole(evaluate(item.right, frame), item.right)
        key = loop.set.declared[place] if place >= 0 else place
    if key not in born:
        help = f"members so far: {statics.listed(born) or 'none'}; guard the first steps with `if`"
        fail("A407", f"`{name}` has no member `{key}` yet", item.span, help)
    if born[key] is POISON:
        raise Poisoned
    return born[key]


# -------------------------------------------------------------------------------------------------------- families


def _of_family(target: Family, items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    first, rest = items[0], items[1:]
    if isinstance(first, (ast.Range, ast.Whole)):
        chosen = _sub_family(target, first, node, frame)
        if rest:
            return Family(chosen.set, {key: _deeper(value, rest, node, frame) for key, value in chosen.members.items()}, chosen.name)
        return chosen
    value = _index_value(first, target.set, frame)
    if isinstance(value, IndexSet):
        chosen = restrict(target, value, first)
        return chosen if not rest else Family(chosen.set, {k: _deeper(v, rest, node, frame) for k, v in chosen.members.items()}, chosen.name)
    key = member_key(first, value, target.set, frame)
    if key not in target.members:
        name = target.name or "the family"
        fail("A407", f"`{name}` has no member `{key}` here", first.span, f"it is bound for {statics.listed(target.members)}")
    found = target.members[key]
    return _deeper(found, rest, node, frame) if rest else found


def _deeper(value: Value, items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    if isinstance(value, Tensor):
        fail(
            "A211",
            f"`{node.object.span.text}` has fewer loops around it than this index has entries",
            node.span,
            "index the tensor in brackets of its own: `x[t][:, 0]`",
        )
    return index(value, items, node, frame)


def _index_value(node: ast.Expr, set_: IndexSet, frame: Frame) -> Value | None:
    """Evaluate an index item unless it is a member's name; a name that means nothing is no member."""
    if isinstance(node, ast.Name) and place(set_.declared, node.id) is not None:
        return None
    if isinstance(node, ast.Tuple) and place(set_.declared, key := literal_member(node, frame)) is not None:
        return key
    if isinstance(node, ast.Name) and frame.owner(node.id) is None:
        try:
            return evaluate(node, frame)
        except Problem as problem:
            if problem.diagnostic.code != "A102":
                raise
        help = suggest(node.id, map(str, set_.members), f"its members are {statics.listed(set_.members)}")
        fail("A407", f"`{node.id}` is no member of `{set_.name}`", node.span, help)
    return evaluate(node, frame)


def member_key(node: ast.Expr, value: Value | None, set_: IndexSet, frame: Frame) -> Member:
    """Return the member of `set_` that an index item means: its own names first, then what the expression is."""
    if isinstance(node, ast.Name) and place(set_.declared, node.id) is not None:
        bound = frame.find(node.id)
        return bound.key if isinstance(bound, MemberOf) else node.id
    value = evaluate(node, frame) if value is None else value
    key = statics.key_of(value)
    key = statics.tidy(key)
    if place(set_.members, key) is not None:
        return key
    if isinstance(key, int) and not isinstance(key, bool) and -len(set_.members) <= key < 0:
        return set_.members[key]
    names = statics.listed(set_.members)
    fail(
        "A407", f"`{node.span.text}` is no member of `{set_.name}`", node.span, suggest(str(key), map(str, set_.members), f"its members are {names}")
    )


def restrict(target: Family, chosen: IndexSet, node: ast.Expr) -> Family:
    """Return the sub-family over `chosen`."""
    missing = [m for m in chosen.members if m not in target.members]
    if missing:
        fail("A407", f"`{missing[0]}` is no member of `{target.set.name}`", node.span, f"its members are {statics.listed(target.members)}")
    return Family(chosen, {m: target.members[m] for m in chosen.members}, target.name)


def _sub_family(target: Family, node: ast.Range | ast.Whole, at: ast.Index, frame: Frame) -> Family:
    if isinstance(node, ast.Whole):
        return Family(target.set, target.members, target.name)
    return restrict(target, cut(target.set, node, frame), node)


def cut(set_: IndexSet, node: ast.Range, frame: Frame) -> IndexSet:
    """Return the members from `start` to `stop` of a set, counted by member."""
    start = 0 if node.start is None else _edge(node.start, set_, frame)
    stop = len(set_.members) if node.stop is None else _edge(node.stop, set_, frame) + (1 if node.inclusive else 0)
    if stop < start:
        fail("A406", f"the range `{node.span.text}` runs backwards", node.span, "`reversed(...)` counts down; an empty range is `a..a`")
    return set_.cut(set_.members[start:stop], f"{set_.name}[{node.span.text}]")


def _edge(node: ast.Expr, set_: IndexSet, frame: Frame) -> int:
    """Return the place in `set_.members` of a range's end; one past the last number is a place too."""
    if isinstance(node, ast.Name) and node.id in set_.members and frame.find(node.id) is None:
        return set_.members.index(node.id)
    value = evaluate(node, frame)
    key = statics.tidy(value.key if isinstance(value, MemberOf) else value)
    found = place(set_.members, key)
    if found is not None:
        return found
    numbers = [m for m in set_.members if isinstance(m, int)]
    if isinstance(key, int) and not isinstance(key, bool):
        if not set_.members:
            return 0
        if len(numbers) == len(set_.members):
            if key == max(numbers) + 1:
                return len(set_.members)
            if key < 0 and -len(numbers) <= key:
                return len(numbers) + key
        elif not numbers and -len(set_.members) <= key <= len(set_.members):
            return key % len(set_.members) if key < 0 else key
    what = f"`{node.span.text}`, {describe(value)}, is no member of `{set_.name}`"
    fail("A407", what, node.span, f"its members are {statics.listed(set_.members)}")


# -------------------------------------------------------------------------------------------------- static values


def _of_set(target: IndexSet, items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    item = _single(items, node)
    if isinstance(item, ast.Whole):
        return target
    if isinstance(item, ast.Range):
        spend(frame.builder.context, node.span, target)
        return cut(target, item, frame)
    value = _index_value(item, target, frame)
    if isinstance(value, int) and not isinstance(value, bool) and not any(isinstance(m, int) for m in target.members):
        if not -len(target.members) <= value < len(target.members):
            fail("A407", f"`{target.name}` has no member number {value}", item.span, f"it has {len(target.members)} members")
        return MemberOf(target, target.members[value])
    return MemberOf(target, member_key(item, value, target, frame))


def _of_list(target: Sequence[Value], items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    item = _single(items, node)
    if isinstance(item, ast.Whole):
        return list(target)
    if isinstance(item, ast.Range):
        start = 0 if item.start is None else _place(item.start, len(target), frame, edge=True)
        stop = len(target) if item.stop is None else _place(item.stop, len(target), frame, edge=True) + (1 if item.inclusive else 0)
        spend(frame.builder.context, node.span, target)
        return list(target[start:stop])
    if isinstance(item, ast.Slice):
        fail("A211", "`:` slices tensors; a list is sliced with `..`", item.span, "write `a..b`")
    value = target[_place(item, len(target), frame)]
    return value.size if isinstance(value, SetAxis) else value


def _place(node: ast.Expr, length: int, frame: Frame, edge: bool = False) -> int:
    value = whole(evaluate(node, frame), node)
    place = value + length if value < 0 else value
    if not 0 <= place < length + (1 if edge else 0):
        fail("A211", f"`{node.span.text}` is {value}, outside a list of {length}", node.span, "positions count from 0; -1 is the last")
    return place


def _of_map(target: dict[Any, Value], items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    item = _single(items, node)
    if isinstance(item, ast.Name) and item.id in target and not runs(item.id, frame):
        return target[item.id]
    value = evaluate(item, frame)
    key = statics.key_of(value)
    if not statics.is_key(key):
        fail("A407", f"the map has no key `{item.span.text}`, {describe(value)}", item.span, f"its keys are {statics.listed(target)}")
    if key not in target:
        fail("A407", f"the map has no key `{key}`", item.span, suggest(str(key), map(str, target), f"its keys are {statics.listed(target)}"))
    return target[key]


def _of_member(target: MemberOf, items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    if not isinstance(target.key, tuple):
        fail("A211", f"{describe(target)} can't be indexed", node.span, "only members that are tuples have parts")
    return _of_list(target.key, items, node, frame)


def _of_chain(target: ModuleChain, items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    return _of_list(target.parts, items, node, frame)


def _single(items: Sequence[ast.Expr], node: ast.Index) -> ast.Expr:
    if len(items) != 1:
        fail("A211", f"`{node.object.span.text}` takes one index", node.span, "index what comes out in brackets of its own")
    return items[0]


# --------------------------------------------------------------------------------------------------------- tensors


def _of_tensor(target: Tensor, items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    primitive = frame.builder.context.library.primitive("index")
    assert primitive is not None
    entries = [_entry(item, frame) for item in items]
    plain = tuple(_positions(e, node) if isinstance(e, IndexSet) else e for e in entries)
    value = apply(frame, primitive, {"x": target, "items": plain}, node.span)
    return _renamed_axes(value, entries, frame)


def _entry(item: ast.Expr, frame: Frame) -> Any:
    """Return one entry of a tensor index: a position, a slice, None, `...`, or a sub-set of an axis."""
    if isinstance(item, ast.Ellipsis):
        return ...
    if isinstance(item, ast.Slice):
        return slice(*(None if e is None else _number(evaluate(e, frame), e) for e in (item.start, item.stop, item.step)))
    if isinstance(item, (ast.Range, ast.Whole)):
        fail("A211", f"`{item.span.text}` cuts families and sets, not tensors", item.span, "write `a:b` for positions of a tensor, `:` for all")
    value = evaluate(item, frame)
    if value is None or isinstance(value, IndexSet):
        return value
    if isinstance(value, MemberOf):
        return value.position
    if isinstance(value, Tensor):
        fail("A211", "a tensor can't be indexed by a tensor", item.span, "write `take(x, indices, dim = 0)` or `gather(x, indices, dim = 1)`")
    return _number(value, item)


def _number(value: Value, node: ast.Expr) -> int | Dim:
    value = axis(value) if not isinstance(value, MemberOf) else value.position
    if isinstance(value, SetAxis):
        value = value.size
    if not isinstance(value, (int, Dim)):
        fail(
            "A211",
            f"`{node.span.text}` is no position of a tensor",
            node.span,
            "an index is a whole number, a slice `a:b`, `None` is written `none`, or `...`",
        )
    return value


def _positions(chosen: IndexSet, node: ast.Index) -> slice:
    places = [chosen.declared.index(m) for m in chosen.members]
    if places != list(range(places[0], places[0] + len(places))) if places else True:
        fail("A211", f"the members of `{chosen.name}` don't lie side by side", node.span, "use `take(x, [positions], dim)` for scattered members")
    return slice(places[0], places[-1] + 1, None)


def _renamed_axes(value: Value, entries: Sequence[Any], frame: Frame) -> Value:
    """Give axes that were cut by an index set that set's name."""
    if not any(isinstance(e, IndexSet) for e in entries) or not isinstance(value, Tensor):
        return value
    shape = list(value.type.shape)
    before = entries[: entries.index(...)] if ... in entries else entries
    place = 0
    for entry in before:
        if isinstance(entry, IndexSet):
            shape[place] = SetAxis(entry.name, entry.members)
        place += 0 if isinstance(entry, (int, Dim)) else 1
    place = len(shape)
    for entry in reversed(entries[len(before) + 1 :]):
        place -= 0 if isinstance(entry, (int, Dim)) else 1
        if isinstance(entry, IndexSet):
            shape[place] = SetAxis(entry.name, entry.members)
    return retyped(value, tuple(shape), frame)


def retyped(value: Tensor, shape: tuple[Any, ...], frame: Frame) -> Tensor:
    """Return `value` with the same sizes under other axis names."""
    type_ = type(value.type)(value.type.dtype, shape)
    node = frame.builder.body.nodes[value.ref.node]
    node.outputs = tuple(type_ if i == value.ref.index else t for i, t in enumerate(node.outputs))
    return Tensor(value.ref, type_)


def _of_state(target: LiveState, items: Sequence[ast.Expr], node: ast.Index, frame: Frame) -> Value:
    return _of_tensor(target.tensor, items, node, frame)


_HANDLERS: dict[type, Callable[[Any, Sequence[ast.Expr], ast.Index, Frame], Value]] = {
    Family: _of_family, IndexSet: _of_set, list: _of_list, tuple: _of_list, dict: _of_map, MemberOf: _of_member, Tensor: _of_tensor,
    ModuleChain: _of_chain, LiveState: _of_state,
}  # fmt: skip
register(ast.Index, _index)
