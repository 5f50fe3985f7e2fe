"""A3xx, types and shapes."""

from __future__ import annotations

from typing import Final

from .entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A301",
        "sizes differ",
        "Two axes must be the same and are not. Two names of sizes are two sizes unless a `require` equates them; an index set is the "
        "same as itself alone. `fails at S = 2, T = 3` are sizes at which the model would break.",
        "model M { in x: float[B, S]; in z: float[B, T]; out y = x + z }",
        "model M { in x: float[B, S]; in z: float[B, S]; out y = x + z }",
    ),
    Entry(
        "A302",
        "a size that can't be divided",
        "An axis is cut into equal parts, and its size is never a multiple of their number. Where it is at some sizes, a condition is "
        "kept instead, and `require H % 16 == 0` states it.",
        'model M { in x: float[B, 10]; out y = rearrange(x, "b (h d) -> b h d", h = 4) }',
        'model M { in x: float[B, 12]; out y = rearrange(x, "b (h d) -> b h d", h = 4) }',
    ),
    Entry(
        "A303",
        "a size that is too small",
        "A kernel, a slice or a choice needs a longer axis, or a computed size is negative.",
        "model M { in x: float[B, 4]; out y = x[:, :6] }",
        "model M { in x: float[B, 8]; out y = x[:, :6] }",
    ),
    Entry(
        "A304",
        "no such axis",
        "Axes count from 0, or from the end from -1; `dim` names one that the tensor doesn't have.",
        "model M { in x: float[B, 4]; out y = softmax(x, dim = 2) }",
        "model M { in x: float[B, 4]; out y = softmax(x, dim = 1) }",
    ),
    Entry(
        "A305",
        "the wrong dtype",
        "An operation takes floats, ints or bools; nothing is converted by itself.",
        "model M { in x: int[B, 4]; out y = softmax(x, dim = -1) }",
        "model M { in x: int[B, 4]; out y = softmax(float(x), dim = -1) }",
    ),
    Entry(
        "A306",
        "a type that doesn't fit",
        "A tensor has another number of axes than the block's input declares, or what stands in a type is no dimension.",
        "block F { in x: float[B, C, H, W]; out y = relu(x) }\nmodel M { in x: float[B, 4]; f = F(); out y = f(x) }",
        "block F { in x: float[B, C, H, W]; out y = relu(x) }\nmodel M { in x: float[B, 3, 8, 8]; f = F(); out y = f(x) }",
    ),
    Entry(
        "A307",
        "several new sizes in one dimension",
        "`2 * N` introduces `N`; of `N * K` no one could tell which is which. An earlier input, or an axis of its own, must name one.",
        "model M { in x: float[B, N * K]; out y = relu(x) }",
        "model M { in x: float[B, N]; out y = relu(x) }",
    ),
    Entry(
        "A308",
        "one module, two sets of parameters",
        "A module applied twice has one set of parameters; here the sizes of the two calls ask for different ones.",
        "block F { in x: float[B, C]; w = Parameter([C], init = zeros); out y = x * w }\n"
        "model M { in x: float[B, 4]; in z: float[B, 5]; f = F(); out y = f(x); out u = f(z) }",
        "block F { in x: float[B, C]; w = Parameter([C], init = zeros); out y = x * w }\n"
        "model M { in x: float[B, 4]; in z: float[B, 5]; f = F(); g = F(); out y = f(x); out u = g(z) }",
    ),
    Entry(
        "A309",
        "conditions that exclude each other",
        "Each of them is met at some sizes, and no sizes meet all: the model runs nowhere.",
        "block Late(n: int) { in x: float[B, S]; require S > n; out y = x }\n"
        "model M { in x: float[B, S]; late = Late(4); places = Parameter([4]); out y = late(x) + places[:S] }",
        "block Late(n: int) { in x: float[B, S]; require S > n; out y = x }\n"
        "model M { in x: float[B, S]; require S > 4 and S <= 8; late = Late(4); places = Parameter([8]); out y = late(x) + places[:S] }",
    ),
    Entry(
        "A321",
        "dtypes mixed",
        "The operands of one operation have one dtype; a number of the text takes that of the tensors. Convert one of them by its word.",
        "model M { in x: float[B, 4]; in n: int[B, 4]; out y = x * n }",
        "model M { in x: float[B, 4]; in n: int[B, 4]; out y = x * float(n) }",
    ),
    Entry(
        "A322",
        "the wrong number of axes",
        "The operation takes tensors of a certain form, and this one has too few or too many axes for it, or axes where none may be.",
        "model M { in x: float[B, 4]; conv = Conv2d(4, 8, 3); out y = conv(x) }",
        "model M { in x: float[B, 4, 16, 16]; conv = Conv2d(4, 8, 3); out y = conv(x) }",
    ),
    Entry(
        "A323",
        "a pattern that can't be read",
        "`einsum` and `rearrange` take einops patterns: names of axes, groups in parentheses, `->`; each name's size must follow.",
        'model M { in x: float[B, 12]; out y = rearrange(x, "b (h d) -> b h d") }',
        'model M { in x: float[B, 12]; out y = rearrange(x, "b (h d) -> b h d", h = 4) }',
    ),
    Entry(
        "A324",
        "sizes or axes that make no sense together",
        "The arguments that say which axes and which sizes contradict each other: an axis named twice, two sizes of -1, a list of the wrong length.",
        "model M { in x: float[B, 12]; out y = reshape(x, [-1, -1, 3]) }",
        "model M { in x: float[B, 12]; out y = reshape(x, [B, -1, 3]) }",
    ),
    Entry(
        "A325",
        "a class axis that is not clear",
        "The class axis of a loss is the one that the target lacks; if two would do, `dim` must say which.",
        "model M { in x: float[B, 4, 4]; target t: int[B, 4]; loss l = cross_entropy(x, t) }",
        "model M { in x: float[B, 4, 4]; target t: int[B, 4]; loss l = cross_entropy(x, t, dim = -1) }",
    ),
    Entry(
        "A326",
        "a number without a place",
        "What an input declares of its numbers is followed to the tables and losses that it reaches: each number needs a row or a class there.",
        "model M { in ids: int[B, S] as tokens(10); emb = Embedding(9, 4); out y = emb(ids) }",
        "model M { in ids: int[B, S] as tokens(9); emb = Embedding(9, 4); out y = emb(ids) }",
    ),
    Entry(
        "A327",
        "no gradient can be taken here",
        "PyTorch can't differentiate these losses by the weights they are given, and fails when it should. Where a value is computed from parameters "
        "that move, `detach` says that no gradient is meant.",
        "model M { in x: float[B, 4]; target t: int[B]; w = Parameter([4], init = ones); head = Linear(4, 4); "
        "loss l = cross_entropy(head(x), t, weight = w) }",
        "model M { in x: float[B, 4]; target t: int[B]; w = Parameter([4], init = ones); head = Linear(4, 4); "
        "loss l = cross_entropy(head(x) * w, t) }",
    ),
)
