"""`batch_families` says of every family of maps that it leaves alone what keeps them apart."""

from __future__ import annotations

import pytest

from archloom.compiler.api import load_program
from archloom.compiler.optimize.manager import optimize

EXPERTS = """arch 1
block Expert(dim: int, width: int) {{
  in x: float[B, dim]
  up, down = Linear(dim, width), Linear(width, dim)
  out y = down(relu(up(x)))
}}
model M(dim: int = {dim}, width: list[int] = {width}) {{
  in x: float[B, dim]
  for e in 0..{count} {{ ex = Expert(dim, width[e]) }}
  out y = sum(ex[e](x) for e in 0..{count})
}}
"""
CONVS = """arch 1
model M(stride: list[int] = {stride}, padding_mode: str = "{mode}") {{
  in x: float[B, 4, {size}, {size}]
  for t in 0..3 {{ conv = Conv2d(4, 4, 3, stride[t], padding = 1, padding_mode = padding_mode) }}
  for t in 0..3 {{ out y = conv[t](x) }}
}}
"""
CHAIN = "arch 1\nmodel M() {\n  in x: float[B, 4]\n  repeat i in 0..3 carry x {\n    f = Linear(4, 4)\n    x = f(x)\n  }\n  out y = x\n}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (EXPERTS.format(dim=8, width="[4, 6, 9, 9]", count=4), ["the 4 of `ex.up` stay apart: they differ in `dout`", "the 4 of `ex.down`"]),
        (
            EXPERTS.format(dim=600, width=[600] * 4, count=4),
            ["the 4 of `ex` stay apart: no map in them is of at most `most = 2000000` multiply-adds"],
        ),
        (EXPERTS.format(dim=8, width=[4] * 8, count=8), []),
        (
            EXPERTS.format(dim=8, width=[4] * 4, count=4),
            [f"the 4 of `ex.{own}` stay apart: batched they would spare 9 calls, in training less than" for own in ("up", "down")],
        ),
        (CONVS.format(stride=[1, 2, 4], mode="zeros", size=4), ["the 3 of `conv` stay apart: they differ in `stride`"]),
        (CONVS.format(stride=[1, 1, 1], mode="reflect", size=4), ["the 3 of `conv` stay apart: a `Conv2d` of several weights is no operation"]),
        (
            CONVS.format(stride=[1, 1, 1], mode="zeros", size=64),
            ["the 3 of `conv` stay apart: one takes 9,437,184 multiply-adds, of `most = 2000000`"],
        ),
        (CHAIN, []),
    ],
)
def test_why_a_family_stays_apart(text: str, says: list[str]) -> None:
    step = optimize(load_program(text), "batch_families").steps[0]
    assert bool(step.fired) == (not says and text is not CHAIN)
    assert len(step.declined) == len(says)
    assert all(event.what.startswith(said) for event, said in zip(step.declined, says, strict=True))
