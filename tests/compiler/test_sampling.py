"""Sampling by entries: choices against those of transformers, positions and codes against loops without caches, guidance."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessorList
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

import archloom
from archloom import Choice, sample

TEXT = """
import qwen2.CausalLM
model Text(vocab: int = 11) {
  in ids: int[B, S] in 0..vocab
  in mask: bool[B, S]
  lm = CausalLM(vocab, 8, depth = 2, heads = 2, kv_heads = 1, ffn = 12)
  scores = lm(ids, mask)
  out scores
  entry read { out next = scores[:, -1] }
  entry tell { in id: int[M, 1] in 0..vocab; out next = lm(id, full([M, 1], true))[:, -1] }
}
"""
GRID = """
import encoder.PreNormLayer
import rq.DepthHead
model Grid(codes: int = 7, depth: int = 3) {
  in seen: float[B, S, 8]
  layer = PreNormLayer(8, heads = 2, ffn = 12, causal = true)
  table = Parameter([codes, 8])
  head = DepthHead(8, codes, depth, wide = 8, heads = 2, blocks = 1)
  out y = layer(seen)
  entry prompt { out state = y[:, -1:] }
  entry place { in drawn: int[M, 1, depth] in 0..codes; out state = layer(sum(take(table, drawn), dim = 2)) }
  entry score {
    in state: float[M, L, 8]
    in drawn: int[M, L, depth] in 0..codes
    out scores = head(state, cumsum(take(table, drawn), dim = 2)[:, :, :-1])
  }
}
"""


@pytest.mark.parametrize(
    "choice", [{}, {"temperature": 0.3}, {"top_k": 5}, {"top_p": 0.6}, {"temperature": 2.5, "top_k": 9, "top_p": 0.8}, {"top_k": 50}]
)
def test_choices_are_those_of_transformers(choice: dict[str, Any]) -> None:
    scores = 3 * torch.randn(40, 17, generator=torch.Generator().manual_seed(0))
    warpers: list[Any] = []
    for name, warper in (("temperature", TemperatureLogitsWarper), ("top_k", TopKLogitsWarper), ("top_p", TopPLogitsWarper)):
        warpers += [warper(choice[name])] if name in choice else []
    process: Any = LogitsProcessorList(warpers)
    wanted = process(torch.zeros(40, 1, dtype=torch.int64), scores).softmax(-1)
    made = Choice(**choice)
    torch.testing.assert_close(made.probabilities(scores), wanted, rtol=1e-5, atol=1e-7)
    drawn = made(scores[:, None].expand(-1, 200, -1))
    assert drawn.shape == (40, 200) and bool((wanted.gather(1, drawn) > 0).all())


def test_draws_follow_the_probabilities_and_the_generator() -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0]]).expand(20000, -1)
    first, again = (Choice(generator=torch.Generator().manual_seed(3))(scores) for _ in range(2))
    assert torch.equal(first, again)
    shares = torch.bincount(first, minlength=3) / len(first)
    torch.testing.assert_close(shares, scores[0].softmax(-1), rtol=0, atol=0.015)
    assert Choice(temperature=0)(scores).unique().tolist() == [2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": -1}, "the temperature is -1: it is 0, for the likeliest, or more"),
        ({"top_k": 0}, "top_k is 0: it is at least 1"),
        ({"top_p": 1.5}, "top_p is 1.5: it is a share, above 0 and at most 1"),
    ],
)
def test_choices_that_mean_nothing(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Choice(**wrong)


def scaled(text: str) -> Any:
    """Return a model in float64 whose choices are far apart."""
    torch.manual_seed(0)
    model: Any = archloom.compile(text, dtype="float64").eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.7)
    return model


@pytest.mark.parametrize("temperature", [0, 1])
def test_tokens_are_those_of_a_loop_without_caches(temperature: float) -> None:
    """Prompts of two lengths, padded on the left; draws come in the same order from equal generators."""
    model = scaled(TEXT)
    ids = torch.tensor([[1, 2, 3, 4], [0, 0, 5, 6]])
    mask = ids > 0
    ours, theirs = (Choice(temperature=temperature, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    found = list(islice(sample(model.entry("read"), model.entry("tell"), {"ids": ids, "mask": mask}, choose=ours), 6))
    with torch.no_grad():
        for position in found:
            scores = model(ids=ids, mask=mask).scores[:, -1]
            torch.testing.assert_close(position.scores[:, 0], scores, rtol=1e-10, atol=1e-10)
            drawn = theirs(scores)
            assert torch.equal(position.codes[:, 0], drawn)
            ids, mask = torch.cat([ids, drawn[:, None]], 1), torch.cat([mask, torch.ones(2, 1, dtype=torch.bool)], 1)


@pytest.mark.parametrize("guidance", [None, 1.0, 2.5])
def test_codes_of_each_position_are_drawn_one_after_the_other(guidance: float | None) -> None:
    model = scaled(GRID)
    seen = torch.randn(4, 3, 8, dtype=torch.float64)
    first, step, score = (model.entry(name) for name in ("prompt", "place", "score"))
    choose = Choice(temperature=0)
    found = list(islice(sample(first, step, {"seen": seen}, choose=choose, score=score, depth=3, guidance=guidance), 3))
    with torch.no_grad():
        for position in found:
            state, rows = model(seen=seen).y[:, -1:], torch.randn(4, 1, 3, 8, dtype=torch.float64)
            torch.testing.assert_close(position.result["state"], state, rtol=1e-10, atol=1e-10)
            for d in range(3):
                scores: Tensor = model.head(state, rows[:, :, :-1].cumsum(2))[:, 0, d]  # whatever stands at later codes
                if guidance is not None:
                    scores = scores[2:] + guidance * (scores[:2] - scores[2:])
                torch.testing.assert_close(position.scores[:, d], scores, rtol=1e-10, atol=1e-10)
                code = scores.argmax(-1)
                code = code if guidance is None else code.repeat(2)
                assert torch.equal(position.codes[:, d], code)
                rows[:, 0, d] = model.table[code]
            seen = torch.cat([seen, rows.sum(2)], 1)


def test_guidance_needs_pairs() -> None:
    model = scaled(GRID)
    first, step, score = (model.entry(name) for name in ("prompt", "place", "score"))
    found = sample(first, step, {"seen": torch.zeros(3, 1, 8, dtype=torch.float64)}, score=score, depth=3, guidance=2.0)
    with pytest.raises(ValueError, match="guidance needs pairs of rows, and there are 3"):
        next(found)


def test_emitted_models_are_sampled_too() -> None:
    model = scaled(TEXT)
    emitted: Any = archloom.compile(TEXT, dtype="float64", source=True)
    emitted.load_state_dict(model.state_dict())
    given = {"ids": torch.tensor([[1, 2]]), "mask": torch.ones(1, 2, dtype=torch.bool)}
    one, other = (
        [int(position.codes) for position in islice(sample(*entries, given, choose=Choice(temperature=0)), 5)]
        for entries in ((model.entry("read"), model.entry("tell")), (emitted.read, emitted.tell))
    )
    assert one == other and not any(value.requires_grad for value in [next(sample(emitted.read, emitted.tell, given)).scores])
