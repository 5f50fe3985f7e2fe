"""CoLM, CoLM-Air and CoM-MLP: against reference tensors, against a small reference written out here, and what chains are for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

import archloom
from archloom.compiler.check import check_text
from archloom.compiler.cli import run
from archloom.dsl.source import Source

from .colm_reference import drawn, write

ROOT = Path(archloom.__file__).parent
SPEC, GOLDEN = ROOT / "examples" / "colm.arch", ROOT / "tests" / "golden" / "CoLM"
CASES = sorted(path.name for path in GOLDEN.iterdir())


@pytest.mark.parametrize("source", [False, True], ids=["compiled", "source"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_all_that_is_stored_is_computed(case: str, dtype: str, source: bool) -> None:
    report = archloom.verify(SPEC, GOLDEN / case, dtype=dtype, source=source)
    assert report.ok, [row for row in report.rows if not row.holds]
    assert report.share == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("layers.0.attention.wq.mlps.1.weight", "layers.1.attention.wq.mlps.1.weight"),
        ("layers.0.attention.wk.weight", "layers.0.attention.wv.weight"),
        ("layers.1.feed_forward.w1.mlps.2.weight", "layers.1.feed_forward.w3.mlps.2.weight"),
        ("layers.0.ffn_norm.weight", "layers.1.attention_norm.weight"),
    ],
)
def test_two_swapped_tensors_are_caught(one: str, other: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "c", tmp_path / "c")
    tensors = load_file(tmp_path / "c" / "weights.safetensors")
    tensors[one], tensors[other] = tensors[other], tensors[one]
    save_file(tensors, tmp_path / "c" / "weights.safetensors")
    assert not archloom.verify(SPEC, tmp_path / "c").ok


@pytest.mark.parametrize("seed", range(6))
def test_a_configuration_drawn_at_random(seed: int, tmp_path: Path) -> None:
    report = archloom.verify(SPEC, write(tmp_path / "case", drawn(seed), seed), source=seed % 2 == 1)
    assert report.ok, (drawn(seed), [row for row in report.rows if not row.holds])
    assert report.share == 1.0


# ------------------------------------------------------------------------------------------------- what it is for


def arguments(config: Mapping[str, Any], **other: Any) -> dict[str, Any]:
    """Return the arguments of the example for a configuration."""
    names = {
        "ratio": "chains", "dim": "dim", "depth": "n_layers", "heads": "n_head", "kv_heads": "n_kv_head", "ffn": "hidden_dim",
        "vocab": "vocab_size", "mlp": "ffn", "norms": "norm", "eps": "norm_eps", "theta": "rope_theta", "bias": "bias", "air": "air",
    }  # fmt: skip
    return {ours: config[theirs] for ours, theirs in names.items()} | other


def case(name: str) -> tuple[dict[str, Any], Any]:
    config = json.loads((GOLDEN / name / "config.json").read_text())
    return config, archloom.compile(SPEC, arguments(config), weights={"official": GOLDEN / name / "weights.safetensors"}, dtype=torch.float64).eval()


def head(config: Mapping[str, Any], chains: int) -> dict[str, Any]:
    """Return the arguments of the smaller model that the first chains are."""
    part = sum(config["chains"][:chains]), sum(config["chains"])
    cut = {name: config[name] * part[0] // part[1] for name in ("dim", "n_head", "hidden_dim")}
    kv = config["n_kv_head"] if config["air"] else config["n_kv_head"] * part[0] // part[1]
    return arguments({**config, **cut, "n_kv_head": kv, "chains": config["chains"][:chains]})


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_the_first_chains_are_a_smaller_model_with_the_same_tensors(name: str) -> None:
    config, whole = case(name)
    ids = load_file(GOLDEN / name / "inputs.safetensors")["input_ids"]
    logits = whole(ids=ids).logits
    for chains in range(1, len(config["chains"])):
        view = archloom.compile(SPEC, head(config, chains), dtype=torch.float64, device="meta").eval()
        state = {path: value for path, value in whole.state_dict().items() if path in view.state_dict()}
        assert {path: value.shape for path, value in view.state_dict().items()} == {path: value.shape for path, value in state.items()}
        view.load_state_dict(state, assign=True)
        assert view.head[0].weight.data_ptr() == whole.head[0].weight.data_ptr()
        for scale, value in view(ids=ids).logits.items():
            torch.testing.assert_close(value, logits[scale], rtol=0, atol=1e-12)


def test_the_model_that_a_chain_is_added_to() -> None:
    """Case e: its first chain, as the model that it was, gives what is stored for that."""
    config, grown = case("e_expansion")
    assert head(config, 1) == arguments(config["base"])
    base = archloom.compile(SPEC, arguments(config["base"]), dtype=torch.float64).eval()
    base.load_state_dict({path: value for path, value in grown.state_dict().items() if path in base.state_dict()})
    stored = {**load_file(GOLDEN / "e_expansion" / "inputs.safetensors"), **load_file(GOLDEN / "e_expansion" / "outputs.safetensors")}
    torch.testing.assert_close(base(ids=stored["input_ids"]).logits[0].float(), stored["base.logits"], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["b", "c", "d"])
def test_a_scale_needs_no_gradient_of_later_chains(name: str) -> None:
    config, model = case(name)
    inputs = load_file(GOLDEN / name / "inputs.safetensors")
    for scale in range(len(config["chains"])):
        model.zero_grad()
        model(ids=inputs["input_ids"]).logits[scale].sum().backward()
        later = {path for path, value in model.named_parameters() if value.grad is None}
        chains = {path: int(path.split(".")[-2]) for path in later}  # ...mlps.1.weight
        assert later and all(chain > scale for chain in chains.values()) if scale + 1 < len(config["chains"]) else not later


@pytest.mark.parametrize("old", [1, 2])
@pytest.mark.parametrize("air", [False, True])
def test_a_chain_is_added_to_a_trained_model(old: int, air: bool) -> None:
    """Whatever is trained goes on as it was, with a new chain whose head alone gets a gradient at first."""
    torch.manual_seed(0)
    config: dict[str, Any] = {
        **drawn(3),
        "chains": [2, 2, 4],
        "dim": 32,
        "n_head": 8,
        "n_kv_head": 2 if air else 4,
        "n_layers": 2,
        "hidden_dim": 16,
        "air": air,
    }
    if old == 1:
        config |= {"chains": [2, 2], "dim": 16, "n_head": 4, "n_kv_head": 2, "hidden_dim": 8}
    base = archloom.compile(SPEC, head(config, old), dtype=torch.float64).eval()
    grown = archloom.compile(SPEC, arguments(config, old=old), dtype=torch.float64).eval()
    stage = grown.stage("expand", weights=base)
    ids = torch.randint(config["vocab_size"], (2, 5))
    logits, expected = grown(ids=ids).logits, base(ids=ids).logits[old - 1]
    assert torch.equal(logits[old - 1], expected)
    assert torch.equal(logits[old], expected)
    before = {path: value.clone() for path, value in grown.state_dict().items()}
    optimiser = torch.optim.SGD(stage.groups, lr=0.1)
    grown.train()
    moved = set[str]()
    for step in range(2):
        optimiser.zero_grad()
        grown(ids=ids, labels=ids).loss.backward()
        moved = {path for path, value in grown.named_parameters() if value.grad is not None and value.grad.abs().max() > 0}
        assert moved == {f"head.{old}.weight"} if step == 0 else len(moved) > 10
        optimiser.step()
    new = {path for path in before if not torch.equal(before[path], grown.state_dict()[path])}
    assert new == moved
    grown.eval()
    assert torch.equal(grown(ids=ids).logits[old - 1], expected)


@pytest.mark.parametrize("name", ["c", "d", "e_expansion"])
def test_chain_tuning_freezes_what_the_paper_freezes(name: str) -> None:
    config, model = case(name)
    model.stage("tuning")
    frozen = {path for path, value in model.named_parameters() if not value.requires_grad}
    named: list[str] = config.get("frozen_params_chain_tuning") or config["frozen"]
    sliced = {path for path in frozen if path not in named}
    assert frozen >= set(named)
    assert {path.rsplit(".", 2)[1] for path in sliced} == {"0"}
    assert {path.split(".")[-3] for path in sliced} == {"embed", "head", "norm"}
    model.stage("elastic")
    assert {path.split(".")[0] for path, value in model.named_parameters() if value.requires_grad} == {"head"}


def test_air_reads_with_one_chain_and_goes_on_at_any_scale_from_the_same_cache() -> None:
    config, model = case("c")
    stored = {**load_file(GOLDEN / "c" / "inputs.safetensors"), **load_file(GOLDEN / "c" / "outputs.safetensors")}
    ids, n = stored["input_ids"], config["prefill_len"]
    seen = model.entry("prefill")(ids=ids[:, :n]).states
    for scale in range(len(config["chains"])):
        serving = archloom.compile(SPEC, arguments(config, serve=[scale]), dtype=torch.float64).eval()
        serving.load_state_dict(model.state_dict())
        states, found = seen, list[Tensor]()
        for place in range(n, ids.shape[1]):
            step = serving.entry("decode")(ids=ids[:, place : place + 1], states=states)
            states = step.states
            found.append(step.next[scale])
        torch.testing.assert_close(torch.cat(found, 1).float(), stored[f"decode_from_prefill.logits.scale{scale}"], rtol=1e-5, atol=2e-5)


# ------------------------------------------------------------------------------------------------------ the guarantee

BROKEN = """
import chain.{ChainLinear, ChainNorm}
block Mixer(chains: index, width: list[int]) {
  in x[c in chains]: float[B, S, width[c]]
  norm = ChainNorm(chains, width)
  into = ChainLinear(chains, width, width)
  h = norm(x[*])
  y = into(h[*])
  for c in chains { out z = y[c] }
  for c in chains { assert z[..c] ignores x[c] }
}
model Net(width: list[int] = [2, 2, 4]) {
  index chains = 0..len(width)
  in x[c in chains]: float[B, S, width[c]]
  mixer = Mixer(chains, width)
  z = mixer(x[*])
  for c in chains { out y = z[c] }
}
"""
PLAIN = "into = Linear(sum(width), sum(width))", "whole = into(concat(h[*], dim = -1))\n  y = split(whole, width, dim = -1)"
NORM = "norm = RMSNorm(sum(width))", "whole = norm(concat(x[*], dim = -1))\n  h = split(whole, width, dim = -1)"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"into = ChainLinear(chains, width, width)": PLAIN[0], "y = into(h[*])": PLAIN[1]}, "whole = into(concat(h[*], dim = -1))"),
        ({"norm = ChainNorm(chains, width)": NORM[0], "h = norm(x[*])": NORM[1], "into(h[*])": "into(*h)"}, "whole = norm(concat(x[*], dim = -1))"),
    ],
    ids=["plain-linear", "full-width-norm"],
)
def test_what_mixes_chains_is_an_error_at_its_line(changes: dict[str, str], line: str) -> None:
    text = BROKEN
    assert check_text(Source("spec.arch", text)).ok
    for right, wrong in changes.items():
        assert right in text
        text = text.replace(right, wrong)
    text = text.replace("  y = into(*h)", "  for c in chains { g = h[c] }\n  y = into(g[*])")
    [error] = check_text(Source("spec.arch", text)).diagnostics
    assert (error.code, error.message) == ("A703", "`z[..c]` does not ignore `x[c]`")
    [place] = [label for label in error.labels if label.text == "`x[c]` comes in here"]
    assert text.splitlines()[place.span.line - 1].strip() == line


# ------------------------------------------------------------------------------------------------------------ counts


def test_official_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """The presets assert them; what they count is listed."""
    assert run(["summary", str(SPEC), "--json"]) == 0
    presets = json.loads(capsys.readouterr().out)["CoLM"]["presets"]
    assert {name: counts.get("layers[0]") for name, counts in presets.items() if name.startswith(("air", "llama"))} == {
        "llama": 60_821_504, "air": 45_092_864, "air_four": 37_228_544, "air_three": 40_898_560, "air_uneven": 48_238_592,
        "air_8b": 161_488_896, "air_8b_four": 133_177_344, "air_8b_three": 146_284_544, "air_8b_uneven": 172_498_944,
    }  # fmt: skip
    assert run(["summary", str(ROOT / "examples" / "com_mlp.arch"), "--json"]) == 0
    presets = json.loads(capsys.readouterr().out)["CoMMLP"]["presets"]
    counts = {"dense": 3_806_218, "four": 3_263_754, "two": 3_443_978, "uneven": 3_534_090, "three": 3_353_866}
    assert {name: found.get("") for name, found in presets.items()} == {**counts, "small": None}


def test_finite_differences() -> None:
    """Case a, in float64: the derivative of the loss along random directions."""
    _, model = case("a")
    inputs = load_file(GOLDEN / "a" / "inputs.safetensors")
    model.losses_in_eval = True

    def loss() -> Tensor:
        return model(ids=inputs["input_ids"], labels=inputs["targets"]).loss

    loss().backward()
    torch.manual_seed(0)
    for path, parameter in model.named_parameters():
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            ends = [(parameter.add_(direction, alpha=step), loss())[1] for step in (1e-5, -2e-5)]
            parameter.add_(direction, alpha=1e-5)
        assert parameter.grad is not None
        torch.testing.assert_close((ends[0] - ends[1]) / 2e-5, (parameter.grad * direction).sum(), rtol=1e-6, atol=1e-8, msg=path)


def test_com_mlp_is_a_masked_dense_network() -> None:
    """What chains compute is a block-triangular matrix; every scale trains its own chains and the earlier ones."""
    torch.manual_seed(0)
    model = archloom.compile(ROOT / "examples" / "com_mlp.arch", preset="small", dtype=torch.float64).eval()
    image = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    x = F.relu(model.first(image.flatten(1)))
    for layer in model.layer:
        rows = [part.weight for part in layer.mlps]
        x = F.relu(x @ torch.cat([F.pad(row, (0, x.shape[1] - row.shape[1])) for row in rows]).T)
    weight = torch.cat([part.weight for part in model.head], 1)
    found = model(image=image).logits
    torch.testing.assert_close(found[2], x @ weight.T + model.head[0].bias)
    torch.testing.assert_close(found[0], x[:, :2] @ weight[:, :2].T + model.head[0].bias)
