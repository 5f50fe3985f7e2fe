"""A4xx, loops, families and index sets."""

from __future__ import annotations

from typing import Final

from .entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A401",
        "a value is rebound in a `repeat` without being carried",
        "What a `repeat` hands from step to step stands after `carry`, so that the reader sees it. Every other name bound inside is a family.",
        "model M { in x: float[B, 4]; h = x; repeat i in 0..3 { f = Linear(4, 4); h = f(h) }; out y = h }",
        "model M { in x: float[B, 4]; h = x; repeat i in 0..3 carry h { f = Linear(4, 4); h = f(h) }; out y = h }",
    ),
    Entry(
        "A402",
        "a `for` writes a name from outside",
        "The steps of a `for` are independent: they bind new names, which become families, or write their own member of one, `x[t] = ...`.",
        "model M { in x: float[B, 4]; h = x; for t in {a, b} { h = relu(h) }; out y = h }",
        "model M { in x: float[B, 4]; for t in {a, b} { h = relu(x) }; out y = h[a] }",
    ),
    Entry(
        "A403",
        "a name of the loop is read before this step binds it",
        "Inside the loop the bare name is this step's member. An earlier step's is read with the loop's variable less a number: `r[i - 1]`.",
        "model M { in x: float[B, 4]; repeat i in 0..3 { z = x if i == 0 else relu(h); h = z }; out y = h[2] }",
        "model M { in x: float[B, 4]; repeat i in 0..3 { z = x if i == 0 else relu(h[i - 1]); h = z }; out y = h[2] }",
    ),
    Entry(
        "A404",
        "a family is read as if it were one value",
        "A name bound in a loop is a family after it: `h[i]` is one member, `h[*]` all of them as one argument.",
        "model M { in x: float[B, 4]; for t in {a, b} { h = relu(x) }; out y = relu(h) }",
        "model M { in x: float[B, 4]; for t in {a, b} { h = relu(x) }; out y = sum(h[*]) }",
    ),
    Entry(
        "A405",
        "a loop's variable is rebound",
        "The variable is this step's member.",
        "model M { in x: float[B, 4]; for t in {a, b} { t = relu(x) }; out y = x }",
        "model M { in x: float[B, 4]; for t in {a, b} { z = relu(x) }; out y = z[a] }",
    ),
    Entry(
        "A406",
        "a range runs backwards",
        "`a..b` counts up; `n..n` is empty; `reversed(a..b)` counts down.",
        "model M { in x: float[B, 4]; for i in 3..0 { z = x }; out y = sum(z[*]) }",
        "model M { in x: float[B, 4]; for i in reversed(0..3) { z = x }; out y = sum(z[*]) }",
    ),
    Entry(
        "A407",
        "no such member",
        "Inside `[ ]` of a family, set or map stands one of its members; a family bound under an `if` has only those for which the `if` held.",
        "model M { in x: float[B, 4]; for t in {depth, normals} { h = relu(x) }; out y = h[dept] }",
        "model M { in x: float[B, 4]; for t in {depth, normals} { h = relu(x) }; out y = h[depth] }",
    ),
    Entry(
        "A408",
        "a member of the wrong kind",
        "The members of an index set are names, numbers, or tuples of them.",
        "model M { in x: float[B, 4]; index s = [none, 2]; for i in s { h = x }; out y = sum(h[*]) }",
        "model M { in x: float[B, 4]; index s = [1, 2]; for i in s { h = x }; out y = sum(h[*]) }",
    ),
    Entry(
        "A409",
        "an empty family has no type",
        "Nothing can be joined, stacked or averaged.",
        "model M(n: int = 0) { in x: float[B, 4]; y = concat([x for i in 0..n], dim = 0); out z = y }",
        "model M(n: int = 1) { in x: float[B, 4]; y = concat([x for i in 0..n], dim = 0); out z = y }",
    ),
    Entry(
        "A410",
        "a member of several index sets",
        "A bare member is clear only where one index set in sight has it; else the set is said: `tasks.depth`.",
        "model M { index a = {u, v}; index b = {v, w}; in x: float[B, 4]; c = [1, 2]; out y = x * c[v] }",
        "model M { index a = {u, v}; index b = {v, w}; in x: float[B, 4]; c = [1, 2]; out y = x * c[a.v] }",
    ),
    Entry(
        "A411",
        "an operator between families",
        "No operator lifts over families by itself: the loop is written.",
        "model M { in x: float[B, 4]; for t in {a, b} { h = relu(x) }; out y = h[*] + h[*] }",
        "model M { in x: float[B, 4]; for t in {a, b} { h = relu(x); g = h + h }; out y = g[*] }",
    ),
    Entry(
        "A412",
        "a member or key stands twice",
        "The members of an index set and the keys of a map are different.",
        "model M { index tasks = {a, b, a}; in x: float[B, 4]; for t in tasks { h = x }; out y = h[*] }",
        "model M { index tasks = {a, b}; in x: float[B, 4]; for t in tasks { h = x }; out y = h[*] }",
    ),
    Entry(
        "A413",
        "a sum of sets that overlap",
        "The parts of `a + b` are disjoint, so that each member says which part it is of.",
        "model M { index a = {u, v}; index b = a + {v, w}; in x: float[B, 4]; for t in b { h = x }; out y = h[*] }",
        "model M { index a = {u, v}; index b = a + {w}; in x: float[B, 4]; for t in b { h = x }; out y = h[*] }",
    ),
    Entry(
        "A414",
        "`where` out of place",
        "`sum(e for x in s where mask)` adds exact zero in rows that are not kept. It takes a tensor of bool and stands only in a `sum`.",
        "model M { in x: float[B, 4]; y = mean(x for i in 0..2 where x[:, 0] > 0); out z = y }",
        "model M { in x: float[B, 4]; y = sum(x for i in 0..2 where x[:, 0] > 0); out z = y }",
    ),
    Entry(
        "A415",
        "a state is read where it is empty",
        "In the plain forward a cache holds nothing; `append(cache, new, dim)` is `new` there. Only entries see what it held before.",
        "model M { in x: float[B, S, 4]; state k: float[B, P, 4] = empty; out y = relu(k) + x }",
        "model M { in x: float[B, S, 4]; state k: float[B, P, 4] = empty; k = append(k, x, dim = 1); out y = relu(k) }",
    ),
    Entry(
        "A416",
        "a carried name has no start",
        "What `carry` names is bound before the loop. A value that needs no start is not carried, but read as `r[i - 1]`.",
        "model M { in x: float[B, 4]; repeat i in 0..3 carry h { h = relu(x) }; out y = h }",
        "model M { in x: float[B, 4]; h = x; repeat i in 0..3 carry h { h = relu(h) }; out y = h }",
    ),
    Entry(
        "A417",
        "a place that can't be written",
        "Only members of families are written, `x[t] = ...`. Tensors are values: `where`, `concat` and their kin make new ones.",
        "model M { in x: float[B, 4]; x[0] = relu(x); out y = x }",
        "model M { in x: float[B, 4]; h[i in 0..2] = relu(x); out y = h[0] }",
    ),
    Entry(
        "A418",
        "a carried name is never rebound",
        "Names from outside can be read in the loop without `carry`.",
        "model M { in x: float[B, 4]; h = x; repeat i in 0..3 carry h, x { h = relu(h) + x }; out y = h }",
        "model M { in x: float[B, 4]; h = x; repeat i in 0..3 carry h { h = relu(h) + x }; out y = h }",
    ),
)
