"""`archloom verify` on the page's own spec, against a torch module: what passes, and what is above."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import archloom
from archloom.compiler.cli import run
from archloom.compiler.golden.compare import Row, explained

from .net_reference import SPEC, changed, failures, make


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("source", [False, True])
def test_a_right_port_passes(case: Path, dtype: str, source: bool) -> None:
    report = archloom.verify(SPEC, case, dtype=dtype, source=source)
    assert report.ok, [row for row in report.rows if not row.holds]
    assert (report.share, report.left_out, report.unread) == (1.0, (), ("seed",))
    assert {row.stored for row in report.rows} == {
        "blocks.0.act", "blocks.1.act", "logits", "loss", "input.features",
        *(f"param.{name}.{kind}" for name in ("blocks.0.fc", "blocks.1.fc", "classifier") for kind in ("weight", "bias")),
    }  # fmt: skip


def test_other_sizes_pass_without_a_change(tmp_path: Path) -> None:
    for number, sizes in enumerate([{"dim": 3, "depth": 1}, {"classes": 5, "depth": 4}]):
        assert archloom.verify(SPEC, make(tmp_path / str(number), **sizes, seed=number)).ok


@pytest.mark.parametrize(
    ("right", "wrong", "first"),
    [
        ('layer[i].linear <- "blocks.{i}.fc"', 'layer[i].linear <- "blocks.{depth - 1 - i}.fc"', "blocks.0.act"),
        ("out y = x + h", "out y = x - h", "blocks.1.act"),
        ("gelu(linear(x))", 'gelu(linear(x), approximate = "tanh")', "blocks.0.act"),
        ("loss error = cross_entropy(logits, label)", "loss error = 1.001 * cross_entropy(logits, label)", "loss"),
        ("x = layer(x)", "x = layer(detach(x))", "input.features"),
    ],
)
def test_a_wrong_port_is_caught(case: Path, right: str, wrong: str, first: str) -> None:
    assert SPEC.count(right) == 1
    report = archloom.verify(SPEC.replace(right, wrong), case)
    assert not report.ok
    assert next(row.stored for row in report.rows if not row.holds) == first


def test_too_little_compared_is_no_success(case: Path) -> None:
    report = archloom.verify(SPEC.replace('  value layer[i].h -> "blocks.{i}.act"\n', ""), case)
    assert not report.ok and report.share < 0.95
    assert report.left_out == (("blocks.0.act", "no `value` clause names it"), ("blocks.1.act", "no `value` clause names it"))
    report = archloom.verify(SPEC.replace('  value loss -> "loss"\n', ""), case)
    assert ("param.classifier.bias", "no `value` clause names `loss`, which is differentiated") in report.left_out


def test_two_swapped_tensors_are_caught(case: Path, tmp_path: Path) -> None:
    def swap(tensors: dict[str, Tensor]) -> None:
        tensors["blocks.0.fc.bias"], tensors["blocks.1.fc.bias"] = tensors["blocks.1.fc.bias"], tensors["blocks.0.fc.bias"]

    assert not archloom.verify(SPEC, changed(case, tmp_path / "swapped", "weights", swap)).ok


def test_a_gradient_that_the_reference_lacks_is_caught(case: Path, tmp_path: Path) -> None:
    report = archloom.verify(SPEC, changed(case, tmp_path / "frozen", "grads", lambda grads: grads.pop("param.classifier.bias")))
    [row] = [row for row in report.rows if not row.holds]
    assert (row.stored, row.reason) == ("param.classifier.bias", "the reference has no gradient there")


def test_buffers_are_compared_after_a_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(4).train()
    x = torch.randn(8, 4)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    y = norm(x)
    tmp_path = tmp_path / "norm"
    tmp_path.mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"mode": "train", "n": 4}))
    save_file({f"bn.{name}": value for name, value in before.items()}, tmp_path / "weights.safetensors")
    save_file({"x": x}, tmp_path / "inputs.safetensors")
    after = {f"after.bn.{name}": value for name, value in norm.state_dict().items() if name.startswith("running")}
    save_file({"y": y.detach(), **after}, tmp_path / "outputs.safetensors")
    spec = """
model M(n: int) { in x: float[B, n]; norm = BatchNorm1d(n); out y = norm(x) }
weights official for M from "w" { norm <- "bn" }
golden g for M { param n = config.n; value y -> "y" }
"""
    report = archloom.verify(spec, tmp_path)
    assert report.ok and {row.kind for row in report.rows} == {"output", "buffer"}
    assert not archloom.verify(spec.replace("BatchNorm1d(n)", "BatchNorm1d(n, momentum = 0.2)"), tmp_path).ok


def test_a_choice_is_read_from_the_configuration(case: Path) -> None:
    """In both arms the words of a choice are meant, as where an argument is given."""
    spec = SPEC.replace("classes: int = 10) {", "classes: int = 10, act: {gelu, relu} = relu) {").replace("Layer(dim)", "Layer(dim, act)")
    spec = spec.replace("block Layer(dim: int) {", "block Layer(dim: int, act: {gelu, relu}) {")
    spec = spec.replace("h = gelu(linear(x))", "h = gelu(linear(x)) if act == gelu else relu(linear(x))")
    clause = '  param dim = config.hidden_size\n  param act = relu if config.source == "there" else gelu\n'
    assert archloom.verify(spec.replace("  param dim = config.hidden_size\n", clause), case).ok
    assert not archloom.verify(spec.replace("  param dim = config.hidden_size\n", clause.replace('"there"', '"here"')), case).ok
    assert failures(spec.replace("  param dim = config.hidden_size\n", clause.replace("else gelu", "else glu")), case) == [
        ("A213", "`glu` is not one of the choices")
    ]


PARTS = """
model Parts(n: int) {
  index tasks = {a, b}
  in x: float[B, n]
  part = Linear(n, n)
  h = part(x)
  for t in tasks { head = Linear(n, 2); task t { deep = part(head(h) @ head.weight); out y = head(deep) } }
  entry one { in z: float[M, n]; first = part(z); out own = head[a](first) }
}
weights w for Parts from "w" { part <- "part"; head[t] <- "heads.{t}" }
golden whole for Parts { param n = config.n; value a.y -> "ya"; value b.y -> "yb" }
golden first for Parts { from whole; tasks a; in x <- "x"; value a.deep -> "ha"; value a.y -> "y" }
golden single for Parts { from whole; entry one; in z <- "x"; value first -> "h"; value part -> "h"; value own -> "y" }
"""


@pytest.mark.parametrize("source", [False, True])
def test_a_clause_may_compute_an_entry_or_some_tasks(tmp_path: Path, source: bool) -> None:
    """What isn't computed needs no weights, no inputs and no single call; the clause that names most of what is stored is taken."""
    torch.manual_seed(0)
    part, head = nn.Linear(4, 4), nn.Linear(4, 2)
    weights = {f"{name}.{kind}": value for name, module in (("part", part), ("heads.a", head)) for kind, value in module.state_dict().items()}
    x = torch.randn(3, 4)
    for name, outputs in {"single": {"h": part(x), "y": head(part(x))}, "first": {}}.items():
        if name == "first":
            h = part(head(part(x)) @ head.weight)
            outputs = {"ha": h, "y": head(h)}
        cotangent = torch.randn(3, 2)
        (outputs["y"] * cotangent).sum().backward()
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"n": 4}))
        save_file(weights, folder / "weights.safetensors")
        save_file({"x": x, "cotangent.y": cotangent}, folder / "inputs.safetensors")
        save_file({key: value.detach() for key, value in outputs.items()}, folder / "outputs.safetensors")
        named = {"part": part, "heads.a": head}
        grads = {f"param.{path}.{kind}": value.grad for path, module in named.items() for kind, value in module.named_parameters()}
        save_file({key: value for key, value in grads.items() if value is not None}, folder / "grads.safetensors")
        for module in named.values():
            module.zero_grad()
        report = archloom.verify(PARTS, folder, source=source)
        assert (report.golden, report.share, report.unread) == (name, 1, ())
        assert report.ok, [row for row in report.rows if not row.holds]
    assert failures(PARTS, tmp_path / "first", golden="whole") == [("A653", "`the case` has no `heads.b.weight`, `heads.b.bias`")]


def test_values_that_need_targets_are_compared_in_emitted_source(case: Path) -> None:
    """A loss over a target, and a value computed from it, are results like others."""
    spec = SPEC.replace("target label: int[B] in 0..classes", "target label: int[B] in 0..classes\n    same = label + 0")
    spec = spec.replace("value loss", 'value kind.error -> "loss"\n  value kind.same -> "labels"\n  value loss')
    for source in (False, True):
        report = archloom.verify(spec, case, source=source)
        assert report.ok and [row.ours for row in report.rows if row.stored == "loss"] == ["kind.error", "loss"]
    spec = spec.replace('in kind.label <- "labels"', 'in kind.label <- "label"')
    assert failures(spec, case)[0] == ("A661", "the case has no input `label`, for `kind.label`")


# ------------------------------------------------------------------------------------------------------- command line


def test_the_command(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.arch"
    path.write_text(SPEC)
    assert run(["verify", str(path), "--against", str(case)]) == 0
    shown = capsys.readouterr().out
    assert f"{path} against {case.parent.name}/{case.name} in float64: 11 of 11 stored tensors compared (100 %), none above the limit\n" in shown
    assert run(["verify", str(path), "--against", str(case), "--all", "--dtype", "float32", "--source"]) == 0
    assert capsys.readouterr().out.count("\n") > 11
    assert run(["verify", str(path), "--against", str(case), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] and document["share"] == 1 and len(document["rows"]) == 11


def test_the_command_fails_when_something_is_above(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.arch"
    path.write_text(SPEC.replace("x + h", "x - h"))
    assert run(["verify", str(path), "--against", str(case)]) == 1
    shown = capsys.readouterr().out
    assert "above" in shown and "10 above the limit" in shown
    assert run(["verify", str(path), "--against", str(tmp_path / "nowhere")]) == 1
    assert "error[A662]" in capsys.readouterr().err
    assert run(["verify", str(path), "--against", str(tmp_path / "nowhere"), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], [d["code"] for d in document["diagnostics"]]) == (False, ["A662"])
    assert run(["verify", str(path)]) == 2


def test_a_wrong_gradient_is_above_the_limit(case: Path, tmp_path: Path) -> None:
    name = "param.classifier.weight"
    off = changed(case, tmp_path / "off", "grads", lambda tensors: tensors[name].mul_(1 + 4e-4))
    for dtype in ("float64", "float32"):
        report = archloom.verify(SPEC, off, dtype=dtype)
        (row,) = [row for row in report.rows if not row.holds]
        assert row.stored == name and row.note.startswith("float32 alone moves it by")


def test_what_float32_moves_is_said_of_a_gradient_above_its_limit() -> None:
    row = Row("gradient", "param.w", "w", 2.5e-4, 1e-4)
    exact = torch.tensor([1.0, 0.5], dtype=torch.float64)
    told = explained(row, exact, exact + 1e-4)
    assert (told.holds, told.limit, told.note) == (False, 1e-4, "float32 alone moves it by 1.0e-04")
    assert explained(row, None, exact) is row


def test_after_passes(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Passes that keep training are held to every gradient; after those that keep evaluation alone outputs are compared; train mode is refused."""
    (tmp_path / "net.arch").write_text(SPEC)
    against = ["verify", str(tmp_path / "net.arch"), "--against", str(case), "--optimize"]
    assert run([*against, "default", "--time-passes"]) == 0
    shown = capsys.readouterr()
    assert "11 of 11 stored tensors compared (100 %), none above the limit" in shown.out
    assert shown.err.startswith(f"passes of {tmp_path / 'net.arch'}\n  pass ")
    assert run([*against, "inference"]) == 0
    assert re.search(
        r"\n7 gradients +passes keep numbers in evaluation alone: the rule that every gradient is compared doesn't apply\n\n.* 4 of 4 stored tensors",
        capsys.readouterr().out,
    )
    assert run([*against, "inference", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "param.classifier.bias" in found["gradients_not_compared"] and found["passes"][0] == "simplify" and found["share"] == 1
    assert run([*against, "infrence"]) == 2
    trained = changed(case, tmp_path / "trained", "outputs", lambda outputs: None)
    (trained / "config.json").write_text(json.dumps({**json.loads((case / "config.json").read_text()), "mode": "train"}))
    assert failures(SPEC, trained, optimize="fold_norms") == [
        ("A661", "the case was computed in training, and of the passes `fold_norms` keeps evaluation alone")
    ]
    assert archloom.verify(SPEC, trained, optimize="default").ok
    with pytest.raises(ValueError, match="there is no pipeline `infrence`, did you mean `inference`"):
        archloom.verify(SPEC, case, optimize="infrence")
