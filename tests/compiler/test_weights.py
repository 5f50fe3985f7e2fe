"""Weights from disk: read through the map, refused whole when anything is wrong, with everything that is wrong listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import archloom
from archloom.compiler.runtime.checkpoint import Checkpoint
from archloom.compiler.runtime.weights import dropped
from archloom.dsl.diagnostics import Failure

TEXT = """
block Layer(dim: int) {
  in x: float[B, dim]
  lin = Linear(dim, dim)
  out y = x + lin(x)
}
model Net(dim: int = 4) {
  in x: float[B, dim]
  repeat i in 0..2 carry x { trunk = Layer(dim); x = trunk(x) }
  q = Linear(dim, dim, bias = false)
  k = Linear(dim, dim, bias = false)
  new = Linear(dim, 3)
  out y = new(q(x) + k(x))
}
weights official for Net from "model.safetensors" {
  trunk[i].lin <- "layers.{i + 1}.fc"
  q.weight <- "qk"[:4]
  k.weight <- transpose("qk"[4:])
  drop "pooler.**"
}
"""


def stored() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    tensors = {f"layers.{i}.fc.{name}": torch.randn(*shape) for i in (1, 2) for name, shape in (("weight", (4, 4)), ("bias", (4,)))}
    return tensors | {"qk": torch.randn(8, 4), "pooler.dense.weight": torch.randn(2)}


def saved(folder: Path, tensors: dict[str, torch.Tensor], name: str = "model.safetensors") -> Path:
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name)
    return folder / name


def failure(path: Path, text: str = TEXT) -> str:
    with pytest.raises(Failure) as caught:
        archloom.compile(text, weights=path)
    return str(caught.value)


@pytest.mark.parametrize("whole_folder", [False, True])
def test_the_map_is_followed(tmp_path: Path, whole_folder: bool) -> None:
    tensors = stored()
    path = saved(tmp_path, tensors)
    model = archloom.compile(TEXT, weights=tmp_path if whole_folder else path)
    assert torch.equal(model.trunk[1].lin.bias, tensors["layers.2.fc.bias"])
    assert torch.equal(model.q.weight, tensors["qk"][:4])
    assert torch.equal(model.k.weight, tensors["qk"][4:].T)


def test_what_starts_as_a_copy_is_a_tensor_of_its_own(tmp_path: Path) -> None:
    """Two targets of one stored tensor, whole or in part: changing one changes neither the other nor the file."""
    text = """
model Net {
  in x: float[B, 4]
  a, b = Linear(4, 4, bias = false), Linear(4, 4, bias = false)
  c, d = Linear(4, 2, bias = false), Linear(4, 2, bias = false)
  out y = concat([a(x), b(x), c(x), d(x)], dim = 1)
}
weights start for Net from "x" { a <- "w"; b <- "w"; c.weight <- "w.weight"[:2]; d.weight <- "w.weight"[1:3] }
"""
    whole = torch.randn(4, 4)
    path = saved(tmp_path, {"w.weight": whole})
    model = archloom.compile(text, weights=path)
    for name, wanted in (("a", whole), ("b", whole), ("c", whole[:2]), ("d", whole[1:3])):
        value = getattr(model, name).weight
        assert torch.equal(value, wanted), name
        with torch.no_grad():
            value.add_(1)
    assert torch.equal(archloom.compile(text, weights=path).a.weight, whole)


def test_what_no_rule_hits_keeps_its_first_values(tmp_path: Path) -> None:
    path = saved(tmp_path, stored())
    torch.manual_seed(5)
    one = archloom.compile(TEXT, weights=path)
    torch.manual_seed(5)
    two = archloom.compile(TEXT, weights=path)
    assert torch.equal(one.new.weight, two.new.weight)
    assert float(one.new.weight.detach().abs().max()) > 0


def test_everything_wrong_is_listed_at_once(tmp_path: Path) -> None:
    tensors = stored() | {"extra.a": torch.zeros(1), "layers.2.fc.weight": torch.zeros(4, 5)}
    del tensors["layers.1.fc.bias"]
    text = failure(saved(tmp_path, tensors))
    assert "has no `layers.1.fc.bias`" in text
    assert "`trunk.1.lin.weight` is [4, 4] in the model and `layers.2.fc.weight` [4, 5] in the file" in text
    assert "also has `extra.a`, which the model takes nowhere" in text
    assert len(text.splitlines()) == 3


@pytest.mark.parametrize("shape", [(8,), (5, 4), (2, 2, 4)])
def test_a_pattern_that_does_not_fit_the_file_says_so(tmp_path: Path, shape: tuple[int, ...]) -> None:
    text = 'model M { w = Parameter([2, 2, 4]); out y = w }\nweights m for M from "x" { w <- rearrange("a", "(h d) c -> h d c", h = 2) }'
    told = failure(saved(tmp_path, {"a": torch.zeros(shape)}), text)
    assert told.startswith("<text>:2:28: error[A654]: `w` can't be made from `a`"), told


def test_shards_are_read_through_their_index(tmp_path: Path) -> None:
    tensors = stored()
    names = sorted(tensors)
    index: dict[str, str] = {}
    for number, part in enumerate((names[:2], names[2:])):
        file = saved(tmp_path, {name: tensors[name] for name in part}, f"model-{number}.safetensors")
        index |= dict.fromkeys(part, file.name)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    model = archloom.compile(TEXT, weights=tmp_path)
    assert torch.equal(model.q.weight, tensors["qk"][:4])
    (tmp_path / "model-1.safetensors").unlink()
    assert "names `model-1.safetensors`, which isn't there" in failure(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 60, -3])
def test_a_file_cut_short_is_refused(tmp_path: Path, keep: int) -> None:
    path = saved(tmp_path, stored())
    data = path.read_bytes()
    path.write_bytes(data[:keep] if keep >= 0 else data[:keep])
    assert "isn't whole safetensors" in failure(path)


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.safetensors"])
def test_a_pickle_is_refused_unread(tmp_path: Path, name: str) -> None:
    torch.save({"qk": torch.zeros(1)}, tmp_path / name)
    assert "is a pickle, and weights are read from safetensors only" in failure(tmp_path / name)
    if name != "model.safetensors":
        assert "is a pickle" in failure(tmp_path)


def test_nothing_there_says_so(tmp_path: Path) -> None:
    assert "there is nothing at" in failure(tmp_path / "nowhere")
    assert "holds no .safetensors file" in failure(tmp_path)


def test_an_index_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    saved(tmp_path, stored())
    (tmp_path / "a" / "x.safetensors.index.json").write_text(json.dumps({"weight_map": {"qk": "../model.safetensors"}}))
    assert "outside its folder" in failure(tmp_path / "a")


def test_a_file_of_the_models_own_names_needs_no_map(tmp_path: Path) -> None:
    model = archloom.compile(TEXT)
    path = saved(tmp_path, model.state_dict())
    again = archloom.compile(TEXT, weights=path)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("name", "pattern", "wanted"),
    [("a.b.c", "a.**", True), ("a", "a.**", True), ("a.b.c", "a.*", False), ("a.b", "a.*", True), ("x.a", "**.a", True), ("ab", "a", False)],
)
def test_dropped_names(name: str, pattern: str, wanted: bool) -> None:
    assert dropped(name, [pattern]) is wanted


def test_old_names_are_found(tmp_path: Path) -> None:
    text = """
    model New {
      in x: float[B, 4]
      repeat i in 0..2 carry x { layers = Linear(4, 4); x = layers(x) }
      out y = x
      renamed blocks[i] -> layers[i]
    }
    """
    model = archloom.compile(text)
    old = {name.replace("layers", "blocks"): value + 1 for name, value in model.state_dict().items()}
    again = archloom.compile(text, weights=saved(tmp_path, old))
    assert torch.equal(again.layers[1].bias, model.layers[1].bias + 1)
    model.load_state_dict(old)
    assert torch.equal(again.layers[0].weight, model.layers[0].weight)


def test_a_header_that_begins_like_a_pickle_is_safetensors(tmp_path: Path) -> None:
    """The length of the header, the file's first bytes, may be those of a pickle or of a zip."""
    for length in 0x0480, 0x4B50:
        names = ["x"]
        while (size := len(header_of(names))) < length:
            names[0] += "x" * min(1000, length - size)
        path = tmp_path / f"{length}.safetensors"
        path.write_bytes(length.to_bytes(8, "little") + header_of(names) + b"\0" * 4)
        assert list(Checkpoint(path).stored) == names


def header_of(names: list[str]) -> bytes:
    entries = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in names}
    return json.dumps(entries, separators=(",", ":")).encode()


NORMED = """
model Net { in x: float[B, 3, H, W]; norm = BatchNorm2d(3); out y = norm(x) }
weights official for Net from "model.safetensors" complete { norm <- "bn" }
"""


@pytest.mark.parametrize("prefix", ["bn", "norm"])
def test_a_file_from_before_batch_norms_counted(tmp_path: Path, prefix: str) -> None:
    """The count of steps stays as it is, as in PyTorch; what else is missing is an error."""
    tensors = {f"{prefix}.{name}": torch.randn(3) for name in ("weight", "bias", "running_mean", "running_var")}
    state = archloom.compile(NORMED, weights=saved(tmp_path, tensors)).state_dict()
    assert state.pop("norm.num_batches_tracked") == 0
    assert all(torch.equal(value, tensors[name.replace("norm", prefix)]) for name, value in state.items())
    del tensors[f"{prefix}.running_var"]
    assert "`bn.running_var`" in failure(saved(tmp_path, tensors), NORMED)
