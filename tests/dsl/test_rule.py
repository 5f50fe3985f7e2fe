"""What shape rules are told: common axes, broadcasting, open conditions, and the texts of failures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from archloom.dsl.dim_atoms import floor_div
from archloom.dsl.dim_terms import Symbol
from archloom.dsl.dims import Dim, quotient
from archloom.dsl.facts import Facts
from archloom.dsl.primitive import Rule, RuleFailure
from archloom.dsl.rule import OpenCondition, ShapeRule
from archloom.dsl.types import Axis, DType, SetAxis, TensorType

b, s, t, g, h, w = (Dim.of(Symbol(name)) for name in "BSTGHW")
EXPERTS = SetAxis("experts", (0, 1, 2, 3))
TASKS = SetAxis("tasks", ("a", "b", "c", "d"))
WHAT = "axis 1 of `x` and `dim`"


def failure(ask: Callable[[ShapeRule], object], facts: Facts | None = None) -> RuleFailure:
    with pytest.raises(RuleFailure) as caught:
        ask(ShapeRule(facts or Facts()))
    return caught.value


def text(found: RuleFailure) -> str:
    return f"[{found.code}] {found.message}" + (f" / {found.help}" if found.help else "")


def test_it_is_what_primitives_ask_for() -> None:
    rule: Rule = ShapeRule(Facts())
    assert rule.same(3, 3, WHAT) == 3


@pytest.mark.parametrize(
    ("given", "expected", "common"),
    [
        (64, 64, 64),
        (s, s, s),
        (EXPERTS, EXPERTS, EXPERTS),
        (EXPERTS, SetAxis("experts", (0, 1, 2, 3)), EXPERTS),
        (EXPERTS, 4, EXPERTS),
        (4, EXPERTS, EXPERTS),
        (2 * floor_div(s, 2) + s % 2, s, s),
    ],
)  # fmt: skip
def test_same(given: Axis, expected: Axis, common: Axis) -> None:
    rule = ShapeRule(Facts())
    assert rule.same(given, expected, WHAT) == common
    assert rule.conditions == []


@pytest.mark.parametrize(
    ("given", "expected", "message"),
    [
        (32, 64, "[A301] axis 1 of `x` and `dim`: `32` is not `64`"),
        (
            s,
            t,
            "[A301] axis 1 of `x` and `dim`: `S` is not `T`, fails at S = 2, T = 3 / if they are always equal, say so: `require S == T`",
        ),
        (
            s,
            64,
            "[A301] axis 1 of `x` and `dim`: `S` is not `64`, fails at S = 2 / "
            "`S` may be any size: write 64 for it in the type of the input, or `require S == 64`",
        ),
        (
            2 * s,
            64,
            "[A301] axis 1 of `x` and `dim`: `2 * S` is not `64`, fails at S = 2 / if it is always 64, say so: `require 2 * S == 64`",
        ),
        (
            EXPERTS,
            TASKS,
            "[A301] axis 1 of `x` and `dim`: `experts` and `tasks` are different index sets / "
            "`experts` has 4 members (0, 1, 2, 3); `tasks` has 4 members (a, b, c, d)",
        ),
        (5, EXPERTS, "[A301] axis 1 of `x` and `dim`: `experts (4)` is not `5`"),
        (EXPERTS, 5, "[A301] axis 1 of `x` and `dim`: `experts (4)` is not `5`"),
    ],
)  # fmt: skip
def test_different(given: Axis, expected: Axis, message: str) -> None:
    assert text(failure(lambda rule: rule.same(given, expected, WHAT))) == message


def test_where_a_set_is_declared_no_number_will_do() -> None:
    assert text(failure(lambda rule: rule.declared(4, EXPERTS, WHAT))) == (
        "[A301] axis 1 of `x` and `dim`: `4` is not the index set `experts` / "
        "make the axis over the set where it is born: write `experts` for its size there"
    )
    assert ShapeRule(Facts()).declared(EXPERTS, EXPERTS, WHAT) is EXPERTS


@pytest.mark.parametrize(
    ("given", "expected", "answer"),
    [
        (s, s, True),
        (s, t, False),
        (3, 4, False),
        (floor_div(s, 2), t, None),
        (EXPERTS, 4, True),
        (EXPERTS, EXPERTS, True),
        (4, EXPERTS, True),
        (5, EXPERTS, False),
        (TASKS, EXPERTS, False),
    ],
)
def test_compare(given: Axis, expected: Axis, answer: bool | None) -> None:
    rule = ShapeRule(Facts())
    assert rule.compare(given, expected) is answer
    assert rule.conditions == []


def test_facts_make_sizes_the_same() -> None:
    rule = ShapeRule(Facts().require("==", s, t))
    assert rule.same(s, t, WHAT) == s
    assert rule.broadcast([(b, s), (b, t)]) == (b, s)
    assert rule.conditions == []


Ask = Callable[[ShapeRule], object]
OPEN: list[tuple[Ask, OpenCondition]] = [
    (lambda rule: rule.same(floor_div(s, 2), t, "halves"), ("==", floor_div(s, 2), t, "halves")),
    (lambda rule: rule.divide(h, 16, "patches"), ("divides", 16, h, "patches")),
    (lambda rule: rule.divide(s, g, "groups"), ("divides", g, s, "groups")),
    (lambda rule: rule.divide(8 * b * s, 16, "rows"), ("divides", 2, b * s, "rows")),
    (lambda rule: rule.whole(h / 16 + 1, "patches"), ("divides", 16, h, "patches")),
    (lambda rule: rule.at_least(s, 4, "window"), (">=", s, 4, "window")),
    (lambda rule: rule.at_least(s - 2, 0, "slice"), (">=", s, 2, "slice")),
    (lambda rule: rule.at_least(512, s, "table"), (">=", 512, s, "table")),
    (lambda rule: rule.at_least(s - t - 2, 1, "rest"), (">=", s, t + 3, "rest")),
    (
        lambda rule: rule.broadcast([(floor_div(s, 2),), (t,)], "`a`, `b`"),
        ("==", floor_div(s, 2), t, "axis -1 of `a`, `b`, `[floor(S / 2)]` and `[T]`"),
    ),
]


@pytest.mark.parametrize(("ask", "condition"), OPEN)
def test_open_conditions_are_kept_once(ask: Ask, condition: OpenCondition) -> None:
    rule = ShapeRule(Facts())
    ask(rule)
    ask(rule)
    assert rule.conditions == [condition]


@pytest.mark.parametrize(
    ("shapes", "common"),
    [
        ([()], ()),
        ([(), (s,)], (s,)),
        ([(b, s, 64), (b, 1, 64)], (b, s, 64)),
        ([(b, s, 64), (64,)], (b, s, 64)),
        ([(1, 3), (b, 1), (g, 1, 1)], (g, b, 3)),
        ([(b, EXPERTS), (b, 4)], (b, EXPERTS)),
        ([(b, 4), (b, EXPERTS)], (b, EXPERTS)),
        ([(b, 1), (b, EXPERTS)], (b, EXPERTS)),
    ],
)  # fmt: skip
def test_broadcast(shapes: list[tuple[Axis, ...]], common: tuple[Axis, ...]) -> None:
    assert ShapeRule(Facts()).broadcast(shapes) == common


def test_broadcast_of_numbers_is_numpys() -> None:
    import numpy

    sizes = (1, 2, 3)
    shapes = [shape for rank in range(3) for shape in product(sizes, repeat=rank)]
    for left, right in product(shapes, repeat=2):
        try:
            expected = numpy.broadcast_shapes(left, right)
        except ValueError:
            assert failure(lambda rule, pair=[left, right]: rule.broadcast(pair)).code == "A301"
        else:
            assert ShapeRule(Facts()).broadcast([left, right]) == expected


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            [(b, s), (b, t)],
            "[A301] axis -1 of `a` and `b`, `[B, S]` and `[B, T]`: `S` is not `T`, fails at S = 2, T = 3 / "
            "if they are always equal, say so: `require S == T`",
        ),
        (
            [(b, 3), (b, 4)],
            "[A301] axis -1 of `a` and `b`, `[B, 3]` and `[B, 4]`: `3` is not `4` / "
            "sizes must be equal, or one of them 1; `x[:, none]` puts in an axis of 1",
        ),
        (
            [(b, EXPERTS), (b, TASKS)],
            "[A301] axis -1 of `a` and `b`, `[B, experts]` and `[B, tasks]`: `experts` and `tasks` are different index sets / "
            "`experts` has 4 members (0, 1, 2, 3); `tasks` has 4 members (a, b, c, d)",
        ),
    ],
)  # fmt: skip
def test_shapes_that_do_not_broadcast(shapes: list[tuple[Axis, ...]], message: str) -> None:
    assert text(failure(lambda rule: rule.broadcast(shapes, "`a` and `b`"))) == message


def test_quotients() -> None:
    rule = ShapeRule(Facts().require("divides", 16, h))
    assert rule.divide(64, 16, WHAT) == 4
    assert rule.divide(s * g, g, WHAT) == s
    assert rule.divide(EXPERTS, 2, WHAT) == 2
    assert rule.divide(h * w, 8, WHAT) == h * w / 8
    assert rule.conditions == []


FAILING: list[tuple[Ask, str]] = [
    (lambda rule: rule.divide(63, 16, "heads"), "[A302] heads: `63` is not divisible by `16` / 48 and 64 are"),
    (lambda rule: rule.divide(3, 16, "heads"), "[A302] heads: `3` is not divisible by `16` / 16 is"),
    (
        lambda rule: rule.divide(2 * h + 1, 2, "halves"),
        "[A302] halves: `2 * H + 1` is not divisible by `2`, fails at H = 2 / what stands there must be a multiple of 2",
    ),
    (
        lambda rule: rule.divide(h, 0, "parts"),
        "[A302] parts: `H` can't be divided by 0 / check the numbers that the divisor is computed from",
    ),
    (
        lambda rule: rule.whole(h * 2 + 3 * (s / 3) + quotient(1, 2), "axis 2"),
        "[A302] axis 2: `(2 * S + 4 * H + 1) / 2` is no whole number, fails at S = 2, H = 3 / round it with `//`, `floor` or `ceil`",
    ),
    (lambda rule: rule.at_least(3, 4, "axis 2"), "[A303] axis 2: `3` is less than `4`"),
    (lambda rule: rule.at_least(1 - h, 1, "axis 2"), "[A303] axis 2: `1 - H` is less than `1`, fails at H = 2"),
    (
        lambda rule: rule.axis(3, 3),
        "[A304] `dim` is 3, and the tensor has 3 axes / axes count from 0 to 2, or from the end from -1 to -3",
    ),
    (lambda rule: rule.axis(-1, 0, "start"), "[A304] `start` is -1, and the tensor has no axes / give it an axis first: `x[None]`"),
    (
        lambda rule: rule.dtype(TensorType(DType.INT, (b,)), "float", "`q`"),
        "[A305] `q` is `int`, and must be a float / convert it: `float(q)`",
    ),
    (
        lambda rule: rule.dtype(TensorType(DType.INT, (b,)), "bool", "`mask`"),
        "[A305] `mask` is `int`, and must be bool / compare it with something: `mask > 0`",
    ),
    (
        lambda rule: rule.dtype(TensorType(DType.BOOL, (b,)), [DType.FLOAT, DType.INT], "`x`"),
        "[A305] `x` is `bool`, and must be float or int / convert it: `float(x)`",
    ),
]


@pytest.mark.parametrize(("ask", "message"), FAILING)
def test_failures(ask: Ask, message: str) -> None:
    assert text(failure(ask)) == message


@pytest.mark.parametrize(("index", "rank", "place"), [(0, 3, 0), (2, 3, 2), (-1, 3, 2), (-3, 3, 0)])
def test_axis(index: int, rank: int, place: int) -> None:
    assert ShapeRule(Facts()).axis(index, rank) == place


ALLOWED = {
    "float": {DType.FLOAT, DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16},
    "int": {DType.INT, DType.INT32},
    "bool": {DType.BOOL},
    "number": set(DType) - {DType.BOOL, DType.INT8},
    "any": set(DType),
    "float32": {DType.FLOAT32},
}


@pytest.mark.parametrize("allowed", ALLOWED)
@pytest.mark.parametrize("dtype", list(DType))
def test_dtype(allowed: str, dtype: DType) -> None:
    value = TensorType(dtype, ())
    if dtype in ALLOWED[allowed]:
        assert ShapeRule(Facts()).dtype(value, allowed, "`x`") is dtype
    else:
        assert failure(lambda rule: rule.dtype(value, allowed, "`x`")).code == "A305"


def test_a_failure_that_a_primitive_states() -> None:
    found = ShapeRule(Facts()).fail("two sizes are -1", "leave one open", "A306")
    assert text(found) == "[A306] two sizes are -1 / leave one open"
