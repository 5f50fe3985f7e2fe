"""A7xx, contracts."""

from __future__ import annotations

from typing import Final

from .entry import Entry

_TWO: Final = (
    "model M {\n  in x: float[B, 4]\n  in z: float[B, 4]\n  left, right = Linear(4, 2), Linear(4, 2)\n  out y = left(x)\n  out w = right(z)\n"
)

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A701",
        "a requirement that isn't met",
        "`require` states what a caller must ensure: a static fact is checked at once, one about sizes becomes a fact to reckon with, and is "
        "checked at the border when the model runs.",
        "model M(dim: int = 6, heads: int = 4) { require dim % heads == 0; in x: float[B, dim]; out y = x + 1.0 }",
        "model M(dim: int = 8, heads: int = 4) { require dim % heads == 0; in x: float[B, dim]; out y = x + 1.0 }",
    ),
    Entry(
        "A702",
        "an asserted fact that doesn't hold",
        "`assert` states what follows from the rest; counts such as `params(head) == 10` are checked on the whole body.",
        "model M { in x: float[B, 4]; head = Linear(4, 2); out y = head(x); assert params(head) == 8 }",
        "model M { in x: float[B, 4]; head = Linear(4, 2); out y = head(x); assert params(head) == 10 }",
    ),
    Entry(
        "A703",
        "a value does not ignore what it should",
        "`a ignores b` claims that no path leads from the value or module `b` to the value `a`. The help names the way by which it does, and "
        "labels show the lines where `b` comes in. A claim about parts, `y[:, 0] ignores x[:, 1:]`, that paths leave open is tested on values by "
        "`archloom check --gradients`: the labels then name an entry of each side.",
        _TWO + "  assert y ignores x\n}\n",
        _TWO + "  assert y ignores right\n  assert y ignores z\n}\n",
    ),
    Entry(
        "A704",
        "a value does not use what it should",
        "`a uses b` claims that `a` is computed from `b`, by whatever way. A claim about parts is tested on values where a path leads from one to "
        "the other: some derivative must be other than 0, or some change of `b` must change `a`.",
        _TWO + "  assert y uses right\n}\n",
        _TWO + "  assert y uses left\n  assert w uses z\n}\n",
    ),
    Entry(
        "A705",
        "nothing to make a claim about",
        "The left side of `ignores` and `uses` is a value; the right side a value, an input, or a path of modules and parameters.",
        _TWO + "  assert left ignores z\n}\n",
        _TWO + "  assert y ignores z\n}\n",
    ),
    Entry(
        "A706",
        "a claim that can't be tested",
        "A claim about parts of tensors is tested on values, so both parts must have entries at some size, hold numbers, and the other side must be "
        "able to change: a module has parameters, a value differs with the inputs. Claim it of the whole, or of another value.",
        _TWO.replace("left(x)", "left(drop(x))").replace("left, right", "drop = Dropout(0.1)\n  left, right") + "  assert y[:, 0] ignores drop\n}\n",
        _TWO + "  assert y[:, 0] ignores left.weight[1:]\n  assert y[:, 0] ignores z[:, 1:]\n}\n",
    ),
)
