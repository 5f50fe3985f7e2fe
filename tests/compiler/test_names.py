"""Names that modules can't bear: the language refuses every one that torch, or the compiled model, uses for itself."""

from __future__ import annotations

import copy

import pytest
import torch

import archloom
from archloom.compiler.lower.block import Block, Family
from archloom.compiler.lower.names import identifier, imported
from archloom.compiler.runtime.model import Model
from archloom.dsl.elaborate.births import MODEL_NAMES, UNBEARABLE


def public(*classes: type) -> set[str]:
    return {name for class_ in classes for name in dir(class_) if not name.startswith("_")}


def test_the_language_refuses_what_a_block_uses() -> None:
    assert public(Block, Family) | {"training", "meta", "shape_env"} <= UNBEARABLE


def test_the_language_refuses_what_a_model_uses() -> None:
    assert public(Model) - UNBEARABLE <= MODEL_NAMES


@pytest.mark.parametrize("name", sorted(MODEL_NAMES))
def test_a_model_says_so_and_a_block_may(name: str) -> None:
    text = f"block A {{ in x: float[B, 2]; {name} = Linear(2, 2); out y = {name}(x) }}\nmodel M {{ in x: float[B, 2]; a = A(); out y = a(x) }}\n"
    assert archloom.compile(text, device="meta").state_dict().keys() == {f"a.{name}.weight", f"a.{name}.bias"}
    with pytest.raises(archloom.Failure, match="A111"):
        archloom.compile(f"model M {{ in x: float[B, 2]; {name} = Linear(2, 2); out y = {name}(x) }}\n")


def test_a_module_may_be_called_self_or_a_keyword() -> None:
    text = "block A { in x: float[B, 2]; self = Linear(2, 2); pass = Linear(2, 2); out y = pass(self(x)) }\n"
    text += "model M { in x: float[B, 2]; lambda = A(); out y = lambda(x) }\n"
    model = archloom.compile(text)
    assert set(model.state_dict()) == {f"lambda.{name}.{kind}" for name in ("self", "pass") for kind in ("weight", "bias")}
    x = torch.randn(3, 2)
    block = getattr(model, "lambda")
    assert torch.equal(model(x).y, getattr(block, "pass")(block.self(x)))
    assert torch.equal(copy.deepcopy(model).graph_module()(x), model(x).y)


def test_members_may_be_pythons_own_words() -> None:
    text = """
    model M {
      index kinds = {global, local, in_}
      in x: float[B, 2]
      for k in kinds { scale = Parameter([2], init = ones); head = Linear(2, 2); out y = head(x) * scale }
    }
    """
    model = archloom.compile(text)
    x = torch.randn(3, 2)
    assert torch.equal(model(x).y["global"], model.head["global"](x))


def test_dotted_names_are_found_and_flat_ones_become_identifiers() -> None:
    assert imported("torch.nn.functional.relu").__name__ == "relu"
    with pytest.raises(ModuleNotFoundError):
        imported("nowhere.at.all")
    assert [identifier(name) for name in ("x.understand", "lambda", "3.text", "self")] == ["x_understand", "lambda_", "_3_text", "self_"]
