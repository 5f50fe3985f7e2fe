"""Gates, mixtures and chains of tags against their equations written out in torch."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

import archloom

from .reference import close, randomise

F64 = torch.float64


def made(text: str) -> Any:
    """Compile a model in float64 with random weights."""
    model = archloom.compile(text, dtype=F64).eval()
    randomise(model)
    return model


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("renormalise", [True, False])
def test_a_token_sees_the_experts_of_its_gate_alone(renormalise: bool) -> None:
    model = made(
        "import moe.SparseMixture\nimport ffn.SwiGLU\nmodel M { in x: float[B, S, 8]; index who = {a, b, c, d}\n"
        f"part = SparseMixture(8, who, k = 2, Expert = SwiGLU(hidden = 6, ...), renormalise = {str(renormalise).lower()}, balance = 1.0, z = 1.0)\n"
        "out y = part(x); out even = sum(losses(part.even)[*]); out calm = sum(losses(part.calm)[*]) }"
    )
    x, part = vectors(3, 5, 8), model.part
    likely = torch.softmax(part.gate.linear(x), dim=-1)
    best = likely.topk(2, dim=-1)
    weight = best.values / best.values.sum(-1, keepdim=True) if renormalise else best.values
    wanted = torch.zeros_like(x)
    for row, place in itertools.product(range(3), range(5)):
        for w, e in zip(weight[row, place], best.indices[row, place].tolist(), strict=True):
            wanted[row, place] += w * part.expert.get_submodule("abcd"[e])(x[row, place])
    result = model(x=x)
    close(result.y, wanted, 1e-12, "the mixture")
    share = torch.zeros(15, 4, dtype=F64).scatter(1, best.indices.flatten(0, 1), 1.0).mean(0)
    close(result.even, 4 * (share * likely.flatten(0, 1).mean(0)).sum(), 1e-12, "the balance")
    close(result.calm, part.gate.linear(x).logsumexp(-1).square().mean(), 1e-12, "the size of the scores")


def test_noise_is_drawn_in_training_only() -> None:
    model = made("import moe.TopKGate\nmodel M { in x: float[B, 8]; part = TopKGate(8, {a, b, c}, k = 1, noise = learned); out p = part(x).p }")
    x = vectors(3, 8)
    assert torch.equal(model(x=x).p, model(x=x).p)
    model.train()
    assert not torch.equal(model(x=x).p, model(x=x).p)


def test_each_task_has_a_gate_over_shared_experts() -> None:
    model = made(
        "import moe.MultiGate\nimport ffn.SwiGLU\nmodel M { in x: float[B, 8]; part = MultiGate({t, u}, {a, b}, 8, SwiGLU(hidden = 6, ...))\n"
        "y = part(x); out t = y[t]; out u = y[u] }"
    )
    x, part = vectors(3, 8), model.part
    said = torch.stack([part.expert.get_submodule(e)(x) for e in "ab"])
    for task in "tu":
        gate = torch.softmax(part.gate.get_submodule(task).linear(x), dim=-1)
        close(model(x=x)[task], torch.einsum("be,ebd->bd", gate, said), 1e-12, task)


def test_a_stitch_starts_as_mostly_its_own() -> None:
    model: Any = archloom.compile(
        "import moe.CrossStitch\nmodel M { in x[t in {t, u, v}]: float[B, 8]; part = CrossStitch({t, u, v}); y = part(x[*]); out t = y[t] }",
        dtype=F64,
    )
    x = {name: vectors(3, 8, seed=i) for i, name in enumerate("tuv")}
    close(model(x=x).t, 0.9 * x["t"] + 0.05 * x["u"] + 0.05 * x["v"], 1e-12, "the stitch")


@pytest.mark.parametrize("lengths", [None, [5, 1, 3]], ids=["whole", "padded"])
def test_a_field_normalises_over_all_paths(lengths: list[int] | None) -> None:
    masked = lengths is not None
    model = made(
        f"import crf.CRF\nmodel M {{ in scores: float[B, S, 3]; in labels: int[B, S] in 0..3{'; in mask: bool[B, S]' if masked else ''}\n"
        f"part = CRF(3); r = part(scores, labels{', mask' if masked else ''}); out path = r.path; out nll = r.nll }}"
    )
    scores, labels = vectors(3, 5, 3), torch.randint(0, 3, (3, 5), generator=torch.Generator().manual_seed(1))
    given = {"mask": torch.arange(5) < torch.tensor(lengths)[:, None]} if lengths is not None else {}
    result, part, likelihood = model(scores=scores, labels=labels, **given), model.part, []
    for row, length in enumerate(lengths or [5, 5, 5]):

        def score(path: Any, row: int = row) -> Tensor:
            ends = part.start_transitions[path[0]] + part.stop_transitions[path[-1]]
            return ends + sum(scores[row, s, t] for s, t in enumerate(path)) + sum(part.transitions[a, b] for a, b in itertools.pairwise(path))

        paths = list(itertools.product(range(3), repeat=length))
        every = torch.stack([score(path) for path in paths])
        likelihood.append(every.logsumexp(0) - score(labels[row, :length].tolist()))
        assert result.path[row].tolist() == [*paths[int(every.argmax())], *[0] * (5 - length)]
    close(result.nll, torch.stack(likelihood).mean(), 1e-12, "the likelihood")
