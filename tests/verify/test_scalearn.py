"""ScaLearn and AdapterFusion against the numbers of their authors' code and an independent reference; adapters one by one, scales, counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import archloom
from archloom.compiler.cli import run
from archloom.dsl.diagnostics import Failure

from .scalearn_reference import Config, Masks, configuration, forward, texts, write

ROOT = Path(archloom.__file__).parent
EXAMPLES, GOLDEN = ROOT / "examples", ROOT / "tests" / "golden"
CASES = sorted(path for pattern in ("scalearn*/*", "adapterfusion/*") for path in GOLDEN.glob(pattern))
F64 = torch.float64


def example(system: str) -> Path:
    """Return the file that describes the system of a case."""
    return EXAMPLES / ("adapterfusion.arch" if system == "adapterfusion" else "scalearn.arch")


def failing(report: Any) -> dict[str, float]:
    return {row.stored: row.difference for row in report.rows if not row.holds}


@pytest.mark.parametrize("source", [False, True], ids=["compiled", "emitted"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda path: "/".join(path.parts[-2:]))
def test_the_authors_numbers(case: Path, dtype: str, source: bool) -> None:
    report = archloom.verify(example(case.parent.name), case, dtype=dtype, source=source)
    assert report.ok, failing(report)
    assert (report.share, report.left_out) == (1.0, ())


@pytest.mark.parametrize("source", [False, True], ids=["compiled", "emitted"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("system", ["scalearn", "adapterfusion"])
def test_other_configurations(system: str, seed: int, source: bool, tmp_path: Path) -> None:
    report = archloom.verify(example(system), write(tmp_path / system, configuration(system, seed), seed), source=source)
    assert report.ok, failing(report)
    assert report.share == 1.0


@pytest.mark.parametrize(
    ("case", "right", "wrong", "caught"),
    [
        ("scalearn/b", "x = norm(f + a)", "x = norm(f)", "layer0.up.rte"),
        ("scalearn/b", "o = m + r if residual else m", "o = m + x if residual else m", "layer0.transfer_out"),
        ("scalearn/c", '"layer{l}.ffn_out"', '"layer{l}.attn_out"', "layer0.attn_out"),
        ("scalearn_pp/c", "u = adapters(x)", "u = adapters(a)", "layer0.up.rte"),
        ("adapterfusion/a", "f if query_before_norm else x", "a", "layer0.transfer_out"),
        ("adapterfusion/c", "u[s] + r if residual_before else u[s]", "u[s] + r", "layer0.transfer_out"),
    ],
)
def test_a_wrong_spec_is_caught(case: str, right: str, wrong: str, caught: str, tmp_path: Path) -> None:
    path = example(case.split("/")[0])
    text = path.read_text()
    assert text.count(right) == 1
    (tmp_path / path.name).write_text(text.replace(right, wrong))
    assert caught in failing(archloom.verify(tmp_path / path.name, GOLDEN / case))


def test_a_map_that_misses_tensors_names_them(tmp_path: Path) -> None:
    text = (EXAMPLES / "scalearn.arch").read_text().replace("output.scalearn_layer.{sources}", "output.scalearn_layer.{s}")
    (tmp_path / "wrong.arch").write_text(text)
    with pytest.raises(Failure, match="A604"):
        archloom.verify(tmp_path / "wrong.arch", GOLDEN / "scalearn" / "a")


def test_two_swapped_tensors_are_caught(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "scalearn" / "a", tmp_path / "a")
    tensors = load_file(tmp_path / "a" / "weights.safetensors")
    one, other = (f"roberta.encoder.layer.{number}.output.scalearn_layer.rte,mrpc,cola.omega" for number in (0, 1))
    save_file({**tensors, one: tensors[other], other: tensors[one]}, tmp_path / "a" / "weights.safetensors")
    assert "layer0.transfer_out" in failing(archloom.verify(EXAMPLES / "scalearn.arch", tmp_path / "a"))


def test_a_case_of_the_other_system_names_all_that_it_lacks() -> None:
    with pytest.raises(Failure) as caught:
        archloom.verify(EXAMPLES / "adapterfusion.arch", GOLDEN / "scalearn" / "a")
    lacking = ("query", "key", "value", "residual_before", "temperature")
    assert list(dict.fromkeys(d.message for d in caught.value.diagnostics)) == [f"the map has no key `{key}`" for key in lacking]


# ------------------------------------------------------------------------------------------------- training, from outside


def arguments(config: Config) -> dict[str, Any]:
    """Return the arguments of a system's file for a configuration."""
    transfer = config["transfer_config"]
    own = {
        "scalearn": lambda: {"uniform": transfer["omega_shape"] == "scalar", "plus": transfer["per_layer"], "omega_drop": transfer["dropout_ratio"]},
        "adapterfusion": lambda: {"values": transfer["value"]},
    }  # fmt: skip
    return own["adapterfusion" if config["system"] == "adapterfusion" else "scalearn"]() | {
        "sources": config["adapters"], "dim": config["hidden_size"], "depth": config["num_hidden_layers"],
        "heads": config["num_attention_heads"], "ffn": config["intermediate_size"],
        "width": max(1, config["hidden_size"] // config["reduction_factor"]), "vocab": config["vocab_size"],
        "positions": config["max_position_embeddings"], "eps": config["layer_norm_eps"], "drop": config["hidden_dropout_prob"],
        "attention_drop": config["attention_probs_dropout_prob"], "classes": config["num_labels"],
    }  # fmt: skip


def given(case: str, **changes: Any) -> tuple[dict[str, Any], archloom.Model, dict[str, Tensor]]:
    """Return a golden case's configuration with changes, its model in float64, and its official weights."""
    config = {**json.loads((GOLDEN / case / "config.json").read_text()), **changes}
    weights = GOLDEN / case / "weights.safetensors"
    model = archloom.compile(example(config["system"]), arguments(config), weights={"official": weights}, dtype=F64)
    return config, model, {name: value.double() for name, value in load_file(weights).items()}


@pytest.mark.parametrize("case", ["scalearn/c", "scalearn_pp/c", "scalearn_uniform/c", "scalearn_uniform_pp/c"])
def test_the_second_stage_in_training_with_the_dropout_of_the_frozen_base(case: str) -> None:
    config, model, weights = given(case, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3)
    learned = {name for name in weights if name.endswith("omega") or name.startswith("classifier")}
    for name in learned:
        weights[name].requires_grad_()
    ids, mask = texts(config, 0)
    label = torch.tensor([2, 0])
    drop = Masks(training=True)
    wanted = forward(config, weights, ids, mask, drop)["logits"]
    loss = torch.nn.functional.cross_entropy(wanted, label)
    loss.backward()
    model.stage("transfer")
    model.train()
    assert {path: len(types) for path, types in model.draw_names().items()} == {path: len(masks) for path, masks in drop.drawn.items()}
    with model.draws(drop.drawn):
        result = model(ids=ids, mask=mask, label=label)
    torch.testing.assert_close(result.goal.logits, wanted, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(result.loss, loss, rtol=1e-10, atol=1e-10)
    result.loss.backward()
    ours = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    joined = ",".join(config["adapters"])
    paths = {
        f"scale.{number}.omega": f"roberta.encoder.layer.{number}.output.scalearn_layer.{joined}.omega" for number in range(2)
    } if "pp" not in case else {"shared.omega": f"roberta.shared_parameters.{joined}.omega"}  # fmt: skip
    paths |= {f"head.{name.removeprefix('classifier.')}": name for name in learned if name.startswith("classifier")}
    assert ours.keys() == paths.keys() and set(paths.values()) == learned, "nothing else is trained"
    for path, name in paths.items():
        torch.testing.assert_close(ours[path], weights[name].grad, rtol=1e-9, atol=1e-10)


def test_the_temperature_of_a_fusion_falls_with_each_step_of_training() -> None:
    """From 50 by 0.05 to 1, in each layer; what is asked in between, in eval mode, doesn't cool it."""
    torch.manual_seed(0)
    params = {"temperature": 1.12, "cooling": 0.05, "values": False}
    model = archloom.compile(EXAMPLES / "adapterfusion.arch", params, preset="small", dtype=F64)
    model.stage("transfer")
    assert model.fusion[0].heat.item() == pytest.approx(1.12)
    inputs = model.example_inputs(B=2, N=4)
    warm = archloom.compile(EXAMPLES / "adapterfusion.arch", {"temperature": 1.02, "values": False}, preset="small", dtype=F64).eval()
    warm.load_state_dict({name: value for name, value in model.state_dict().items() if not name.endswith("heat")})
    for wanted in (1.07, 1.02, 1.0, 1.0):
        model.train()(**inputs)
        model.eval()(**inputs)
        for number in range(2):
            assert model.fusion[number].heat.item() == pytest.approx(wanted)
        if wanted == 1.02:
            torch.testing.assert_close(model(**inputs).goal.logits, warm(**inputs).goal.logits)


def test_cases_of_other_adapters_are_refused_by_name(tmp_path: Path) -> None:
    for system, key, wrong in (("scalearn", "mh_adapter", True), ("adapterfusion", "ln_after", True), ("scalearn", "learn_omega", False)):
        folder = Path(shutil.copytree(GOLDEN / system / "a", tmp_path / key))
        config = json.loads((folder / "config.json").read_text())
        place = "transfer_config" if key == "learn_omega" else "adapter_config"
        config[place][key] = wrong
        (folder / "config.json").chmod(0o644)
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(Failure) as caught:
            archloom.verify(example(system), folder)
        [refusal] = caught.value.diagnostics
        assert refusal.code == "A663" and f"`{place}.{key}` is {json.dumps(wrong)}" in (refusal.help or "")


@pytest.mark.parametrize("case", ["scalearn/b", "adapterfusion/b"])
def test_gradients_are_those_of_finite_differences(case: str) -> None:
    _, model, _ = given(case)
    ids, mask = (load_file(GOLDEN / case / "inputs.safetensors")[name] for name in ("input_ids", "attention_mask"))
    model.eval()

    def value() -> Tensor:
        return torch.sin(model(ids=ids, mask=mask.bool()).goal.logits).sum()

    value().backward()
    torch.manual_seed(0)
    moved = [(parameter, torch.randn_like(parameter)) for parameter in model.parameters()]
    slope = torch.stack([(parameter.grad * way).sum() for parameter, way in moved if parameter.grad is not None]).sum()
    found: list[Tensor] = []
    with torch.no_grad():
        for step in (1e-6, -2e-6):
            for parameter, way in moved:
                parameter += step * way
            found.append(value())
    torch.testing.assert_close((found[0] - found[1]) / 2e-6, slope, rtol=1e-6, atol=1e-8)


# -------------------------------------------------------------------------------------------------------- what it is for


def own_adapter(task: str, folder: Path) -> archloom.Model:
    """Train a source's adapter alone for a step, and save it under its library's names."""
    model = archloom.compile(EXAMPLES / "scalearn.arch", {"sources": [task], "transfer": "single"}, preset="small", weights={"base": folder / "base"})
    stage = model.stage("single")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    optimiser = torch.optim.AdamW(stage.groups, lr=1e-2)
    model(**model.example_inputs(B=4, N=6)).loss.backward()
    optimiser.step()
    moved = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"adapters", "head"}
    model.save_weights(folder, map="adapters", partial=True)
    return model


def test_sources_are_added_by_listing_them(tmp_path: Path) -> None:
    """Adapters come one file each under their library's names; only the scales and the new head are trained."""
    small = archloom.compile(EXAMPLES / "scalearn.arch", preset="small")
    small.save_weights(tmp_path / "base", map="base", partial=True)
    alone = {task: own_adapter(task, tmp_path) for task in ("rte", "mrpc", "cola")}
    [file] = (tmp_path / "adapters" / "mrpc").iterdir()
    assert {name.split(".adapters.mrpc.")[1] for name in load_file(file)} == {
        f"{part}.{kind}" for part in ("adapter_down.0", "adapter_up") for kind in ("weight", "bias")
    }
    for number, sources in enumerate([["rte", "cola"], ["rte", "mrpc", "cola"]], 2):
        given = {"base": tmp_path / "base", "adapters": tmp_path}
        model = archloom.compile(EXAMPLES / "scalearn.arch", {"sources": sources}, preset="small", weights=given)
        state = model.state_dict()
        for task in sources:
            theirs = {name: value for name, value in alone[task].state_dict().items() if name.startswith("adapters")}
            assert len(theirs) == 8 and all(torch.equal(state[name], value) for name, value in theirs.items())
        stage = model.stage("transfer")
        trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
        assert sum(trained.values()) == 2 * number * 16 + 16 * 16 + 16 + 2 * 16 + 2
        model.train()
        optimiser = torch.optim.AdamW(stage.groups, lr=1e-2)
        before = {name: value.clone() for name, value in state.items()}
        model(**model.example_inputs(B=4, N=6)).loss.backward()
        optimiser.step()
        assert {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])} == trained.keys()


def test_scales_and_adapters_start_as_published() -> None:
    torch.manual_seed(0)
    model = archloom.compile(EXAMPLES / "scalearn.arch", {"dim": 64, "sources": ["a", "b", "c", "d"]}, preset="small")
    state = model.state_dict()
    assert abs(state["scale.0.omega"].mean().item() - 2 / 4) < 1e-3 and 5e-4 < state["scale.0.omega"].std().item() < 2e-3
    assert 0.015 < state["adapters.0.adapter.a.down.weight"].std().item() < 0.025 and not state["adapters.0.adapter.a.down.bias"].any()


def test_what_keeps_the_sums_of_scales_near_one() -> None:
    """As released: the mean over channels for scales of each layer, the sum for those that all layers share."""
    for plus in (False, True):
        model = archloom.compile(EXAMPLES / "scalearn.arch", {"plus": plus, "penalty": 0.1}, preset="small", dtype=F64)
        omegas = [value for name, value in model.named_parameters() if name.endswith("omega")]
        assert len(omegas) == (1 if plus else 2)
        expected = [(1 - omega.sum(1)).square().sum() if plus else (1 - omega.mean(1)).square().sum() / 3 for omega in omegas]
        torch.testing.assert_close(model(**model.example_inputs(B=2, N=4)).losses["sums"], 0.1 * torch.stack(expected).sum())


def test_published_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", str(EXAMPLES / "scalearn.arch"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)["ScaLearn"]
    counts = {name: facts.get("scale", facts.get("shared")) for name, facts in document["presets"].items()}
    assert counts == {
        "scalearn": 73_728, "scalearn_uniform": 96, "scalearn_pp": 6_144, "scalearn_uniform_pp": 8, "large": 196_608, "large_uniform": 192,
        "large_pp": 8_192, "large_uniform_pp": 8, "single": None, "small": None,
    }  # fmt: skip
    assert document["stages"]["transfer"]["trained"] == 73_728 + 592_130
    assert run(["summary", str(EXAMPLES / "adapterfusion.arch"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)["Fused"]
    assert document["presets"] == {"adapterfusion": {"fusion": 21_252_096}, "small": {}}
    assert document["stages"]["transfer"]["trained"] == 21_252_096 + 592_130
