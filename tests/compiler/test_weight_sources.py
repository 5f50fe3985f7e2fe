"""Weights from elsewhere than one file: another model, several sources, a file for each member, and what a stage starts from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import archloom
from archloom.compiler.runtime.model import Model
from archloom.dsl.diagnostics import Failure

GROW = """
model Small(dim: int = 4, depth: int = 2) {
  in x: float[B, dim]
  repeat i in 0..depth carry x { layer = Linear(dim, dim); x = layer(x) }
  table = Parameter([2 * dim, dim])
  old = Linear(dim, 3, bias = false)
  twin = Linear(dim, 3, bias = false)
  tie twin.weight, old.weight
  out y = old(x) + twin(x) + sum(table)
}
model Tiny = Small(dim = 2)
model Big(dim: int = 4, depth: int = 3) {
  index kinds = {a, b}
  in x: float[B, dim]
  repeat i in 0..depth carry x { layer = Linear(dim, dim); x = layer(x) }
  for t in kinds { head = Linear(dim, 3, bias = false); y = head(x) }
  up = Parameter([dim, dim])
  down = Parameter([dim, dim])
  both = Parameter([2 * dim, 2 * dim])
  cube = Parameter([2, dim, dim])
  odd = Parameter([dim, dim], init = zeros)
  rest = Linear(dim, dim)
  out z = y[a] + y[b] + sum(up) + sum(down) + sum(both) + sum(cube) + sum(rest(x)) + sum(odd)
}
weights grow for Big from Small(depth = 2) {
  layer[i] <- "layer.{i}" for i in 0..2
  layer[2].weight <- zeros
  head[t].** <- "twin.**"
  up <- "table"[:4]
  down <- transpose("table"[dim..])
  both <- concat("table", "table", dim = 1)
  cube <- rearrange("table", "(k a) b -> k a b", k = 2)
  odd <- reshape("table"[4..8], [4, 4])
}
"""


def small(**more: Any) -> Model:
    torch.manual_seed(1)
    return archloom.compile(GROW, model="Small", source=False, **more)


@pytest.mark.parametrize("kind", ["model", "file", "by name"])
def test_another_models_own_values_are_taken(kind: str, tmp_path: Path) -> None:
    other = small()
    save_file(other.state_dict(), tmp_path / "small.safetensors")
    source: Any = {"model": other, "file": tmp_path / "small.safetensors", "by name": {"grow": other}}[kind]
    model = archloom.compile(GROW, model="Big", weights=source)
    table = other.table
    assert torch.equal(model.layer[1].bias, other.layer[1].bias) and not model.layer[2].weight.any()
    assert torch.equal(model.head.a.weight, other.old.weight) and torch.equal(model.head.b.weight, other.old.weight)
    assert model.head.a.weight.data_ptr() != other.old.weight.data_ptr()
    assert torch.equal(model.up, table[:4]) and torch.equal(model.down, table[4:].T) and torch.equal(model.odd, table[4:])
    assert torch.equal(model.both, torch.cat([table, table], dim=1))
    assert torch.equal(model.cube, table.reshape(2, 4, 4))
    assert bool(model.rest.weight.any())  # what no rule hits starts as ever


def test_a_source_of_other_sizes_is_told_tensor_by_tensor() -> None:
    wrong = archloom.compile(GROW, {"dim": 5, "depth": 1}, model="Small")
    with pytest.raises(Failure) as caught:
        archloom.compile(GROW, model="Big", weights=wrong)
    text = str(caught.value)
    assert "`Small` has no `layer.1.weight`, `layer.1.bias`" in text
    assert "`layer.0.weight` is [4, 4] in the model and `layer.0.weight` [5, 5] in `Small`" in text
    assert "`up` is [4, 4] in the model and `table` [10, 5], after slice [4, 5] in `Small`" in text
    assert "`cube` is [2, 4, 4] in the model and `table` [10, 5], after rearrange [2, 5, 5] in `Small`" in text
    with pytest.raises(ValueError, match="`Small` is on the meta device and has no values to give"):
        archloom.compile(GROW, model="Big", weights=small(device="meta"))


def test_a_model_made_of_another_is_a_source() -> None:
    text = GROW + 'weights few for Big from Tiny { up <- concat("table", "table", dim = 1)\ndrop "**" }'
    tiny = archloom.compile(text, model="Tiny")
    model = archloom.compile(text, model="Big", weights={"few": tiny})
    assert torch.equal(model.up, torch.cat([tiny.table, tiny.table], dim=1))


TWO = """
model Base { in x: float[B, 4]; trunk = Linear(4, 4); out y = trunk(x) }
model Joint { in x: float[B, 4]; trunk = Linear(4, 4); head = Linear(4, 2); out y = head(trunk(x)) }
weights start for Joint from Base, "heads.safetensors" { trunk <- "trunk"; head <- "kind.head" }
"""


def test_several_sources_are_read_as_one(tmp_path: Path) -> None:
    base = archloom.compile(TWO, model="Base")
    heads = {"kind.head.weight": torch.ones(2, 4), "kind.head.bias": torch.ones(2)}
    save_file(heads, tmp_path / "heads.safetensors")
    model = archloom.compile(TWO, model="Joint", weights=[base, tmp_path / "heads.safetensors"])
    assert torch.equal(model.trunk.weight, base.trunk.weight) and bool(model.head.bias.all())
    save_file(base.state_dict(), tmp_path / "base.safetensors")
    folder = archloom.compile(TWO, model="Joint", weights=tmp_path)
    assert torch.equal(folder.trunk.weight, base.trunk.weight) and bool(folder.head.bias.all())
    with pytest.raises(Failure, match="`trunk.bias` is in `Base` and in `.*base.safetensors`"):
        archloom.compile(TWO, model="Joint", weights=[base, tmp_path / "base.safetensors"])


MEMBERS = """
model Scaled {
  index sources = {nli, qa}
  in x: float[B, 4]
  for s in sources { adapter = Linear(4, 4); scale = Parameter([1]); y = adapter(x) * scale }
  out z = sum(y[*])
}
weights adapters for Scaled from family "adapters/{s}" { adapter[s] <- "down.{s}"; scale[s] <- ones }
"""


@pytest.mark.parametrize("name", ["", "adapters/{}.safetensors"])
def test_each_member_has_a_file_of_its_own(name: str, tmp_path: Path) -> None:
    text = MEMBERS.replace("adapters/{s}", name.format("{s}")) if name else MEMBERS
    for number, member in enumerate(("nli", "qa"), 1):
        file = tmp_path / (name.format(member) if name else f"adapters/{member}/adapter.safetensors")
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({f"down.{member}.weight": torch.full((4, 4), float(number)), f"down.{member}.bias": torch.zeros(4)}, file)
    model = archloom.compile(text, weights=tmp_path)
    assert bool((model.adapter.qa.weight == 2).all()) and bool((model.adapter.nli.weight == 1).all()) and model.scale.qa.item() == 1
    with pytest.raises(ValueError, match="`adapters` reads a file for each member: give the folder that holds them"):
        archloom.compile(text, weights={"adapters": model})


def test_all_members_that_lack_a_file_are_listed(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        archloom.compile(MEMBERS, weights=tmp_path)
    assert [re.sub(r".*adapters/", "", d.message) for d in caught.value.diagnostics] == ["nli`", "qa`"]


STAGED = """
model Steps { in x: float[B, 4]; trunk = Linear(4, 4); head = Linear(4, 2); target t: float[B, 2]; y = head(trunk(x)); out y; loss l = mse(y, t) }
weights official for Steps from "hub/name" { trunk <- "encoder.0" }
train Steps {
  stage warm { from official; tune head }
  stage joint { from warm, "more.safetensors"; tune all }
  stage free { tune all }
}
"""


def test_a_stage_starts_from_what_it_names(tmp_path: Path) -> None:
    model = archloom.compile(STAGED)
    save_file({"encoder.0.weight": torch.ones(4, 4), "encoder.0.bias": torch.ones(4)}, tmp_path / "official.safetensors")
    trunk, head = model.trunk.weight, model.head.weight.clone()
    stage = model.stage("warm", weights=tmp_path / "official.safetensors")
    assert model.trunk.weight is trunk and bool((trunk == 1).all()) and torch.equal(model.head.weight, head)
    assert not trunk.requires_grad and "  starts from: official" in str(stage).splitlines()
    warm = archloom.compile(STAGED)
    model.stage("joint", weights={"warm": warm})
    assert torch.equal(model.head.weight, warm.head.weight) and trunk.requires_grad
    [more] = small_change(warm).save_weights(tmp_path / "more.safetensors")
    model.stage("joint", weights={"warm": warm, "more.safetensors": more})
    assert torch.equal(model.head.bias, torch.full((2,), 9.0))


def small_change(model: Model) -> Model:
    with torch.no_grad():
        model.head.bias.fill_(9)
    return model


@pytest.mark.parametrize(
    ("stage", "weights", "message"),
    [
        ("free", "x", "the stage `free` names nothing to start from: write `from NAME` in it"),
        ("joint", "x", "the stage `joint` starts from several: say which, weights={name: path}, with a name of `warm`, `more.safetensors`"),
        ("joint", {"worm": "x"}, "the stage `joint` doesn't start from `worm`, did you mean `warm`"),
    ],
)
def test_a_start_that_makes_no_sense(stage: str, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        archloom.compile(STAGED).stage(stage, weights=weights)
    with pytest.raises(ValueError, match="has no values to set: materialize it first"):
        archloom.compile(STAGED, device="meta").stage("warm", weights="x")
