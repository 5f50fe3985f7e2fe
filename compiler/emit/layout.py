"""Lines of Python within a width, broken at brackets the way formatters break them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

WIDTH = 100
WHOLE = re.compile(r"`[^`]*`[.,;:)]*|\w+: \w+\[[^\]]*\][.,;:)]*")
"""What is better not broken: `y = f(x)`, x: float[B, S]."""

GAP = "\ue030"
OPEN = {"(": ")", "[": "]", "{": "}"}


def statement(text: str, indent: int) -> list[str]:
    """Lay out one statement; a line that is too long is broken inside its last brackets that stand at top level."""
    value = text.removeprefix("return ")
    if value != text and indent + len(text) > WIDTH and len(_split(value)) > 1 and not _comprehension(value):
        return _broken(f"return ({value})", indent, "", "")
    lines = _broken(text, indent, "", "")
    targets, _, value = text.partition(" = ")
    if len(lines[0]) > WIDTH and re.fullmatch(r"\w+(, \w+)+", targets):
        pad = " " * indent
        return [f"{pad}(", *(f"{pad}    {target}," for target in targets.split(", ")), *_broken(value, indent, ") = ", "")]
    return lines


def _broken(text: str, indent: int, before: str, after: str) -> list[str]:
    pad = " " * indent
    whole = f"{pad}{before}{text}{after}"
    if len(whole) <= WIDTH:
        return [whole]
    place = _last_brackets(text)
    if place is None:
        return [whole]
    start, end = place
    inside = text[start + 1 : end]
    head, items, tail = text[: start + 1], [inside] if _comprehension(inside) else _split(inside), text[end:]
    joined = ", ".join(items)
    call = text[start] == "(" and start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_])")
    lines = [f"{pad}{before}{head}"]
    comprehension = len(items) == 1 and bool(_comprehension(items[0]))
    if (call or len(items) == 1) and indent + 4 + len(joined) <= WIDTH:
        comma = "" if call or comprehension else ","
        lines.append(f"{pad}    {joined}{comma}")
    elif len(items) == 1 and call:
        lines += _broken(items[0], indent + 4, "", "")
    elif len(items) == 1 and (parts := _comprehension(items[0])):
        for part in parts:
            lines += _broken(part, indent + 4, "", "")
    else:
        for item in items:
            lines += _broken(item, indent + 4, "", ",")
    return [*lines, f"{pad}{tail}{after}"]


def _comprehension(item: str) -> list[str]:
    """Cut `value for name in values` at its `for`."""
    for position, depth in _walk(item):
        if depth == 0 and item.startswith(" for ", position):
            return [item[:position], item[position + 1 :]]
    return []


def _walk(text: str) -> list[tuple[int, int]]:
    """Return each position outside of strings with the depth of brackets there (an opening one counts from its inside)."""
    found: list[tuple[int, int]] = []
    depth, quote, position = 0, "", 0
    while position < len(text):
        char = text[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            depth += (char in OPEN) - (char in ")]}")
            found.append((position, depth))
        position += 1
    return found


def _last_brackets(text: str) -> tuple[int, int] | None:
    """Return the last pair of brackets at top level that holds something."""
    start, best = -1, None
    for position, depth in _walk(text):
        if text[position] in OPEN and depth == 1:
            start = position
        elif text[position] in ")]}" and depth == 0 and position > start + 1:
            best = (start, position)
    return best


def _split(text: str) -> list[str]:
    """Cut at the commas of the top level."""
    cuts = [-1, *(p for p, depth in _walk(text) if depth == 0 and text[p] == ","), len(text)]
    parts = (text[a + 1 : b].strip() for a, b in zip(cuts, cuts[1:], strict=False))
    return [part for part in parts if part]


def signature(name: str, parameters: Sequence[str], result: str, indent: int) -> list[str]:
    """Lay out the head of a function."""
    return _broken(f"def {name}({', '.join(parameters)})", indent, "", f" -> {result}:")


def docstring(text: str, indent: int) -> list[str]:
    """Lay out a docstring, its paragraphs wrapped anew: formulas between backquotes and types stay whole where they fit."""
    pad = " " * indent
    paragraphs = [" ".join(part.split()) for part in text.strip().split("\n\n")]
    safe = [part.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for part in paragraphs if part]
    width = WIDTH - indent
    if len(safe) == 1 and len(safe[0]) + 6 <= width and not safe[0].endswith('"'):
        return [f'{pad}"""{safe[0]}"""']
    lines: list[str] = []
    for number, part in enumerate(safe):
        lines += [""] if number else []
        first = '"""' if number == 0 else ""
        wrapped = _wrapped(first + part, width)
        if len(safe) == 1 and len(wrapped) == 1:  # it fits but for the quotes
            wrapped = _wrapped(first + part, width - 8)
        lines += [pad + line for line in wrapped]
    return [*lines, f'{pad}"""']


def _wrapped(text: str, width: int) -> list[str]:
    whole = WHOLE.sub(lambda found: found[0].replace(" ", GAP) if len(found[0]) <= width - 4 else found[0], text)
    return [line.replace(GAP, " ") for line in textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)]
