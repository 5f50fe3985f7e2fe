"""A9xx, reserved and refused constructs."""

from __future__ import annotations

from typing import Final

from .entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A901",
        "reserved, not available yet",
        "The grammar keeps the place of `with`, `transform`, `const` inputs, `choice`, `scan`, `grad(loss, value)` and stages made by a loop. "
        "Until they come, write the changed model out, repeat stages by hand, or do the step in Python. "
        "A `transform` that nothing uses is a warning.",
        "model M { in x: float[B, 4]; choice width in {1, 2}; out y = x }",
        "model M(width: int = 1) { in x: float[B, 4]; out y = x * width }",
    ),
    Entry(
        "A902",
        "parameters of type `weights` are reserved",
        "Arithmetic on state dicts comes with `transform`.",
        "block T(base: weights) { in x: float[B]; z = base; out y = x }\nmodel N { in x: float[B, 4]; t = T(1); out y = t(x[:, 0]) }",
        "model M { in x: float[B, 4]; out y = x }",
    ),
    Entry(
        "A905",
        "a block contains itself",
        "Elaboration ends because nothing is recursive; depth is a `repeat` over an index set.",
        "block A { in x: float[B, 4]; a = A(); out y = a(x) }\nmodel M { in x: float[B, 4]; a = A(); out y = a(x) }",
        "block A { in x: float[B, 4]; out y = relu(x) }\n"
        "model M { in x: float[B, 4]; h = x; repeat i in 0..3 carry h { a = A(); h = a(h) }; out y = h }",
    ),
)
