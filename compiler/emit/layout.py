"""Lines of Python within a width, broken at brackets the way formatters break them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from .expressions import plain
from .units import Line

WIDTH = 100
WHOLE = re.compile(r"`[^`]*`[.,;:)]*|\w+: \w+\[[^\]]*\][.,;:)]*")
"""What is better not broken: `y = f(x)`, x: float[B, S]."""

ITEM = "\ue031"
"""What stands in a paragraph before each line that is kept apart."""

GAP = "\ue030"
OPEN = {"(": ")", "[": "]", "{": "}"}
LEVELS = (
    (" if ", " else ", " for "), (" or ",), (" and ",), (" < ", " <= ", " > ", " >= ", " == ", " != ", " in ", " is "), (" | ",), (" ^ ",), (" & ",),
    (" << ", " >> "), (" + ", " - "), (" * ", " / ", " // ", " % ", " @ "),
)  # fmt: skip
"""The operators at which a line may be cut, those that bind weakest first; at those of the first level none is."""


def statement(text: str, indent: int) -> list[str]:
    """Lay out one statement; a line that is too long is broken at its operators, or inside its last brackets that stand at top level."""
    head, value = _halves(text)
    if indent + len(text) > WIDTH and value:
        tuple_ = head == "return " and len(split(value)) > 1 and not _comprehension(value)
        if tuple_ or _wants_parentheses(value):
            return _broken(f"{head}({value})", indent, "", "")
    lines = _broken(text, indent, "", "")
    targets, _, value = text.partition(" = ")
    if len(lines[0]) > WIDTH and re.fullmatch(r"\w+(, \w+)+", targets):
        pad = " " * indent
        return [f"{pad}(", *(f"{pad}    {target}," for target in targets.split(", ")), *_broken(value, indent, ") = ", "")]
    return lines


def _halves(text: str) -> tuple[str, str]:
    """Cut a statement before its value."""
    if text.startswith("return "):
        return "return ", text.removeprefix("return ")
    cut = next((p for p, depth in _walk(text) if depth == 0 and text.startswith(" = ", p)), -1)
    return (text[: cut + 3], text[cut + 3 :]) if cut >= 0 else (text, "")


def _operators(text: str) -> list[int]:
    """Return the places of the operators of a text that bind weakest, outside of brackets."""
    if text.startswith(("for ", "if ")):
        return []
    outside = [p for p, depth in _walk(text) if depth == 0 and text[p] == " "]
    for level in LEVELS:
        found = [p for p in outside if text.startswith(level, p)]
        if found:
            return [] if level == LEVELS[0] else found
    return []


def _wants_parentheses(value: str) -> bool:
    """Tell whether an expression that is too long is put into parentheses and cut at its operators."""
    places = _operators(value)
    if not places:
        return False
    first, last = value[: places[0]], value[places[-1] + 1 :].partition(" ")[2]
    return len(places) > 1 or not (_ends_in_call(first) or _ends_in_call(last))


def _ends_in_call(operand: str) -> bool:
    place = _last_brackets(operand)
    return place is not None and place[1] == len(operand) - 1 and operand[place[0]] == "("


def _broken(text: str, indent: int, before: str, after: str) -> list[str]:
    pad = " " * indent
    whole = f"{pad}{before}{text}{after}"
    if len(whole) <= WIDTH:
        return [whole]
    places = _operators(text) if not before and not _halves(text)[1] else []
    if places and _wants_parentheses(text):
        parts = [text[a:b].strip() for a, b in zip([0, *places], [*places, len(text)], strict=True)]
        return [line for k, part in enumerate(parts) for line in _broken(part, indent, "", after if k == len(parts) - 1 else "")]
    place = _last_brackets(text, WIDTH - indent - len(before))
    if place is None:
        return [whole]
    start, end = place
    inside = text[start + 1 : end]
    head, items, tail = text[: start + 1], [inside] if _comprehension(inside) else split(inside), text[end:]
    joined = ", ".join(items)
    call = text[start] == "(" and start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_])")
    lines = [f"{pad}{before}{head}"]
    group = text[start] == "(" and not call and len(items) == 1 and not inside.rstrip().endswith(",")
    comprehension = len(items) == 1 and bool(_comprehension(items[0])) or group
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
            lines += _broken(item, indent + 4, "", "" if group else ",")
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


def _last_brackets(text: str, room: int = WIDTH) -> tuple[int, int] | None:
    """Return the last pair of brackets at top level that holds something; those of a call where its index begins beyond the room."""
    start, best = -1, None
    for position, depth in _walk(text):
        if text[position] in OPEN and depth == 1:
            start = position
        elif text[position] in ")]}" and depth == 0 and position > start + 1:
            index = best is not None and text[start] == "[" and start == best[1] + 1 and text[best[1]] == ")" and start >= room
            best = best if index else (start, position)
    return best


def split(text: str) -> list[str]:
    """Return the parts of a text between the commas outside of its brackets."""
    cuts = [-1, *(p for p, depth in _walk(text) if depth == 0 and text[p] == ","), len(text)]
    parts = (text[a + 1 : b].strip() for a, b in zip(cuts, cuts[1:], strict=False))
    return [part for part in parts if part]


def parted(text: str) -> tuple[str, str]:
    """Return the code of a line and what is written behind its `#`.

    >>> parted('mark = "#"  # of a comment')
    ('mark = "#"', 'of a comment')
    """
    cut = next((position for position, _ in _walk(text) if text[position] == "#"), len(text))
    return text[:cut].rstrip(), text[cut + 1 :].strip()


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
        part, *items = part.split(ITEM)
        wrapped = _wrapped(first + part, width)
        if len(safe) == 1 and len(wrapped) == 1:  # it fits but for the quotes
            wrapped = _wrapped(first + part, width - 8)
        lines += [pad + line for line in wrapped]
        lines += [f"{pad}    {line}" for item in items for line in _wrapped(item, width - 4)]
    return [*lines, f'{pad}"""']


def _wrapped(text: str, width: int) -> list[str]:
    whole = WHOLE.sub(lambda found: found[0].replace(" ", GAP) if len(found[0]) <= width - 4 else found[0], text)
    return [line.replace(GAP, " ") for line in textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)]


def written(lines: Sequence[Line], indent: int) -> list[str]:
    """Lay out statements."""
    return [row for depth, text in lines for row in statement(plain(text), indent + 4 * depth)]
