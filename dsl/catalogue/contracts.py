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
        "`a ignores b` claims that no path leads from the value or module `b` to the value `a`. The help names the way by which it does.",
        _TWO + "  assert y ignores x\n}\n",
        _TWO + "  assert y ignores right\n  assert y ignores z\n}\n",
    ),
    Entry(
        "A704",
        "a value does not use what it should",
        "`a uses b` claims that `a` is computed from `b`, by whatever way.",
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
        "a claim about a slice",
        "Dependence is proved between whole values. `y[:, 0] ignores x[:, 1:]` holds for certain only where `y` ignores all of `x`; where it "
        "doesn't, the claim would need a test of gradients, which is not available yet.",
        _TWO + "  assert y[:, 0] ignores x[:, 1:]\n}\n",
        _TWO + "  assert y[:, 0] ignores z[:, 1:]\n}\n",
    ),
)
