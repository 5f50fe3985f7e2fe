"""`renamed old -> new`: earlier names in a state dict, so that old checkpoints keep loading."""

from __future__ import annotations

from .. import ast
from ..members import member_text
from ..program import Program
from ..selector_steps import Match
from ..selectors import Every, Exactly, Item, Path, Selector, Variable, Word
from .context import fail
from .scope import Frame
from .selecting import selector, tree_of
from .weightmaps import hits


def renamed(frame: Frame, program: Program) -> tuple[tuple[str, str], ...]:
    """Return the pairs of old and new path, one for each choice of index variables; raises Problem for a wrong one."""
    said = [(statement, inner) for word, statement, inner in frame.builder.selected if word == "renamed"]
    if not said:
        return ()
    tree = tree_of(frame, *dict.fromkeys((program.eval, program.training)))
    known = {branch.path for branch in tree.root.below()}
    pairs: dict[str, str] = {}
    for statement, inner in said:
        for old, new in _pairs(statement, inner, frame, program):
            if old in known:
                fail("A631", f"`{old}` is still a path of the model", statement.old.span, "the old name stands first: `renamed old -> new`")
            if pairs.setdefault(old, new) != new:
                fail("A631", f"`{old}` is renamed to both `{pairs[old]}` and `{new}`", statement.span, "keep one of them")
    return tuple(pairs.items())


def _pairs(statement: ast.Renamed, inner: Frame, frame: Frame, program: Program) -> list[tuple[str, str]]:
    tree = tree_of(frame, *dict.fromkeys((program.eval, program.training)))
    old = selector(statement.old, inner, variables=True)
    found: list[tuple[str, str]] = []
    for match, _, _ in hits(selector(statement.new, inner, variables=True), tree, "A631"):
        if match.captures:
            fail("A631", f"`{statement.new.span.text}` has a `*` in it", statement.new.span, "name the path, with index variables: `layers[i]`")
        found.append((_filled(old, match, statement), match.branch.path))
    return found


def _filled(old: Selector, match: Match, statement: ast.Renamed) -> str:
    """Return the old path for one choice of the new one's index variables."""
    parts = old.parts if isinstance(old, Path) else ()
    words: list[str] = []
    for part in parts:
        if not isinstance(part, Word) or part.name is None:
            break
        words += [part.name, *(_member(item, match, statement) for item in part.items)]
    else:
        if words:
            return ".".join(words)
    fail("A631", f"`{statement.old.span.text}` is no single path", statement.old.span, "name the old path, with the index variables of the new one")


def _member(item: Item, match: Match, statement: ast.Renamed) -> str:
    if isinstance(item, Variable):
        if item.name not in match.bindings:
            message = f"`{item.name}` is no index variable of `{statement.new.span.text}`"
            fail("A631", message, item.span, f"index both sides alike: `renamed blocks[{item.name}] -> layers[{item.name}]`")
        return member_text(match.bindings[item.name][0])
    if isinstance(item, Exactly) and (item.literal is not None or len(item.values) == 1):
        return item.literal if item.literal is not None else member_text(item.values[0])
    what = "`*`" if isinstance(item, Every) else f"`{item.span.text}`"
    fail("A631", f"{what} is no single member", item.span, "use an index variable on both sides")
