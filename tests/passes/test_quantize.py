"""Quantized models: what is computed, which linears are taken, what is dropped, saved and loaded, and what is refused."""

from __future__ import annotations

import copy
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import archloom
from archloom.compiler.artifact.saving import write_artifact
from archloom.compiler.cli import run
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.passes.quantize import KINDS, STATIC
from archloom.compiler.quantizing.batches import ranges
from archloom.compiler.runtime import quantized
from archloom.compiler.runtime.quantized import (
    int4_linear,
    int4_quantize,
    int4_restored,
    int4_scale,
    int4_whole,
    int8_linear,
    int8_quantize,
    int8_scale,
)

SPEC = """arch 1

block Layer(dim: int) {
  in x: float[B, dim]
  q, k, up = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
  out y = up(q(x) * sigmoid(k(x)))
}

model M(dim: int = 128) {
  in x: float[B, dim]
  index tasks = {left, right}
  repeat i in 0..2 carry x {
    layer = Layer(dim)
    x = layer(x)
  }
  for t in tasks {
    head = Linear(dim, dim, bias = false)
    out y = head(x)
  }
}
"""
ALL = [f"layer.{i}.{name}" for i in range(2) for name in ("q", "k", "up")] + ["head.left", "head.right"]


def made(passes: str = "quantize", text: str = SPEC, **options: Any) -> tuple[Any, Any, dict[str, Tensor]]:
    """Return a model as it is and with passes, with equal values, and a batch."""
    torch.manual_seed(0)
    plain: Any = archloom.compile(text, **options).eval()
    other = archloom.compile(text, optimize=passes, **options)
    other.load_state_dict(plain.state_dict())
    return plain, other, plain.example_inputs(B=16)


def results(model: Any, given: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return torch.cat([*model(**given).y.values()], 1)


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def taken(model: Any) -> list[str]:
    return [path.removesuffix(".weight") for row in model.quantized for path in row.weights]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(64,), (1, 64), (5, 64), (2, 3, 64), (0, 64)])
def test_the_linear_of_whole_numbers(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, floats, bias = torch.randn(shape), torch.randn(32, 64), torch.randn(32)
    scale = int8_scale(floats)
    weight = int8_quantize(floats, scale)
    assert (weight * scale[:, None] - floats).abs().max() <= scale.max() / 2 * (1 + 1e-6)
    wanted = torch.nn.functional.linear(x, floats, bias)
    found = int8_linear(x.to(dtype), weight, scale, bias.to(dtype))
    assert found.dtype is dtype and found.shape == wanted.shape
    torch.testing.assert_close(found.to(torch.float32), wanted, rtol=0, atol=0.02 * float(wanted.abs().max()) if wanted.numel() else 0)


def test_rows_of_zeros_stay_zeros() -> None:
    floats = torch.zeros(4, 8)
    scale = int8_scale(floats)
    weight = int8_quantize(floats, scale)
    assert torch.equal(int8_linear(torch.ones(2, 8), weight, scale), torch.zeros(2, 4))
    assert torch.equal(int8_linear(torch.zeros(2, 8), int8_quantize(torch.ones(4, 8), int8_scale(torch.ones(4, 8))), scale), torch.zeros(2, 4))


def test_compiled_code_rounds_each_vector_over_its_own_range(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, floats = torch.randn(16, 64) * torch.logspace(-3, 3, 16)[:, None], torch.randn(32, 64)
    scale = int8_scale(floats)
    weight = int8_quantize(floats, scale)
    step = x.abs().amax(1, keepdim=True) / 127
    wanted = torch.nn.functional.linear((x / step).round() * step, weight * scale[:, None])
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(int8_linear(x, weight, scale), wanted, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(quantized, "multiplies_whole", lambda x, weight: False)  # as for small sizes on CUDA
    torch.testing.assert_close(int8_linear(x, weight, scale), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_it_is_as_near_to_the_floats_as_torchaos(monkeypatch: pytest.MonkeyPatch) -> None:
    torchao: Any = import_module("torchao.quantization")
    plain, other, given = made()
    theirs = copy.deepcopy(plain)
    torchao.quantize_(theirs, torchao.Int8DynamicActivationInt8WeightConfig())  # the same scheme, with steps of max / 127.5
    wanted = results(plain, given)
    least = error(results(theirs, given), wanted)
    assert least / 1.2 < error(results(other, given), wanted) < 1.2 * least
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)  # each vector over its own range, as theirs does
    assert least / 1.1 < error(results(other, given), wanted) < 1.1 * least


@pytest.mark.parametrize("passes", ["quantize", "inference, quantize", "merge_linears, quantize"])
def test_a_quantized_model(passes: str) -> None:
    plain, other, given = made(passes)
    wanted = results(plain, given)
    found = results(other, given)
    assert 0 < error(found, wanted) < 0.02
    assert sorted(taken(other)) == sorted(ALL)
    assert all(0 < row.error < 0.01 and row.to == "int8_dynamic" for row in other.quantized)
    assert torch.equal(results(copy.deepcopy(other), given), found)
    assert list(other.state_dict()) == list(plain.state_dict())
    with torch.no_grad():
        for model in (plain, other):
            model.layer[0].up.weight.neg_()
    assert error(results(other, given), results(plain, given)) < 0.02


BOUNDS = {"int8_dynamic": (0.02, 0.27), "int8_weight": (0.02, 0.27), "int4_weight": (0.2, 0.16)}
"""Of each kind, the largest error of the results of these two layers, and the largest share of the size."""


@pytest.mark.parametrize("passes", ["", "inference, "])
@pytest.mark.parametrize("to", [kind for kind in KINDS if kind != STATIC])
def test_every_kind(to: str, passes: str) -> None:
    plain, other, given = made(f"{passes}quantize(to = '{to}')")
    most, share = BOUNDS[to]
    found = results(other, given)
    assert 0 < error(found, results(plain, given)) < most
    rows = other.quantized
    assert sorted(taken(other)) == sorted(ALL) and {row.to for row in rows} == {to}
    before = size(plain)
    other.drop_folded()
    assert torch.equal(results(other, given), found) and size(other) < share * before and other.quantized == rows


def test_kinds_side_by_side() -> None:
    plain, other, given = made("quantize(to = 'int4_weight', where = 'layer[0]', group = 64), quantize(where = 'layer[1]')")
    assert [row.to for row in other.quantized] == ["int4_weight"] * 3 + ["int8_dynamic"] * 3
    assert [round(100 * row.error) for row in other.quantized] == [7] * 3 + [0] * 3
    assert 0 < error(results(other, given), results(plain, given)) < 0.2


@pytest.mark.parametrize(("rows", "width", "group"), [(48, 64, 32), (17, 64, 64), (3, 256, 128)])
def test_numbers_of_four_bits(rows: int, width: int, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    floats, x, bias = torch.randn(rows, width), torch.randn(2, 5, width), torch.randn(rows)
    scale = int4_scale(floats, group)
    weight = int4_quantize(floats, scale)
    whole = int4_whole(weight)
    assert weight.shape == (rows, width // 2) and int(whole.min()) == -8 and int(whole.max()) <= 7
    steps = scale.float().abs().repeat_interleave(group, 1)
    assert ((int4_restored(weight, scale).float() - floats).abs() <= 1.02 * steps).all()  # the farthest one on the other side is cut to 7
    wanted = torch.nn.functional.linear(x, int4_restored(weight, scale).float(), bias)
    assert error(int4_linear(x, weight, scale, bias), wanted) < 0.01
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert error(int4_linear(x, weight, scale, bias), wanted) < 0.01


def test_four_bits_where_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    says = "there is no kernel for `int4_weight` on `cuda`"
    assert quantized.no_int4(torch.device("cuda")) == says
    monkeypatch.setattr(torch.cpu, "_is_avx2_supported", lambda: False)
    for call in (lambda: made("quantize(to = 'int4_weight')"), lambda: archloom.compile(SPEC, optimize="quantize(to = 'int4_weight')", device="cpu")):
        with pytest.raises(archloom.Failure) as raised:
            call()
        [diagnostic] = raised.value.diagnostics
        assert diagnostic.code == "A842" and diagnostic.message == says.replace("`cuda`", "this CPU, which has no AVX2")
        assert diagnostic.help == quantized.INSTEAD == "quantize to `int8_weight`, which runs everywhere"
    _, other, given = made("quantize(to = 'int8_weight')")
    assert results(other, given).isfinite().all()


CONV = """arch 1

model M(c: int = 16) {
  in x: float[B, 3, H, W]
  a, b = Conv2d(3, c, 3, padding = 1), Conv2d(c, 2 * c, 3, stride = 2, padding = 1, groups = 2)
  norm = BatchNorm2d(c)
  around = Conv2d(2 * c, 2 * c, 3, padding = 1, padding_mode = "circular")
  head = Linear(2 * c, 10)
  h = around(relu(b(relu(norm(a(x))))))
  out y = head(mean(h, dim = [2, 3]))
}
"""


def static(model: Any, data: list[dict[str, Tensor]], more: str = "") -> str:
    return f"quantize(to = 'int8_static', least = 1, ranges = {tuple((path, *r) for path, r in ranges(model, data).items())}{more})"


def test_ranges_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    plain: Any = archloom.compile(CONV).eval()
    data = [{"x": torch.randn(4, 3, 8, 10)} for _ in range(3)]
    asked = f"fold_norms, {static(plain, data)}"
    other: Any = archloom.compile(CONV, optimize=asked)
    other.load_state_dict(plain.state_dict())
    assert taken(other) == ["a", "b", "head"]
    assert "`around.weight` is that of a convolution which pads by other values than zeros" in other.passes.explain()
    with torch.no_grad():
        wanted = plain(**data[0]).y
        found = other(**data[0]).y
        assert 0 < error(found, wanted) < 0.02
        one = {"x": data[0]["x"][:1]}
        torch.testing.assert_close(other(**one).y, found[:1], rtol=1e-5, atol=1e-6)  # whatever else is in the batch
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        torch.testing.assert_close(other(**data[0]).y, found, rtol=0.01, atol=0.01 * float(found.abs().max()))
        monkeypatch.undo()
        other.drop_folded()
        assert torch.equal(other(**data[0]).y, found)


def test_ranges_that_are_not_known() -> None:
    plain: Any = archloom.compile(CONV)
    asked = static(plain, [{"x": torch.randn(4, 3, 8, 8)}], ", where = 'head'").replace("'head.weight'", "'a.weight'")
    with pytest.raises(archloom.Failure, match="`head` holds no linear that can be quantized: `ranges` holds nothing for `head.weight`"):
        archloom.compile(CONV, optimize=asked)
    with pytest.raises(archloom.Failure, match="`b.weight` is that of a convolution: `int8_static` is for those, too"):
        archloom.compile(CONV, optimize="quantize(where = 'b', least = 1)")


def test_ranges_of_nothing() -> None:
    ranges = "(('head.wieght', -1.0, 2), ('zzz', 0.0, 1.0), ('a.weight', 0.0, 1.0), ('head.bias', 0.0, 1.0))"
    with pytest.raises(archloom.Failure) as raised:
        archloom.compile(CONV, optimize=f"quantize(to = 'int8_static', ranges = {ranges})")
    assert [(each.code, each.message, each.help) for each in raised.value.diagnostics] == [
        ("A510", "`ranges` names `head.wieght`, and the model has no such weight", "did you mean `head.weight`?"),
        ("A510", "`ranges` names `zzz`, and the model has no such weight", "`archloom quantize` writes the paths of the weights, with their ranges"),
        (
            "A510",
            "`ranges` names `head.bias`, and no linear or convolution multiplies by it",
            "`archloom quantize` writes the paths of the weights, with their ranges",
        ),
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_ranges_of_data_that_is_no_number(value: float) -> None:
    first, second = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)
    second[1, 0, 0, 0] = value
    with pytest.raises(ValueError, match="`a.weight` is multiplied with what is NaN or infinite: look into the data, and into the weights"):
        ranges(archloom.compile(CONV).eval(), [{"x": first}, {"x": second}, {"x": first}])


def test_ranges_of_what_passes_compute_otherwise() -> None:
    """They hold nothing wrong: the weight is one of a linear in the text, though another pass has left that out."""
    text = "arch 1\nmodel M {\n  in x: float[B, 4]\n  a, b = Linear(4, 4), Linear(4, 4)\n  y = a(x)\n  unused = b(x)\n  out z = y\n}\n"
    model: Any = archloom.compile(
        text, optimize="dead_code, quantize(to = 'int8_static', least = 1, ranges = (('a.weight', -1.0, 1.0), ('b.weight', 0.0, 1.0)))"
    )
    assert [row.weights for row in model.quantized] == [("a.weight",)]
    assert "`ranges` names `b.weight`, which no linear or convolution reads after the passes before" in model.passes.explain()


def test_what_scales_a_weight_needs_no_selection() -> None:
    text = SPEC.replace("  out y = up(q(x)", "  norm = BatchNorm1d(dim)\n  out y = up(q(norm(x))").replace("k(x)", "k(norm(x))")
    _, other, _ = made("inference, quantize(where = '**.{q, k}')", text=text)
    assert taken(other) == ["layer.0.q", "layer.0.k", "layer.1.q", "layer.1.k"]


SELECTED: dict[str, list[str]] = {
    "layer[0]": ALL[:3],
    "layer[*].q": ["layer.0.q", "layer.1.q"],
    "head[right]": ["head.right"],
    "all except layer": ALL[6:],
    "{layer[1].up, head}": ["layer.1.up", *ALL[6:]],
}


@pytest.mark.parametrize("where", SELECTED)
def test_a_selector_takes_modules_one_by_one(where: str) -> None:
    plain, other, given = made(f"quantize(where = '{where}')")
    assert taken(other) == SELECTED[where]
    assert 0 < error(results(other, given), results(plain, given)) < 0.02


def test_equal_choices_share_a_body() -> None:
    for where, bodies in (("all", 1), ("layer[0]", 2)):
        found = optimize(archloom.load_program(SPEC), f"quantize(where = '{where}')").program
        assert len({id(node.body) for node in found.eval.nodes if node.body is not None}) == bodies


def test_several_in_one_pipeline() -> None:
    _, other, _ = made("quantize(where = 'layer[0].q'), quantize(where = 'head')")
    assert taken(other) == ["layer.0.q", *ALL[6:]]


def test_of_merged_linears_all_or_none() -> None:
    _, other, _ = made("merge_linears, quantize(where = '**.{q, up}')")
    assert taken(other) == ["layer.0.up", "layer.1.up"]
    assert "`k.weight` isn't selected, and the linear is one with `q.weight`" in other.passes.explain()


@pytest.mark.parametrize(
    ("passes", "code", "says"),
    [
        ("quantize(where = 'layr')", "A510", "`layr` matches nothing: there is no `layr`"),
        ("quantize(where = 'layer[7]')", "A510", "`layer[7]` matches nothing: `layer` has no member `7`"),
        ("quantize(where = 'layer[')", "A002", "`[` is never closed"),
        ("quantize(where = '3 + 4')", "A525", "`3 + 4` is no selector"),
        ("quantize(where = '**.bias')", "A841", "`**.bias` holds no linear that can be quantized"),
        ("quantize(to = 'int4_weight', where = 'layer', group = 256)", "A841", "`q.weight` has 128 numbers in a row, no multiple of 256"),
        ("quantize(where = 'head', least = 20000)", "A841", "that can be quantized: `head.left.weight` holds 16384 numbers, fewer than 20000"),
    ],
)
def test_what_is_not_there_is_said(passes: str, code: str, says: str) -> None:
    with pytest.raises(archloom.Failure) as raised:
        archloom.compile(SPEC, optimize=passes)
    [diagnostic] = raised.value.diagnostics
    assert diagnostic.code == code and says in diagnostic.message and diagnostic.span.source.name == "where"


@pytest.mark.parametrize(
    ("passes", "says"),
    [
        ("quantize(to = 'int8_dynamc')", "nothing is quantized to `int8_dynamc`, did you mean `int8_dynamic`: there is int8_dynamic, int8_weight, "),
        ("quantize(to = 'int4_weight', group = 48)", "`group` of the pass `quantize` is one of 32, 64, 128, 256, not 48"),
        ("quantize(to = 'int8_static')", "`int8_static` needs `ranges`, that data has: `archloom quantize` finds them for `int8_static`"),
        ("quantize(ranges = (('a', 0.0, 1.0),))", "`int8_dynamic` takes no `ranges`"),
        ("quantize(group = 64)", "`int8_dynamic` has a step for each row: `group` is for int4_weight"),
        ("quantize, merge_linears", "the pass `quantize` must come after `merge_linears`"),
        ("quantize(wher = 'x')", "the pass `quantize` has no option `wher`, did you mean `where`: it has to, where, least, group, ranges"),
    ],
)
def test_wrong_options(passes: str, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        archloom.compile(SPEC, optimize=passes)
    assert says in str(raised.value)


def size(model: Any) -> int:
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())


@pytest.mark.parametrize("passes", ["quantize", "inference, quantize"])
def test_floats_are_dropped(passes: str) -> None:
    plain, other, given = made(passes)
    rows, found = other.quantized, results(other, given)
    assert sorted(other.drop_folded()) == sorted(f"{path}.weight" for path in ALL)
    assert other.quantized == rows
    assert size(other) < 0.27 * size(plain)
    assert {name for row in rows for name in row.stored} <= other.state_dict().keys()
    again = archloom.compile(SPEC, optimize=passes)
    again.drop_folded()
    again.load_state_dict(other.state_dict())
    for model in (other, copy.deepcopy(other), again):
        assert torch.equal(results(model, given), found)
    assert other.drop_folded() == []
    assert error(results(other.to(torch.float64), {name: value.double() for name, value in given.items()}), found) < 1e-3


def test_what_is_read_elsewhere_too_stays() -> None:
    text = """
    model M(dim: int = 128) {
      in ids: int[B, S] in 0..dim
      in x: float[B, S, dim]
      table, score, other = Embedding(dim, dim), Linear(dim, dim, bias = false), Linear(dim, dim)
      tie table.weight, score.weight
      out y = score(table(ids))
      out z = other(x) @ other.weight
      entry more { in x: float[B, S, dim]; out w = other(x) }
    }
    """
    plain, other, given = made(text=text)
    assert taken(other) == ["score", "other"]
    assert other.drop_folded() == []
    with torch.no_grad():
        for found, wanted in ((other(**given), plain(**given)), (other.entry("more")(given["x"]), plain.entry("more")(given["x"]))):
            for name, value in found.items():
                assert error(value, wanted[name]) < 0.02


def test_an_entry_after_the_drop() -> None:
    text = SPEC[: SPEC.rindex("}")] + "  entry first { out w = x }\n}\n"
    plain, other, given = made(text=text)
    other.drop_folded()
    with torch.no_grad():
        assert error(other.entry("first")(**given).w, plain.entry("first")(**given).w) < 0.02


def test_a_model_that_trains_drops_nothing() -> None:
    with pytest.raises(ValueError, match="^`M` trains, so its parameters stay"):
        archloom.compile(SPEC, optimize="default").drop_folded()


def test_weights_are_rounded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, other, given = made()
    packs: list[Tensor] = []
    real = quantized.DYNAMIC
    monkeypatch.setattr(quantized, "DYNAMIC", real._replace(pack=lambda weight, scale: packs.append(weight) or real.pack(weight, scale)))
    with torch.inference_mode():
        other(**given)
    results(other, given)
    other(**given)  # with gradients wanted, as parameters are by default
    assert len(packs) == len(ALL)
    with torch.no_grad():
        plain.head["left"].weight.mul_(2)
    other.load_state_dict(plain.state_dict())
    assert error(results(other, given), results(plain, given)) < 0.02


def test_a_quantized_model_comes_back_from_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.arch").write_text(SPEC)
    written = write_artifact(tmp_path / "spec.arch", tmp_path / "made", optimize="inference, quantize")
    plain = write_artifact(tmp_path / "spec.arch", tmp_path / "plain")
    assert (tmp_path / "made" / written.weights).stat().st_size < 0.27 * (tmp_path / "plain" / plain.weights).stat().st_size
    assert plain.quantization == [] and "quantize" in written.passes
    torch.manual_seed(0)
    kept = archloom.compile(SPEC, optimize="inference, quantize")
    loaded = archloom.load(tmp_path / "made")
    given = kept.example_inputs(B=4)
    assert torch.equal(results(loaded, given), results(kept, given))
    listed = json.loads((tmp_path / "made" / "manifest.json").read_text())
    listed["quantization"][0]["to"] = "int9"
    (tmp_path / "made" / "manifest.json").write_text(json.dumps(listed))
    with pytest.raises(archloom.Failure, match="A833.*`quantization` in `.*` isn't what the passes quantize"):
        archloom.load(tmp_path / "made")
    capsys.readouterr()
    assert run(["compile", str(tmp_path / "spec.arch"), "-o", str(tmp_path / "again"), "--optimize", "inference, quantize"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].split() == ["weights", "to", "numbers", "error"] and len(told) == len(kept.quantized) + 2
    assert loaded.quantized == kept.quantized and json.loads(loaded.quantized.json())[0]["to"] == "int8_dynamic"


def test_the_table() -> None:
    _, other, _ = made("merge_linears, quantize(where = 'layer[0]')")
    assert str(other.quantized).splitlines()[0].split() == ["weights", "to", "numbers", "error"]
    assert str(other.quantized).splitlines()[1].startswith("layer.0.{q, k}.weight  int8_dynamic   32,768  0.3")
    assert str(archloom.compile(SPEC).quantized) == "nothing is quantized"


@pytest.mark.slow
def test_compiled_and_exported() -> None:
    plain, other, given = made("inference, quantize")
    other.drop_folded()
    wanted = results(plain, given)
    torch.compiler.reset()
    compiled = torch.compile(other, fullgraph=True)
    exported = torch.export.export(other, (), given).module()
    for call in (compiled, exported):
        with torch.no_grad():
            assert error(torch.cat([*call(**given).y.values()], 1), wanted) < 0.02
