"""One function for two."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from .units import Line

Block = tuple[Line, ...]
"""A statement with what is indented below it."""

NAMED = re.compile(r"for name, (\w+) in (.*)\.named_children\(\):")
ALONE = re.compile(r"for (\w+) in (.*?)(?:\.children\(\)|\.values\(\))?:")


@dataclass(frozen=True, slots=True)
class Merging:
    """How two functions are told apart: `yes` holds in the second, `no` in the first; one alone has each of the parameters `single`."""

    yes: str = "self.training"
    no: str = "not self.training"
    single: Collection[str] = ()

    def merged(self, first: Sequence[Line], second: Sequence[Line]) -> list[Line]:
        """Return one function for two: what is the second's alone stands under `if yes`, inside the loops that both have."""
        left, right = _blocks(first), _blocks(second)
        heads = [[self._head(block) for block in side] for side in (left, right)]
        found: list[Line] = []
        for tag, a, b, c, d in SequenceMatcher(None, *heads, autojunk=False).get_opcodes():
            if tag == "equal":
                for one, other in zip(left[a:b], right[c:d], strict=True):
                    found += one if one == other else self._inside(one, other)
            else:
                alone = [[line for block in side for line in block] for side in (left[a:b], right[c:d])]
                found += self._either(*alone)
        return found

    def _inside(self, first: Block, second: Block) -> list[Line]:
        """Return a statement that both have, with its lines merged."""
        head = (first[0][0], self._passing(first[0][1], second[0][1]))
        lines = self.merged([(depth - 1, text) for depth, text in first[1:]], [(depth - 1, text) for depth, text in second[1:]])
        return [head, *((depth + 1, text) for depth, text in lines)]

    def _either(self, first: list[Line], second: list[Line]) -> list[Line]:
        if not second:
            return [(0, f"if {self.no}:"), *((depth + 1, text) for depth, text in first)] if first else []
        found = [(0, f"if {self.yes}:"), *((depth + 1, text) for depth, text in second)]
        if not first or second[-1][0] == 0 and second[-1][1].startswith("return "):
            return [*found, *first]
        if len(_blocks(first)) == 1 and first[0][1].startswith("if "):
            return [*found, (0, f"el{first[0][1]}"), *first[1:]]
        return [*found, (0, "else:"), *((depth + 1, text) for depth, text in first)]

    def _head(self, block: Block) -> object:
        """Return what two statements have alike when they can be one: all of it, or the head of a loop or condition."""
        text = self._bare(block[0][1])
        plain = not any(depth == 0 for depth, _ in block[1:])
        if len(block) > 1 and plain and text.startswith(("for ", "if ")) and text != "if self.training:":
            return text
        return (text, *block[1:])

    # ------------------------------------------------------------------------------------- what is handed on as it is

    def _bare(self, text: str) -> str:
        """Return a statement without what it hands on of the parameters that only one of both functions has."""
        return re.sub(self._handed(), "", text) if self.single else text

    def _handed(self) -> str:
        index = r"(?:\[[^\]]*\])*"
        ways = [f"{name}={name}(?: and {name})?{index}" for name in self.single]
        return rf", (?:{'|'.join(ways)})(?=[,)])"

    def _passing(self, first: str, second: str) -> str:
        """Return a call that hands on what either function hands on: what is not given is None, as if it were left out."""
        if first == second:
            return first
        handed = [list(re.finditer(self._handed(), text)) for text in (first, second)]
        text, own, other = (first, *handed) if len(handed[0]) > len(handed[1]) else (second, *handed[::-1])
        names = [one[0].partition("=")[0] for one in own]
        more = [found[0] for found in other if found[0].partition("=")[0] not in names]
        end = own[-1].end()
        text = text[:end] + "".join(more) + text[end:]
        return re.sub(rf"\b({'|'.join(self.single)})=\1\[", r"\1=\1 and \1[", text)


def merged(evaluate: Sequence[Line], train: Sequence[Line]) -> list[Line]:
    """Return one function for both modes."""
    return Merging().merged(evaluate, train)


def alike(lines: Sequence[Line], other: Sequence[Line]) -> list[Line]:
    """Go through modules as another function does, which needs their names, too."""
    named = {found[2]: found[1] for _, text in other if (found := NAMED.fullmatch(text))}
    found = list(lines)
    for place, (depth, text) in enumerate(lines):
        loop = ALONE.fullmatch(text)
        if loop is not None and loop[2] in named:
            end = next((k for k in range(place + 1, len(lines)) if lines[k][0] <= depth), len(lines))
            word = named[loop[2]]
            found[place] = (depth, f"for name, {word} in {loop[2]}.named_children():")
            found[place + 1 : end] = [(d, re.sub(rf"(?<![\w.\"]){loop[1]}(?=\()", word, t)) for d, t in found[place + 1 : end]]
    return found


def _blocks(lines: Sequence[Line]) -> list[Block]:
    found: list[list[Line]] = []
    for depth, text in lines:
        if depth == 0 and not text.startswith(("else:", "elif ")):
            found.append([])
        found[-1].append((depth, text))
    return [tuple(block) for block in found]
