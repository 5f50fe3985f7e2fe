"""Golden files: reference tensors by the model's own paths, and every error."""

from __future__ import annotations

import pytest

from archloom.dsl.plans import GoldenValue

from .specs import FORKED, found, program, weights


def golden(clauses: str) -> str:
    return FORKED + weights('embed <- "e"') + f"\ngolden ref for Two {{\n{clauses}\n}}\n"


def test_a_golden_file_is_kept_as_data() -> None:
    clauses = """
  param dim = config.hidden // 2
  in ids <- "inputs.ids"
  in understand.labels <- "labels"
  value lm.trunk[i].y -> "layers.{i}.out"
  value h[t] -> "h.{t}"
  value lm.trunk[i].up -> "layers.{i}.up" for i in 0..1
  value understand.logits -> "logits"
  weights start
  tasks understand
  mode train
  host "reference.run"
"""
    plan = program(golden(clauses)).goldens["ref"]
    assert plan.parameters == (("dim", "config.hidden // 2"),)
    assert plan.inputs == (("ids", "inputs.ids"), ("understand.labels", "labels"))
    assert tuple((value.full_path, value.stored) for value in plan.values) == (
        ("lm.trunk.0.y", "layers.0.out"),
        ("lm.trunk.1.y", "layers.1.out"),
        ("h.understand", "h.understand"),
        ("h.generate", "h.generate"),
        ("lm.trunk.0.up", "layers.0.up"),
        ("understand.logits", "logits"),
    )
    assert (plan.weights, plan.tasks, plan.mode, plan.host) == (("start",), ("understand",), "train", "reference.run")


@pytest.mark.parametrize(
    ("clause", "code", "message", "help_"),
    [
        ("param dm = config.hidden", "A620", "`Two` has no parameter `dm`", "did you mean `dim`?"),
        ("param dim = 1\nparam dim = 2", "A624", "`param dim` is given twice", "keep one of them"),
        ('in id <- "x"', "A621", "`id` matches nothing: there is no `id`", "did you mean `ids`?"),
        ("in ids <- ids", "A606", "`ids` is no name of a stored tensor", 'write it in quotes: `"layers.{i}.attn_probs"`'),
        ('value lm.trunk[i].yy -> "x"', "A622", "`lm.trunk[i].yy` matches nothing: there is no `yy` in `trunk`", "did you mean `y`?"),
        ('value understand.logts -> "x"', "A622", "`understand.logts` matches nothing: there is no `logts`", "did you mean `logits`?"),
        ('value logits -> "x"', "A622", "`logits` is not one value", "name one of `understand.logits`, `generate.logits`"),
        ("weights strat", "A623", "there is no weights map `strat`", "did you mean `start`?"),
        ("tasks generte", "A623", "there is no task `generte`", "did you mean `generate`?"),
        ("from rf", "A623", "there is no earlier golden `rf`", "the model has no earlier golden"),
        ("mode trian", "A623", "there is no mode `trian`", "did you mean `train`?"),
        ('host "a"\nhost "b"', "A624", "`host` is given twice", "keep one of them"),
    ],
)
def test_errors_of_a_golden_file(clause: str, code: str, message: str, help_: str) -> None:
    assert found(golden(clause)) == [(code, message, help_)]


def test_a_golden_starts_from_an_earlier_one() -> None:
    """It reads the configuration and the weights as that one does, but for what it says itself."""
    first = 'weights start\nparam dim = config.hidden\nin ids <- "ids"\nhost "f"'
    text = golden(first) + "golden more for Two { from ref; param dim = config.width }\ngolden most for Two { from more }"
    plans = program(text).goldens
    assert [plans[name].parameters for name in ("more", "most")] == [(("dim", "config.width"),)] * 2
    assert (plans["most"].weights, plans["most"].inputs, plans["most"].host) == (("start",), (), None)
    late = "golden first for Two { from ref }\n" + golden(first).removeprefix(FORKED)
    assert found(FORKED + late) == [("A623", "there is no earlier golden `ref`", "the model has no earlier golden")]


def test_values_may_share_a_stored_tensor() -> None:
    values = program(golden('value lm.trunk[i].y -> "x"')).goldens["ref"].values
    assert values == (GoldenValue(("lm", "trunk.0"), "y", "x"), GoldenValue(("lm", "trunk.1"), "y", "x"))


def test_a_loops_variable_stands_for_a_task() -> None:
    plan = program(golden('value t.logits -> "{t}" for t in tasks if t != generate')).goldens["ref"]
    assert [(value.full_path, value.stored) for value in plan.values] == [("understand.logits", "understand")]
    assert found(golden('value t.logit -> "{t}" for t in tasks'))[0][:2] == (
        "A622",
        "`t.logit` matches nothing: there is no `logit`",
    )


def test_golden_files_have_different_names() -> None:
    text = FORKED + 'golden ref for Two { host "f" }\n' * 2
    assert found(text) == [("A624", "`golden ref` is declared twice", "rename one of them")]
