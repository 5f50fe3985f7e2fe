"""The last look at a function: copies that need no line, and numbers in names that need not be so high."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection, Sequence

from .units import Line

WORD = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\w.])[A-Za-z_]\w*')
COPY = re.compile(r"([A-Za-z_]\w*) = ([A-Za-z_]\w*)")
HIDDEN = ("h", "z", "e", "r")
"""Names for what has none in the text, before they are numbered."""

NUMBERED = re.compile(r"(\w*?[A-Za-z])((?:_\d+)+)")


def tidied(lines: Sequence[Line], known: Collection[str]) -> list[Line]:
    """Return the lines of a function under the shortest names; `known` are those of its parameters and what else it may not hide."""
    found = _without_copies(list(lines), known)
    used = dict.fromkeys(word for _, text in found for word in _words(text))
    kept = {word for _, text in found for inside in re.findall(r'\bf"([^"]*)"', text) for word in re.findall(r"\w+", inside)}
    taken = {*known, *used, *keyword.kwlist, *dir(builtins)}
    bound = {word for _, text in found for word in _bound(text)}
    names: dict[str, str] = {}
    for word in used:
        match = NUMBERED.fullmatch(word)
        if match is None or word not in bound or word in known or word in kept:
            continue
        others = HIDDEN if match[1] == HIDDEN[0] else ()
        shorter = (match[1], *others, *(f"{match[1]}_{i}" for i in range(1, int(match[2].rpartition("_")[2]))))
        short = next((name for name in shorter if name not in taken), word)
        names[word] = short
        taken.add(short)
    return [(depth, WORD.sub(lambda one: names.get(one[0], one[0]), text)) for depth, text in found] if names else found


def _without_copies(lines: list[Line], known: Collection[str]) -> list[Line]:
    """Give a value that is only read to be copied the name of the copy."""
    for place, (depth, text) in enumerate(lines):
        copy = COPY.fullmatch(text)
        if copy is None or copy[2] in known:
            continue
        new, old = copy.groups()
        uses = [i for i, (_, other) in enumerate(lines) for word in _words(other) if word == old]
        made = uses[0]
        if uses != [made, place] or lines[made][0] != depth or not lines[made][1].startswith(f"{old} = "):
            continue
        if any(new in _words(other) for _, other in lines[made:place]):
            continue
        kept = [*lines[:made], (depth, new + lines[made][1].removeprefix(old)), *lines[made + 1 : place], *lines[place + 1 :]]
        return _without_copies(kept, known)
    return lines


def _words(text: str) -> list[str]:
    return [word for word in WORD.findall(text) if not word.startswith('"')]


def _bound(text: str) -> list[str]:
    """Return what a line binds: targets, and the variables of loops and comprehensions."""
    targets = re.match(r"([\w, ]+) = ", text)
    found = targets[1].split(", ") if targets is not None else []
    return [*found, *(word for part in re.findall(r"\bfor ([\w, ]+) in ", text) for word in part.split(", "))]
