"""What the sketches say of stages and of weights from another model, run as a user would run it."""

from __future__ import annotations

import torch

import archloom

from .sketch_sizes import FOLDER, TINY


def test_filter_teaches_itself_with_the_logits_of_its_first_stage() -> None:
    torch.manual_seed(0)
    model = archloom.compile(FOLDER / "FILTER.arch", TINY["FILTER"].params)
    one = model.stage("one")
    batch = model.example_inputs(B=3)
    soft = one.emitted(**batch)
    assert torch.equal(soft.soft, model.eval()(**batch).classify.logits)
    model.stage("two")
    model.train()
    found = model(**batch, **soft)
    assert set(found.losses) == {"classify.hard", "classify.taught", "classify.second"}
    found.loss.backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())


def test_the_encoders_of_trans_encoder_label_for_each_other() -> None:
    torch.manual_seed(0)
    model = archloom.compile(FOLDER / "trans_encoder.arch", TINY["trans_encoder"].params)
    label = model.stage("label")
    pairs = model.example_inputs(B=4)
    guess = label.emitted(**pairs)
    scores = model.eval()(**pairs).bi.score
    assert torch.allclose(guess.guess, torch.stack(list(scores.values())).mean(dim=0))
    model.stage("cross")
    batch = {name: value for name, value in model.example_inputs(B=4).items() if name != "guess"}
    found = model(**batch, **guess)
    assert set(found.losses) == {"cross.main.a", "cross.main.b"}


def test_a_chain_grows_from_a_trained_model_and_keeps_its_logits() -> None:
    text = (FOLDER / "CoLM.arch").read_text()
    whole = {"ratio": [2, 2], "dim": 16, "depth": 2, "kv_heads": 2, "ffn": 16, "vocab": 11}
    first = {"ratio": [2], "dim": 8, "depth": 2, "kv_heads": 1, "ffn": 8, "vocab": 11}
    torch.manual_seed(0)
    small = archloom.compile(text[: text.index("# chain expansion")], first).eval()
    grown = archloom.compile(text, whole, weights={"grow": small}).eval()
    batch = small.example_inputs(B=2, S=5)
    before, after = small(**batch).language.logits, grown(**batch).language.logits
    assert torch.allclose(before[0], after[0], atol=1e-6)
    assert torch.allclose(after[0], after[1], atol=1e-6)  # the new columns of the head are zero
