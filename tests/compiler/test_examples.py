"""Example inputs hold what their uses take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import archloom

TEXT = """arch 1

block Scored {
  in scores: float[B, K, H]
  in of: int[B, H]
  out y = cross_entropy(scores, of, dim = 1)
}

model M {
  in pred: float[B, C, H]
  in label: float[B, 1, H]
  in weight: float[B, 1, H]
  in rows: float[B]
  table = Embedding(7, 4)
  inner = Scored()
  out loss_like = inner(pred, int(label[:, 0])) * mean(weight)
  out read = table(int(rows))
}
"""


@pytest.mark.parametrize("optimize", ["none", "default", "inference"])
def test_examples_of_a_model_after_passes_are_the_same(optimize: str) -> None:
    model, plain = (archloom.compile(TEXT, optimize=each) for each in (optimize, "none"))
    assert all(torch.equal(value, plain.example_inputs()[name]) for name, value in model.example_inputs().items())


def test_floats_that_are_read_as_classes_or_rows_are_whole_numbers_in_their_range() -> None:
    model = archloom.compile(TEXT)
    given = model.example_inputs(B=64, C=5, H=3)
    assert given["label"].dtype == given["rows"].dtype == torch.float32
    assert set(given["label"].unique().tolist()) == set(range(5)) and set(given["rows"].unique().tolist()) == set(range(7))
    assert len(given["weight"].unique()) == 64 * 3
    assert model(**given).read.shape == (64, 4)


@pytest.mark.parametrize("seed", range(3))
def test_the_losses_of_dense_prediction_run_on_examples(seed: int) -> None:
    path = Path(archloom.__file__).parent / "examples" / "mtlosses.arch"
    model = archloom.compile(path)
    assert torch.isfinite(model(**model.example_inputs(seed=seed)).loss)
