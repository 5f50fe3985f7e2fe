"""einops patterns, read and solved: `"b (h d) s -> b h s d"` with `h = 8`.

A side is a row of groups, one for each axis of the tensor: a name, `1`, a list in parentheses, or `...` for any number of axes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..dsl.diagnostics import shortened
from ..dsl.dims import Dim
from ..dsl.primitive import Rule, RuleFailure
from ..dsl.record import record
from ..dsl.types import Axis, extent

BAD_PATTERN = "A323"

Group = tuple[str, ...]
"""The names multiplied into one axis: `("h", "d")`; empty for an axis of size 1; `("...",)` for the ellipsis."""

ELLIPSIS: Group = ("...",)
_TOKEN = re.compile(r"\s*(\.\.\.|\(|\)|[A-Za-z_][A-Za-z0-9_]*|\d+|\S)")


@record
class Pattern:
    """Both sides of an arrow."""

    left: tuple[Group, ...]
    right: tuple[Group, ...]


def inverse(pattern: str) -> str:
    """Swap the sides of a pattern.

    >>> inverse("b (h d) -> b h d")
    'b h d -> b (h d)'
    """
    left, right = halves(pattern)
    return f"{right} -> {left}"


def halves(pattern: str) -> tuple[str, str]:
    """Return the two sides as text."""
    parts = pattern.split("->")
    if len(parts) != 2:
        raise _wrong(f"the pattern `{shortened(pattern)}` has {'no' if len(parts) < 2 else 'two'} `->`", "write `axes of x -> axes of the result`")
    return parts[0].strip(), parts[1].strip()


def _wrong(message: str, help_: str) -> RuleFailure:
    return RuleFailure(message, help_, BAD_PATTERN)


def parse(pattern: str) -> Pattern:
    """Read a pattern; raises RuleFailure for one that makes no sense by itself."""
    left, right = (_side(half, shortened(pattern)) for half in halves(pattern))
    return Pattern(left, right)


def _side(text: str, pattern: str) -> tuple[Group, ...]:
    groups: list[Group] = []
    inside: list[str] | None = None
    for token in _TOKEN.findall(text):
        if token == "(" and inside is None:
            inside = []
        elif token == ")" and inside is not None:
            groups.append(tuple(inside))
            inside = None
        elif not (token == "..." or token[0].isalnum() or token[0] == "_") or (inside is not None and token == "..."):
            raise _wrong(f"`{token}` can't stand there in the pattern `{pattern}`", "a side holds names, `1`, lists in parentheses and one `...`")
        elif token.isdigit():
            _add(groups, inside, _digit(token, pattern))
        else:
            _add(groups, inside, (token,))
    if inside is not None:
        raise _wrong(f"a parenthesis in `{pattern}` isn't closed", "close it on the same side")
    named = [n for g in groups for n in g if not n.isdigit()]
    for name in named:
        if named.count(name) > 1:
            raise _wrong(f"`{name}` stands twice on one side of `{pattern}`", "name each axis once")
    return tuple(groups)


def _digit(token: str, pattern: str) -> Group:
    if int(token) < 1:
        raise _wrong(f"`{token}` is no size in the pattern `{pattern}`", "sizes are 1 or more")
    return () if token == "1" else (token,)


def _add(groups: list[Group], inside: list[str] | None, group: Group) -> None:
    if inside is None:
        groups.append(group)
    else:
        inside.extend(group)


def names(side: Sequence[Group]) -> list[str]:
    """Return the names of a side in order, the ellipsis and fixed sizes left out."""
    return [n for g in side for n in g if g != ELLIPSIS and not n.isdigit()]


def spread(side: Sequence[Group], rank: int, what: str) -> tuple[Group, ...]:
    """Replace the ellipsis by one name for each axis that it covers."""
    rest = rank - sum(1 for g in side if g != ELLIPSIS)
    if rest < 0 or (rest > 0 and ELLIPSIS not in side):
        raise _wrong(f"the pattern has {len(side)} axes and {what} {rank}", "write one group for each axis, or `...` for any number")
    return tuple(found for g in side for found in ([(f"...{i}",) for i in range(rest)] if g == ELLIPSIS else [g]))


Sizes = dict[str, Axis]


def solve(rule: Rule, known: Mapping[str, Axis], equations: Sequence[tuple[Group, Axis, str]]) -> Sizes:
    """Find the size of every name from `product of the group = axis`; a name no equation gives stays open.

    Raises through the rule when an equation fails, and leaves divisibility to it.
    """
    found: Sizes = dict(known)
    pending = list(equations)
    while pending:
        rest = [e for e in pending if not _settle(rule, found, *e)]
        if len(rest) == len(pending):
            break
        pending = rest
    return found


def _settle(rule: Rule, found: Sizes, group: Group, axis: Axis, what: str) -> bool:
    """Use one equation when at most one of its names is open."""
    unknown = [n for n in group if n not in found and not n.isdigit()]
    if len(unknown) > 1:
        return False
    if unknown and group == tuple(unknown):
        found[unknown[0]] = axis
        return True
    rest: int | Dim = 1
    for name in group:
        if name not in unknown:
            rest = rest * (int(name) if name.isdigit() else extent(found[name]))
    if unknown:
        found[unknown[0]] = rule.divide(extent(axis), rest, what)
    elif len(group) == 1 and not group[0].isdigit():
        found[group[0]] = rule.same(found[group[0]], axis, what)
    else:
        rule.same(axis, rest, what)
    return True


def group_size(found: Mapping[str, Axis], group: Group) -> Axis:
    """Return the size of a group; a single name keeps its index set."""
    if len(group) == 1 and not group[0].isdigit():
        return found[group[0]]
    total: int | Dim = 1
    for name in group:
        total = total * (int(name) if name.isdigit() else extent(found[name]))
    return total


def terms(pattern: str) -> tuple[list[list[str]], list[str]]:
    """Read an einsum pattern: names with blanks between them, or single letters side by side when no term has a blank.

    >>> terms("b i d, b j d -> b i j")
    ([['b', 'i', 'd'], ['b', 'j', 'd']], ['b', 'i', 'j'])
    >>> terms("ij,jk->ik")
    ([['i', 'j'], ['j', 'k']], ['i', 'k'])
    """
    left, right = halves(pattern)
    texts = [*(t.strip() for t in left.split(",")), right]
    spaced = any(" " in t for t in texts)
    found = [t.split() if spaced else list(_letters(t)) for t in texts]
    pattern = shortened(pattern)
    for term in found:
        for name in term:
            if name != "..." and not name.isidentifier():
                raise _wrong(f"`{name}` is no axis in the pattern `{pattern}`", "an einsum holds names, commas and one `...` for each tensor")
        if term.count("...") > 1:
            raise _wrong(f"`...` stands twice in one term of `{pattern}`", "once covers any number of axes")
    return found[:-1], found[-1]


def _letters(text: str) -> Iterator[str]:
    yield from (m for m in re.findall(r"\.\.\.|\S", text))
