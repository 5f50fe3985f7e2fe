"""Bodies of library blocks are elaborated once in a process, and a check that takes one over is as one that elaborated it."""

from __future__ import annotations

import gc
from bisect import bisect_left

import pytest

from archloom.compiler.check import check_text, describe, library
from archloom.compiler.inspector import GraphInspector
from archloom.compiler.sources import beside
from archloom.dsl.elaborate import kept
from archloom.dsl.elaborate.model import Elaboration, Request, elaborate
from archloom.dsl.limits import Limits
from archloom.dsl.source import Source

from .test_elaborate_copies import shape

SPEC = """import llama.CausalLM
block Own(dim: int) { in x: float[B, dim]; f = Linear(dim, dim); out y = f(x) }
model M {
  in ids: int[B, S] in 0..50
  lm = CausalLM(50, 16, 8, heads = 2, kv_heads = 1, ffn = 24)
  own = Own(50)
  out y = own(lm(ids)[:, -1])
  entry next { in token: int[B, 1] in 0..50; out logits = lm(token) }
}
"""


def made(text: str, **limits: int) -> Elaboration:
    return elaborate(Source("spec.arch", text), library(), GraphInspector(), beside, Request(limits=Limits(**limits)))


def test_a_library_block_is_elaborated_once_for_each_way_it_is_called(entered: list[str]) -> None:
    first = made(SPEC)
    assert sorted(n for n in entered if n == "CausalLM") == ["CausalLM"] * 2, "plain, and one token at a time"
    entered.clear()
    second = made(SPEC + "# another text")
    assert set(entered) == {"M", "Own"}
    assert second.files == first.files
    one, two = first.programs["M"], second.programs["M"]
    assert [*describe(one)] == [*describe(two)] and one.files == two.files
    for a, b in ((one.eval, two.eval), (one.entries["next"].eval, two.entries["next"].eval)):
        assert shape(a) == shape(b) and [i.key for i in a.inputs] == [i.key for i in b.inputs]


def test_other_arguments_and_own_blocks_make_other_bodies(entered: list[str]) -> None:
    made(SPEC)
    entered.clear()
    assert made(SPEC.replace("ffn = 24", "ffn = 32")).ok and "CausalLM" in entered


def test_a_library_block_that_is_given_an_own_one_is_elaborated_anew(entered: list[str]) -> None:
    text = """import moe.SoftMixture
block Own(dim: int) { in x: float[B, dim]; out y = relu(x) }
model M { in x: float[B, 8]; index e = 0..2; f = SoftMixture(8, e, Own); out y = f(x) }"""
    for word in ("relu", "tanh"):
        entered.clear()
        body = made(text.replace("relu", word)).programs["M"].eval
        assert {"SoftMixture", "Own"} < set(entered)
        (own,) = body.modules["f"].bodies[0].modules["expert.0"].bodies
        assert own.nodes[-1].target == word


@pytest.mark.parametrize("limit", ["steps", "operations"])
def test_what_is_taken_over_counts_as_if_it_were_elaborated(entered: list[str], limit: str) -> None:
    made(SPEC)
    fewest = bisect_left(range(4000), True, key=lambda most: made(SPEC, **{limit: most}).ok)
    for most in (fewest - 1, fewest):
        kept._kept.clear()  # pyright: ignore[reportPrivateUsage] - a process that has checked nothing
        assert made(SPEC, **{limit: most}).ok is (most == fewest)


def test_texts_that_were_checked_are_not_kept() -> None:
    wrong = SPEC.replace("Own(50)", "Own(49)").replace("{ in token", "{ in other")
    for number, text in enumerate((SPEC, wrong, SPEC + "assert y uses ids", SPEC)):
        check_text(Source(f"checked {number}", text))
    gc.collect()
    alive = [source.name for source in gc.get_objects() if type(source) is Source and source.name.startswith("checked")]
    assert alive == ["checked 2"], "the parser knows what it read last: the fourth text has no item that it had not read before"
