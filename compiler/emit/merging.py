"""One function for both modes."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from .units import Line

Block = tuple[Line, ...]
"""A statement with what is indented below it."""


def merged(evaluate: Sequence[Line], train: Sequence[Line]) -> list[Line]:
    """Return one function for both modes: what differs stands under `if self.training`, inside the loops that both have."""
    left, right = _blocks(evaluate), _blocks(train)
    heads = [[_head(block) for block in side] for side in (left, right)]
    found: list[Line] = []
    for tag, a, b, c, d in SequenceMatcher(None, *heads, autojunk=False).get_opcodes():
        if tag == "equal":
            for one, other in zip(left[a:b], right[c:d], strict=True):
                found += one if one == other else _inside(one, other)
        else:
            found += _either([line for block in left[a:b] for line in block], [line for block in right[c:d] for line in block])
    return found


def _inside(evaluate: Block, train: Block) -> list[Line]:
    """Return a loop or a condition that both modes have, with its lines merged."""
    lines = merged([(depth - 1, text) for depth, text in evaluate[1:]], [(depth - 1, text) for depth, text in train[1:]])
    return [evaluate[0], *((depth + 1, text) for depth, text in lines)]


def _either(evaluate: list[Line], train: list[Line]) -> list[Line]:
    if not train:
        return [(0, "if not self.training:"), *((depth + 1, text) for depth, text in evaluate)] if evaluate else []
    found = [(0, "if self.training:"), *((depth + 1, text) for depth, text in train)]
    return [*found, (0, "else:"), *((depth + 1, text) for depth, text in evaluate)] if evaluate else found


def _blocks(lines: Sequence[Line]) -> list[Block]:
    found: list[list[Line]] = []
    for depth, text in lines:
        if depth == 0 and not text.startswith(("else:", "elif ")):
            found.append([])
        found[-1].append((depth, text))
    return [tuple(block) for block in found]


def _head(block: Block) -> object:
    """Return what two statements have alike when they can be one: all of it, or the head of a loop or condition."""
    text = block[0][1]
    plain = not any(depth == 0 for depth, _ in block[1:])
    return text if len(block) > 1 and plain and text.startswith(("for ", "if ")) and text != "if self.training:" else block
