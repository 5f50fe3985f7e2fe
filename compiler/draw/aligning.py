"""Where the boxes of a level stand across: what belongs under each other is one upright column, and columns keep their distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .level import Net, Piece, Place, links

SWEEPS = 30
EXACT = 1e-6
FREE = 0.05
"""The weight of a column that no line pulls."""
LONG, MAIN, END = 8.0, 2.0, 0.5
"""How much it matters that a piece is straight: between two bends, between two boxes, and from a box to a bend."""


@dataclass(slots=True, eq=False)
class Column:
    """Places that are joined by straight lines; `x` is where the first one stands."""

    places: list[tuple[Place, float]] = field(default_factory=list[tuple[Place, float]])  # with how far each is from `x`
    x: float = 0.0
    before: list[tuple[Column, float]] = field(default_factory=list[tuple["Column", float]])  # those to its left, and the distance
    after: list[tuple[Column, float]] = field(default_factory=list[tuple["Column", float]])


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """A line that isn't straight by itself: `left` would stand `apart` left of `right`."""

    upper: Column
    lower: Column
    apart: float
    weight: float


def set_across(rows: Sequence[Sequence[Place]], nets: Sequence[Net], gap: float) -> None:
    """Give every place its x: main lines and long lines straight, what forks in the middle over its branches, nothing too near."""
    pieces = links(rows, nets)
    straight = [piece for row, between in enumerate(pieces) for piece in _straight(rows[row], rows[row + 1], between)]
    columns = _columns(rows, straight)
    where = {id(place): (column, offset) for column in columns for place, offset in column.places}
    order = _in_order(rows, columns, where, gap)
    wishes: list[Wish] = []
    for between in pieces:
        for piece in between:
            (upper, a), (lower, b) = where[id(piece.upper)], where[id(piece.lower)]
            if upper is not lower:
                wishes.append(Wish(upper, lower, a + piece.start - b - piece.end, _weight(piece)))
    _settle(order, wishes)
    for column in columns:
        for place, offset in column.places:
            place.x = column.x + offset


def _weight(piece: Piece) -> float:
    bends = _bends(piece)
    return LONG if bends == 2 else END if bends else MAIN


def _bends(piece: Piece) -> int:
    return piece.upper.is_bend + piece.lower.is_bend


def _straight(upper: Sequence[Place], lower: Sequence[Place], pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces between two rows that will be straight: at most one above and below each place, none across another."""
    up, down = ({id(place): number for number, place in enumerate(row)} for row in (upper, lower))
    middle = _middles(pieces, lambda piece: piece.upper, lambda piece: down[id(piece.lower)])
    middle &= _middles(pieces, lambda piece: piece.lower, lambda piece: up[id(piece.upper)])
    busy = {id(place) for piece in pieces if not _bends(piece) and not piece.net.is_minor for place in (piece.upper, piece.lower)}
    chosen: list[Piece] = []
    for piece in sorted(pieces, key=_urgency):
        if not _bends(piece) and id(piece) not in middle:
            continue
        if _bends(piece) == 1 and not busy.isdisjoint((id(piece.upper), id(piece.lower))):
            continue
        a, b = up[id(piece.upper)], down[id(piece.lower)]
        if all((a - up[id(other.upper)]) * (b - down[id(other.lower)]) > 0 for other in chosen):
            chosen.append(piece)
    return chosen


def _urgency(piece: Piece) -> tuple[int, bool]:
    return (0, 2, 1)[_bends(piece)], piece.net.is_minor


def _middles(pieces: Sequence[Piece], end: Callable[[Piece], Place], position: Callable[[Piece], int]) -> set[int]:
    """Return, by `id`, for each end the piece in the middle of those that matter there; none where two are as much in the middle."""
    met: dict[int, list[Piece]] = {}
    for piece in pieces:
        if not _bends(piece):
            met.setdefault(id(end(piece)), []).append(piece)
    found: set[int] = set()
    for there in met.values():
        main = sorted([piece for piece in there if not piece.net.is_minor] or there, key=position)
        if len(main) % 2:
            found.add(id(main[len(main) // 2]))
    return found


def _columns(rows: Sequence[Sequence[Place]], straight: Sequence[Piece]) -> list[Column]:
    above = {id(piece.lower): piece for piece in straight}
    found: list[Column] = []
    at: dict[int, tuple[Column, float]] = {}
    for row in rows:
        for place in row:
            piece = above.get(id(place))
            if piece is None:
                column, offset = Column(), 0.0
                found.append(column)
            else:
                column, offset = at[id(piece.upper)]
                offset += piece.start - piece.end
            column.places.append((place, offset))
            at[id(place)] = column, offset
    return found


def _in_order(rows: Sequence[Sequence[Place]], columns: Sequence[Column], where: dict[int, tuple[Column, float]], gap: float) -> list[Column]:
    """Join neighbours, and return the columns from left to right: each after all that stand left of it."""
    for row in rows:
        for left, right in zip(row, row[1:], strict=False):
            (a, x), (b, y) = where[id(left)], where[id(right)]
            apart = max(left.width / 2, left.reach) + right.width / 2 + (gap / 2 if left.is_bend or right.is_bend else gap) + x - y
            a.after.append((b, apart))
            b.before.append((a, apart))
    waiting = {id(column): len(column.before) for column in columns}
    order = [column for column in columns if not column.before]
    for column in order:
        for other, _ in column.after:
            waiting[id(other)] -= 1
            if not waiting[id(other)]:
                order.append(other)
    return order


def _settle(order: Sequence[Column], wishes: Sequence[Wish]) -> None:
    """Move columns to where their lines are short, as far as the distances allow."""
    keep_apart(order, [0.0] * len(order), [1.0] * len(order))
    met: dict[int, list[tuple[Column, float, float]]] = {id(column): [] for column in order}
    for wish in wishes:
        met[id(wish.upper)].append((wish.lower, -wish.apart, wish.weight))
        met[id(wish.lower)].append((wish.upper, wish.apart, wish.weight))
    weights = [sum(weight for _, _, weight in met[id(column)]) or FREE for column in order]
    for _ in range(SWEEPS):
        aims: list[float] = []
        for column, total in zip(order, weights, strict=True):
            aim = sum((other.x + apart) * weight for other, apart, weight in met[id(column)]) / total if met[id(column)] else column.x
            aims.append((column.x + aim) / 2)
        keep_apart(order, aims, weights)


@dataclass(slots=True, eq=False)
class _Block:
    """Columns that touch: `x` is the mean of what they aim at, less how far each is from the first."""

    x: float
    weight: float
    columns: list[Column]
    open: list[tuple[Column, Column, float]]  # distances to columns of other blocks on the left


def keep_apart(order: Sequence[Column], aims: Sequence[float], weights: Sequence[float]) -> None:
    """Put columns as near to their aims as the distances allow: those that come too near become one block, which is pulled by all of them."""
    blocks: dict[int, _Block] = {}
    offsets: dict[int, float] = {}
    for column, aim, weight in zip(order, aims, weights, strict=True):
        block = blocks[id(column)] = _Block(aim, weight, [column], [(column, left, apart) for left, apart in column.before])
        offsets[id(column)] = 0.0
        while (found := _nearest(block, blocks, offsets)) is not None:
            left, apart = found
            block, right = blocks[id(left)], block
            shift = offsets[id(left)] + apart  # of the right block in the left one, from the first of its columns
            for moved in right.columns:
                offsets[id(moved)] += shift
                blocks[id(moved)] = block
            total = block.weight + right.weight
            block.x = (block.x * block.weight + (right.x - shift) * right.weight) / total
            block.weight = total
            block.columns += right.columns
            block.open = [entry for entry in (*block.open, *right.open) if blocks[id(entry[1])] is not block]
    for column in order:
        column.x = blocks[id(column)].x + offsets[id(column)]


def _nearest(block: _Block, blocks: dict[int, _Block], offsets: dict[int, float]) -> tuple[Column, float] | None:
    """Return the column left of a block that is most too near, and how far right of it the block's own first column must be."""
    worst, found = -EXACT, None
    for column, left, apart in block.open:
        room = block.x + offsets[id(column)] - blocks[id(left)].x - offsets[id(left)] - apart
        if room < worst:
            worst, found = room, (left, apart - offsets[id(column)])
    return found
