# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's members: which of a family an index means, and what the text makes with other arguments only (docs/language.md, Selectors)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from archloom.dsl import ast
from archloom.dsl.parse.pythonisms import walk

from .checks import need
from .reading import library_file
from .values import File, Made, Set


def text(member: Any) -> str:
    return "_".join(map(text, member)) if isinstance(member, tuple) else str(member).replace(".", "_")


def pick(item: Any, present: dict[str, Any], whole: bool) -> list[str] | None:
    """Return which of the members present, by text, an item means; None for a range from or to what is none of them."""
    if item[0] in ("every", "variable"):
        return list(present)
    if item[0] == "empty":
        return []
    if item[0] == "exactly":
        if item[2] is not None and item[2] in present:
            return [item[2]]
        found = []
        for value in item[1]:
            word = text(value)
            if word not in present and whole and isinstance(value, int) and -len(present) <= value < 0:
                word = list(present)[value]
            if word not in present:
                return []
            found.append(word)
        return found
    edges = [_place(item[1], present, 0), _place(item[2], present, len(present))]
    if None in edges:
        return None
    if item[3] and item[2] is not None:
        edges[1] += 1
    need(edges[0] <= edges[1], "a range runs backwards")
    return list(present)[edges[0] : edges[1]]


def _place(value: Any, present: dict[str, Any], default: int) -> int | None:
    if value is None:
        return default
    words = list(present)
    if text(value) in present:
        return words.index(text(value))
    numbers = [m for m in present.values() if isinstance(m, int)]
    if isinstance(value, int) and len(numbers) == len(words):
        if value == max(numbers, default=-1) + 1:
            return len(words)
        if -len(words) <= value < 0:
            return len(words) + value
    return None


def holds(members: Sequence[Any], sets: Sequence[Set], items: Sequence[Any]) -> bool:
    """Tell whether items of an index match members that stand side by side."""

    def one(item: Any, member: Any, home: Set | None) -> bool:
        if item[0] == "exactly":
            if not isinstance(member, str) and item[3] is not None and home is not None and not _one_set(item[3], home):
                return False
            return text(member) == item[2] or any(text(v) == text(member) for v in item[1])
        if item[0] == "between":
            low, high = item[1], item[2]
            return isinstance(member, int) and (low is None or member >= low) and (high is None or member < high or (item[3] and member == high))
        return item[0] != "empty"

    homes = [*sets, *[None] * len(members)]
    return any(all(one(i, members[at + n], homes[at + n]) for n, i in enumerate(items)) for at in range(len(members) - len(items) + 1))


def _one_set(one: Set, other: Set) -> bool:
    return one.declared is other.declared or (bool(one.name) and one.name == other.name and one.declared == other.declared)


# ----------------------------------------------------------------------------------------------------------- what is absent


def unborn(mades: Sequence[Made], parts: Sequence[Any], losses: bool, top: bool = True) -> bool:
    """Tell whether a path leads to a part, a task or (one of losses, at its end) a loss of a statement that did not run in these modules."""
    if not parts or parts[0][0] == "anchor":
        return False
    if any(item == ("empty",) for part in parts if part[0] != "anchor" for item in part[-1]):
        return True
    first, rest = parts[0], parts[1:]
    if first[0] == "deep" and not first[1] and rest and rest[0][0] == "word" and _is_inside(mades, rest[0][1], losses and len(rest) == 1):
        return True
    if first[0] == "deep":
        below = [b for m in mades for b in _at_or_below(m)]
        held = [c for m in below for c in m.children.values() if holds(_members(c), c.sets, first[1])] if first[1] else below
        return unborn([b for m in held for b in _at_or_below(m)], rest, losses, False)
    if any(first[1] in _lacking(made, losses and not rest, top) for made in mades):
        return True
    return unborn([c for m in mades for c in _meant(m, first[1], first[2])], rest, losses, False)


def _is_inside(mades: Sequence[Made], name: str | None, losses: bool) -> bool:
    """Tell whether a block that no statement has made binds a name, and nothing that is made bears it."""
    every = [b for m in mades for b in _at_or_below(m)]
    borne = {t.words[0][0] for m in every for t in (*m.children.values(), *m.own.values()) if t.words} | {w for m in every for w in m.lost}
    return name not in borne and any(name in _binds(item, losses) for m in every for item in _unmade(m))


def kinds_unborn(made: Made) -> set[str]:
    """Return the kinds of what statements that did not run would have made."""
    every = list(_at_or_below(made))
    items = [item for m in every for item in _unmade(m)]
    return {n.id for root in (*items, *(s for m in every for s in _idle(m))) for n in walk(root) if isinstance(n, ast.Name) and n.id[:1].isupper()}


def _idle(made: Made) -> list[Any]:
    """Return the statements of a module's text that make something and have not run."""
    found = walk(made.maker.tree) if made.maker.tree is not None else ()
    return [n for n in found if isinstance(n, ast.Assign) and _births(n.value) and (id(n) not in made.ran or any(g.items for g in n.goals))]


def _unmade(made: Made) -> list[Any]:
    """Return the blocks that such statements name, and those that these name."""
    found: dict[int, Any] = {}
    waiting = [(made.maker.file, statement) for statement in _idle(made)]
    while waiting:
        file, node = waiting.pop()
        for name in (n.id for n in walk(node) if isinstance(n, ast.Name)) if file is not None else ():
            home, item = _item(file, name)
            if isinstance(item, ast.Block) and id(item) not in found:
                found[id(item)] = item
                waiting.append((home, item))
    return list(found.values())


def _item(file: File, name: str) -> tuple[File, Any]:
    if name in file.items:
        return file, file.items[name]
    module, original, local = file.imports.get(name, ((), "", True))
    other = None if local else library_file(module)
    return (file, None) if other is None else _item(other, original)


def _binds(item: Any, losses: bool) -> set[str]:
    made = {g.name for n in walk(item) if isinstance(n, ast.Assign) and _births(n.value) for g in n.goals}
    return made | {n.name for n in walk(item) if losses and isinstance(n, ast.Loss)}


def lacks(made: Made, losses: bool) -> bool:
    """Tell whether other arguments might make any part, or one of losses any loss, of a module."""
    return any(_lacking(m, losses, False) for m in _at_or_below(made))


def _lacking(made: Made, losses: bool, top: bool) -> set[str]:
    """Return the names that a module's text writes and its run has not made; a module that isn't called runs none of its losses."""
    own = {t.words[0][0] for t in (*made.children.values(), *made.own.values()) if t.words}
    return _written(made, losses and (not made.path or made.calls > 0), top) - made.lost - own


def _written(made: Made, losses: bool, top: bool) -> set[str]:
    """Return the names of parts in the statements of a module that have not run, with those of losses and tasks where these are meant."""
    found: set[str] = set()
    for node in walk(made.maker.tree) if made.maker.tree is not None else ():
        if isinstance(node, ast.Assign) and _births(node.value):
            found |= {g.name for g in node.goals if g.items or id(node) not in made.ran}
        elif (losses and isinstance(node, ast.Loss)) or (top and isinstance(node, ast.Task) and id(node) not in made.ran):
            found.add(node.name)
    return found


def _births(node: Any) -> bool:
    """Tell whether a value may be a module or a parameter."""
    if isinstance(node, ast.Call):
        named = isinstance(node.function, ast.Name)
        return node.function.id[:1].isupper() if named else _births(node.function) or not isinstance(node.function, ast.Call)
    inner = (node.then, node.otherwise) if isinstance(node, ast.Ternary) else node.items if isinstance(node, (ast.Tuple, ast.List)) else ()
    return any(map(_births, inner))


def _at_or_below(made: Made) -> Iterator[Made]:
    yield made
    for child in made.children.values():
        yield from _at_or_below(child)


def _members(made: Made) -> tuple[Any, ...]:
    return made.words[0][1] if made.words else ()


def _meant(made: Made, name: str | None, items: Sequence[Any]) -> Iterator[Made]:
    """Yield the modules of a module that a part of a path means; an index behind their members is that of a Sequential's part."""
    families: dict[str, list[Made]] = {}
    for child in made.children.values():
        if child.words and name in (None, child.words[0][0]):
            families.setdefault(child.words[0][0], []).append(child)
    for family in families.values():
        for depth, item in enumerate(items):
            present = {text(_members(c)[depth]): _members(c)[depth] for c in family if depth < len(_members(c))}
            chosen = (pick(item, present, True) if present else None) or []
            family = [c for c in family if depth >= len(_members(c)) or text(_members(c)[depth]) in chosen]
        for child in family:
            yield child
            yield from child.children.values() if len(items) > len(_members(child)) else ()
