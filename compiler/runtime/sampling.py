"""Sampling: loops over positions, and over the codes of each, that call a model's entries with their caches.

The loops are the caller's side of an `entry`: they hold no parameters, choose from scores, and hand states on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...dsl.record import record

Step = Callable[..., Mapping[str, Any]]
"""An entry, or a function of an emitted module: its first output comes first, its caches are in `states`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How a number is drawn from scores: divided by the temperature, among the `top_k` likeliest, then among the fewest that hold `top_p`.

    At temperature 0 the likeliest is taken.  Draws come from `generator`, on the scores' device, or from torch's own.  Raises ValueError
    for a temperature below 0, a `top_k` below 1, and a `top_p` that is no share.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if self.temperature < 0:
            raise ValueError(f"the temperature is {self.temperature}: it is 0, for the likeliest, or more")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}: it is at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: it is a share, above 0 and at most 1")

    def __call__(self, scores: Tensor) -> Tensor:
        """Draw an index from each row of scores: float[..., K] -> int64[...]."""
        if self.temperature == 0:
            return scores.argmax(-1)
        likely = self.probabilities(scores).flatten(0, -2)
        return torch.multinomial(likely, 1, generator=self.generator).reshape(scores.shape[:-1])

    def probabilities(self, scores: Tensor) -> Tensor:
        """Return what is drawn from, float[..., K], for a temperature above 0: rows that sum to 1, zero where nothing is drawn."""
        scores = scores.float() / self.temperature
        if self.top_k is not None and self.top_k < scores.shape[-1]:
            least = scores.topk(self.top_k, dim=-1).values[..., -1:]
            scores = scores.masked_fill(scores < least, float("-inf"))
        likely = scores.softmax(-1)
        if self.top_p is None:
            return likely
        ordered, order = likely.sort(dim=-1, descending=True)
        kept = ordered.cumsum(-1) - ordered < self.top_p  # the one that reaches the share is kept
        likely = likely * torch.zeros_like(kept).scatter(-1, order, kept)
        return likely / likely.sum(-1, keepdim=True)


@record
class Sampled:
    """One position: the codes drawn, int64[B, D], the scores they were drawn from, float[B, D, K], and what the entry gave before them."""

    codes: Tensor
    scores: Tensor
    result: Mapping[str, Any]


@torch.no_grad()
def sample(
    first: Step,
    step: Step,
    given: Mapping[str, Any],
    *,
    choose: Callable[[Tensor], Tensor] = Choice(),
    score: Step | None = None,
    depth: int = 1,
    guidance: float | None = None,
) -> Iterator[Sampled]:
    """Yield position after position without end; take as many as you want, as `itertools.islice(sample(...), 20)`.

    `first(**given)` reads what is known, `step(codes, states=...)` the codes [B, 1, D] of one position (tokens [B, 1] without `score`).
    The first output of both is what the next position is drawn from: its scores, float[B, K], or with `score` its hidden state,
    float[B, 1, dim].  Then `score(state, codes)` gives scores float[B, 1, D, K] for all `depth` codes of the position, those of code d
    from the codes before d alone; it is called once for each, with zeros for what isn't drawn yet (RQ-Transformer, arXiv 2203.01941).

    With `guidance` the rows are pairs, first all conditional ones, then the same without their condition: both get the code drawn from
    `u + guidance * (c - u)`, and `scores` has half the rows (arXiv 2207.12598).
    """
    result = first(**given)
    while True:
        state = next(iter(result.values()))
        codes, scores = _position(state, score, depth, choose, guidance)
        yield Sampled(codes, scores, result)
        result = step(codes if score is None else codes[:, None], states=result["states"])


def _position(state: Tensor, score: Step | None, depth: int, choose: Callable[[Tensor], Tensor], guidance: float | None) -> tuple[Tensor, Tensor]:
    """Draw the codes of one position, each after those before it."""
    codes = torch.zeros(len(state), 1, depth, dtype=torch.int64, device=state.device)
    seen: list[Tensor] = []
    for place in range(1 if score is None else depth):
        scores = state if score is None else next(iter(score(state, codes).values()))[:, 0, place]
        if guidance is not None:
            scores = guided(scores, guidance)
        drawn = choose(scores)
        codes[:, 0, place] = drawn if guidance is None else torch.cat([drawn, drawn])
        seen.append(scores)
    return codes[:, 0], torch.stack(seen, dim=1)


def guided(scores: Tensor, guidance: float) -> Tensor:
    """Return scores moved away from those without the condition, `u + guidance * (c - u)`: float[2 B, ...] -> float[B, ...]."""
    if len(scores) % 2:
        raise ValueError(f"guidance needs pairs of rows, and there are {len(scores)}")
    conditional, unconditional = scores.chunk(2)
    return unconditional + guidance * (conditional - unconditional)
