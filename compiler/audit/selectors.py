"""Selectors of parameters by path, in a module that no text describes.

| written | is |
| --- | --- |
| `encoder.layer.0` | that module and everything below it; `encoder.layer[0]` is the same |
| `*` | any one name, or within one any letters: `lora_*` |
| `**` | any path, an empty one too: `**.bias` |
| `{q, v}` | alternatives |
| `layer[0..4]`, `layer[2..]` | members of a list; the end is left out |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ...dsl.diagnostics import closest
from ...dsl.record import record

DEEP = "**"
_PART = re.compile(r"(?:[^.:()\[\]{}]|\{[^.\[\]{}]*\})+|\[[^\[\]{}]*\]")
_RANGE = re.compile(r"(\d*)\.\.(=?)(\d*)")
MOST = 8
LONG = 100


@record
class Miss:
    """Why a selector matches nothing: `code`, a message, and what to write."""

    code: str
    message: str
    help: str


def matched(selector: str, paths: Sequence[str]) -> tuple[str, ...] | Miss:
    """Return the paths at or below what a selector matches, or why there are none.

    >>> matched("**.bias", ["a.weight", "a.bias"])
    ('a.bias',)
    """
    parts = _parts(selector)
    if parts is None:
        return Miss("A525", f"`{selector}` is no selector", "write a path such as `encoder.layer[0..4].attention.{q, v}` or `**.bias`")
    compiled = re.compile("".join(map(_regex, parts)))
    found = tuple(path for path in paths if compiled.match(f"{path}."))
    return found or _miss(selector, parts, paths)


def _parts(selector: str) -> list[str] | None:
    """Split a selector into names, each member of a list by itself; None if it can't be."""
    parts: list[str] = []
    rest = selector.strip()
    while rest:
        found = _PART.match(rest)
        if found is None or (found[0].startswith("[") and (not parts or _member(found[0]) is None)):
            return None
        if found[0] != DEEP or parts[-1:] != [DEEP]:  # any path below any path is any path
            parts.append(found[0])
        rest = rest[found.end() :]
        if rest.startswith(".") and len(rest) > 1 and rest[1] not in ".[":
            rest = rest[1:]
        elif rest and not rest.startswith("["):
            return None
    return parts or None


def _regex(part: str) -> str:
    if part == DEEP:
        return r"(?:[^.]+\.)*"
    if part.startswith("["):
        return rf"(?:{_member(part)})\."
    pieces = re.split(r"(\*|\{[^}]*\})", part)
    return "".join(map(_piece, pieces)) + r"\."


def _piece(piece: str) -> str:
    if piece == "*":
        return "[^.]*"
    if piece.startswith("{"):
        return f"(?:{'|'.join(_regex(option.strip())[:-2] for option in piece[1:-1].split(','))})"
    return re.escape(piece)


def _member(part: str) -> str | None:
    """Return the pattern of what stands in brackets; None where it is no member or range."""
    text = part[1:-1].strip()
    if text in ("*", ".."):
        return r"\d+"
    found = _RANGE.fullmatch(text) if len(text) < LONG else None
    if found is None:
        return re.escape(text) if text.isdecimal() else None
    return rf"(?!(?:{_less(int(found[1] or 0))})\.)" + (rf"(?:{_less(int(found[3]) + bool(found[2]))})" if found[3] else r"\d+")


def _less(number: int) -> str:
    """Return the pattern of the numbers below one.

    >>> _less(10)
    '[0-8]|9'
    """
    digits = str(number - 1)
    if number < 1:
        return "(?!)"
    ways = [rf"[1-9]\d{{{count}}}" for count in range(1, len(digits) - 1)] + (["\\d"] if len(digits) > 1 else [])
    for place, digit in enumerate(digits):
        least = 1 if place == 0 and len(digits) > 1 else 0
        if int(digit) > least:
            ways.append(rf"{digits[:place]}[{least}-{int(digit) - 1}]" + (rf"\d{{{len(digits) - place - 1}}}" if place + 1 < len(digits) else ""))
    return "|".join([*ways, digits])


def _miss(selector: str, parts: Sequence[str], paths: Sequence[str]) -> Miss:
    """Say where matching stops, and what there is."""
    stop = next(n for n in range(1, len(parts) + 1) if not _below(parts[:n], paths))
    part, before = parts[stop - 1], "".join(map(_spelt, parts[: stop - 1])).removeprefix(".")
    within = f" in `{before}`" if before else ""
    message = f"`{selector}` matches nothing: there is no `{part.strip('[]')}`{within}"
    names = list(dict.fromkeys(rest.partition(".")[0] for rest in _below(parts[: stop - 1], paths) if rest))
    near = closest(part, names)
    if near is not None:
        return Miss("A510", message, f"did you mean `{near}`?")
    if not part.startswith("[") and _below([DEEP, part], paths):
        return Miss("A510", message, f"there is one further down: write `**.{part}`")
    shown = ", ".join(f"`{name}`" for name in names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
    return Miss("A510", message, f"there {'is' if len(names) == 1 else 'are'} {shown}" if names else "nothing lies below it: it is a tensor")


def _spelt(part: str) -> str:
    return part if part.startswith("[") else f".{part}"


def _below(parts: Sequence[str], paths: Iterable[str]) -> list[str]:
    """Return what follows in each path after what the parts match."""
    compiled = re.compile("".join(map(_regex, parts)))
    return [f"{path}."[found.end() :] for path in paths if (found := compiled.match(f"{path}."))]
