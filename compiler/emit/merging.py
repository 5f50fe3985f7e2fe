"""One function for both modes."""

from __future__ import annotations

from .units import Line


def merged(evaluate: list[Line], train: list[Line]) -> list[Line]:
    """Return one function for both modes: what differs stands under `if self.training`."""
    if evaluate == train:
        return evaluate
    before = _common(evaluate, train)
    left, right = evaluate[before:], train[before:]
    after = _common(left[::-1], right[::-1], backwards=True)
    left, right = left[: len(left) - after], right[: len(right) - after]
    tail = evaluate[len(evaluate) - after :] if after else []
    middle: list[Line] = []
    if right:
        middle = [(0, "if self.training:"), *((depth + 1, text) for depth, text in right)]
        middle += [(0, "else:"), *((depth + 1, text) for depth, text in left)] if left else []
    elif left:
        middle = [(0, "if not self.training:"), *((depth + 1, text) for depth, text in left)]
    return [*evaluate[:before], *middle, *tail]


def _common(left: list[Line], right: list[Line], backwards: bool = False) -> int:
    """Return how many whole statements two functions share at the beginning, or at the end."""
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    if backwards:
        while count and left[count - 1][0] > 0:
            count -= 1
    else:
        while count and any(count < len(side) and side[count][0] > 0 for side in (left, right)):
            count -= 1
    return count
