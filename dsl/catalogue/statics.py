"""A2xx, static values and arguments."""

from __future__ import annotations

from typing import Final

from .entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A201",
        "an argument that the callee doesn't take",
        "Arguments are matched by name or position; an unknown, doubled or superfluous one is an error.",
        "model M { in x: float[B, 4]; f = Linear(4, 4, baias = false); out y = f(x) }",
        "model M { in x: float[B, 4]; f = Linear(4, 4, bias = false); out y = f(x) }",
    ),
    Entry(
        "A202",
        "an argument is missing",
        "Arguments without a default must be given. A model's own get a default, a preset, or `--param name=value`.",
        "model M { in x: float[B, 4]; f = Linear(4); out y = f(x) }",
        "model M { in x: float[B, 4]; f = Linear(4, 4); out y = f(x) }",
    ),
    Entry(
        "A203",
        "a value of the wrong kind",
        "Static values are numbers, strings, lists, maps, index sets, blocks and operations; tensors only exist at run time. "
        "Each argument takes one kind.",
        'model M { in x: float[B, 4]; out y = softmax(x, dim = "last") }',
        "model M { in x: float[B, 4]; out y = softmax(x, dim = -1) }",
    ),
    Entry(
        "A204",
        "arithmetic without a result",
        "Division by zero, a root of a negative number, an exponent or number that is too large.",
        "model M(n: int = 0) { in x: float[B, 4]; out y = x * (1 / n) }",
        "model M(n: int = 2) { in x: float[B, 4]; out y = x * (1 / n) }",
    ),
    Entry(
        "A205",
        "a size mixed with a float",
        "Sizes are whole numbers and exact quotients. A fraction of a size is rounded by `ceil` or `floor`.",
        "model M { in x: float[B, S]; out y = zeros([B, S * 0.5]) + mean(x) }",
        "model M { in x: float[B, S]; out y = zeros([B, ceil(S / 2)]) + mean(x) }",
    ),
    Entry(
        "A206",
        "a size that is not known here",
        "Loops, `if`, and the shapes of modules need numbers that are known before a batch comes. Make the size a parameter of the model.",
        "model M { in x: float[B, H]; f = Linear(H, 4); out y = f(x) }",
        "model M(H: int = 8) { in x: float[B, H]; f = Linear(H, 4); out y = f(x) }",
    ),
    Entry(
        "A207",
        "a condition that is not true or false",
        "`if`, `a if c else b`, `and`, `or`, `not` decide while the spec is read. Between tensors use `where`, `&`, `|`, `~`.",
        "model M { in x: float[B, 4]; y = x if x > 0 else -x; out z = y }",
        "model M { in x: float[B, 4]; y = where(x > 0, x, -x); out z = y }",
    ),
    Entry(
        "A208",
        "something stands where it has no meaning",
        "Open ranges, `*` and selectors stand inside brackets or where paths are meant; a `for` runs over a set, a list, a range or a map.",
        "model M { in x: float[B, 4]; for i in 4 { z = x }; out y = sum(z[*]) }",
        "model M { in x: float[B, 4]; for i in 0..4 { z = x }; out y = sum(z[*]) }",
    ),
    Entry(
        "A209",
        "the least or greatest of nothing",
        "`min` and `max` need at least one value.",
        "model M { in x: float[B, 4]; out y = x * max([i for i in 0..0]) }",
        "model M { in x: float[B, 4]; out y = x * max([i for i in 0..2]) }",
    ),
    Entry(
        "A211",
        "an index that doesn't fit",
        "Families, sets and maps are indexed by member and cut with `..`; lists by position; tensors by position, `:`, `...` and `none`. "
        "A tensor never indexes a tensor: that is `take` or `gather`.",
        "model M { in x: float[B, 4]; in i: int[B]; out y = x[i] }",
        "model M { in x: float[N, 4]; in i: int[B]; out y = take(x, i, dim = 0) }",
    ),
    Entry(
        "A212",
        "no such type",
        "Tensor types are `float`, `float32`, `float16`, `bfloat16`, `float64`, `int`, `int32`, `int8`, `bool`, `complex` with a shape; "
        "parameters are `int`, `float`, `bool`, `str`, `list[..]`, `map[.., ..]`, `index`, `block`, `fn`, `module` or `{a, b}`.",
        "model M { in x: tensor[B, 4]; out y = x }",
        "model M { in x: float[B, 4]; out y = x }",
    ),
    Entry(
        "A213",
        "not one of the choices",
        "An enum parameter and some arguments take one of a few words.",
        "model M(kind: {add, gated} = added) { in x: float[B, 4]; y = x if kind == add else -x; out z = y }",
        "model M(kind: {add, gated} = add) { in x: float[B, 4]; y = x if kind == add else -x; out z = y }",
    ),
    Entry(
        "A214",
        "a number out of range",
        "The operation is only defined for some numbers, for instance a probability between 0 and 1.",
        "model M { in x: float[B, 4]; out y = dropout(x, 1.5) }",
        "model M { in x: float[B, 4]; out y = dropout(x, 0.5) }",
    ),
    Entry(
        "A215",
        "as many names as values",
        "`a, b = e` needs as many results on the right as names on the left.",
        "model M { in x: float[B, 4]; a, b = chunk(x, 4, dim = 1); out y = a + b }",
        "model M { in x: float[B, 4]; a, b = chunk(x, 2, dim = 1); out y = a + b }",
    ),
    Entry(
        "A216",
        "something that can't be called",
        "Blocks are made and then called; operations and functions are called once. Values, numbers and initialisers are not called.",
        "model M { in x: float[B, 4]; y = x(3); out z = y }",
        "model M { in x: float[B, 4]; y = x * 3; out z = y }",
    ),
    Entry(
        "A217",
        "a `fn` owns nothing",
        "A `fn` is computed in place: it has no modules, parameters, states or losses. A block has.",
        "fn f(x: float[B, 4]) { w = Linear(4, 4); out y = w(x) }\nmodel M { in x: float[B, 4]; out y = f(x) }",
        "block F { in x: float[B, 4]; w = Linear(4, 4); out y = w(x) }\nmodel M { in x: float[B, 4]; f = F(); out y = f(x) }",
    ),
)
