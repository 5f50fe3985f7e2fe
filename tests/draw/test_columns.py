"""Standing across: columns keep their distance, as near to their aims as that allows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archloom.compiler.draw.aligning import Column, keep_apart
from archloom.compiler.draw.level import spread

NUMBERS = st.floats(-100, 100).map(lambda x: round(x, 3))
WEIGHTS = st.floats(0.1, 10).map(lambda x: round(x, 3))


def row(gaps: list[float]) -> list[Column]:
    found = [Column()]
    for gap in gaps:
        found.append(Column(before=[(found[-1], gap)]))
    return found


@given(st.lists(st.tuples(NUMBERS, WEIGHTS, st.floats(1, 30)), min_size=1, max_size=7))
def test_a_row_stands_as_least_squares_have_it(items: list[tuple[float, float, float]]) -> None:
    aims, weights, gaps = ([item[k] for item in items] for k in range(3))
    columns = row(gaps[1:])
    keep_apart(columns, aims, weights)
    expected = spread(aims, weights, gaps[1:])
    assert all(abs(column.x - x) < 1e-6 for column, x in zip(columns, expected, strict=True))


@given(st.lists(st.tuples(NUMBERS, WEIGHTS, st.lists(st.integers(0, 5), max_size=3)), min_size=1, max_size=6))
def test_distances_hold_whatever_stands_left_of_what(items: list[tuple[float, float, list[int]]]) -> None:
    columns: list[Column] = []
    for _, _, before in items:
        columns.append(Column(before=[(columns[at], 10.0 + at) for at in sorted(set(before)) if at < len(columns)]))
    keep_apart(columns, [item[0] for item in items], [item[1] for item in items])
    assert all(column.x - left.x >= apart - 1e-6 for column in columns for left, apart in column.before)


def test_two_that_want_one_place_share_the_way_by_weight() -> None:
    columns = row([9.0])
    keep_apart(columns, [0.0, 0.0], [2.0, 1.0])
    assert [column.x for column in columns] == [-3.0, 6.0]
