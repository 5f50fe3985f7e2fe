"""Which members of a family the items of an index mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .diagnostics import closest
from .members import member_text
from .selectors import Between, Every, Exactly, Item, Miss, Variable
from .source import Span
from .types import SetAxis


def listed(names: Sequence[object], most: int = 12) -> str:
    """Return names in backticks, separated by commas."""
    texts = [f"`{name}`" for name in names]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "") or "nothing"


def holds(members: Sequence[object], sets: Sequence[SetAxis], items: Sequence[Item]) -> bool:
    """Tell whether the items match members that stand side by side."""
    if len(members) < len(items):
        return False
    for offset in range(len(members) - len(items) + 1):
        if all([_is(item, members[offset + i], sets[offset + i] if offset + i < len(sets) else None) for i, item in enumerate(items)]):
            return True
    return False


def _is(item: Item, member: object, set_: SetAxis | None) -> bool:
    if isinstance(item, Exactly):
        text = member_text(member)
        if text != item.literal and text not in map(member_text, item.values):
            return False
        return isinstance(member, str) or item.set is None or set_ is None or _same(item.set, set_)
    if isinstance(item, Between):
        if not isinstance(member, int):
            return False
        after = item.start is None or (isinstance(item.start, int) and member >= item.start)
        return after and (item.stop is None or (isinstance(item.stop, int) and (member <= item.stop if item.inclusive else member < item.stop)))
    return True


def _same(one: SetAxis, other: SetAxis) -> bool:
    """Tell whether two index sets are one: the very same members, not only equal ones."""
    return one.members is other.members or (one.name.split("[")[0] == other.name.split("[")[0] and one.members == other.members)


def pick(item: Item, present: Mapping[str, object], name: str, bound: tuple[object, SetAxis | None] | None, whole: bool = True) -> list[str] | Miss:
    """Return which of the members present (by text) an item means; `bound` is what its variable stands for already.

    Where they are not the `whole` (parts of a Sequential that own nothing are not there), nothing is counted from the end.
    """
    if isinstance(item, Every):
        return list(present)
    if isinstance(item, Variable):
        if bound is None:
            return list(present)
        text = member_text(bound[0])
        return [text] if text in present else _absent(item.span, text, present, name)
    if isinstance(item, Exactly):
        return _exactly(item, present, name, whole)
    return _between(item, present, name)


def _exactly(item: Exactly, present: Mapping[str, object], name: str, whole: bool) -> list[str] | Miss:
    if item.literal is not None and item.literal in present:
        return [item.literal]
    texts: list[str] = []
    for value in item.values:
        text = member_text(value)
        if text not in present and whole and isinstance(value, int) and -len(present) <= value < 0:
            text = list(present)[value]
        if text not in present:
            return _absent(item.span, str(value), present, name)
        texts.append(text)
    return list(dict.fromkeys(texts))


def _absent(span: Span, word: str, present: Mapping[str, object], name: str) -> Miss:
    near = closest(word, present)
    return Miss(f"`{name}` has no member `{word}`", span, f"did you mean `{near}`?" if near else f"its members are {listed(list(present))}")


def _between(item: Between, present: Mapping[str, object], name: str) -> list[str] | Miss:
    texts = list(present)
    edges: list[int] = []
    for value, default in ((item.start, 0), (item.stop, len(texts))):
        if value is None:
            edges.append(default)
            continue
        place = _edge(value, present)
        if place is None:
            return _absent(item.span, str(value), present, name)
        edges.append(place + (1 if default and item.inclusive else 0))
    if edges[1] < edges[0]:
        return Miss(f"the range `{item.span.text}` runs backwards", item.span, "write the earlier member first")
    if edges[0] == edges[1] and item.fixed:
        return Miss(f"the range `{item.span.text}` of `{name}` is empty", item.span, f"its members are {listed(texts)}")
    return texts[edges[0] : edges[1]]


def _edge(value: object, present: Mapping[str, object]) -> int | None:
    """Return the place of a range's end among the members; one past the last number is a place too."""
    texts = list(present)
    text = member_text(value)
    if text in present:
        return texts.index(text)
    numbers = [m for m in present.values() if isinstance(m, int)]
    if isinstance(value, int) and len(numbers) == len(texts):
        if value == max(numbers) + 1:
            return len(texts)
        if -len(texts) <= value < 0:
            return len(texts) + value
    return None
