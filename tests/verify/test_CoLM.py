"""CoLM, CoLM-Air and CoM-MLP: against reference tensors, against a small reference written out here, and what chains are for."""

from __future__ import annotations

import json
import random
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


# ------------------------------------------------------------------------------------------ a reference written out


class Reference:
    """The paper's equations on one matrix for each map: chains are the block-triangular part of it."""

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        self.config, self.weights = config, weights
        self.ratio: list[int] = config["chains"]

    def cut(self, width: int, chain: int) -> slice:
        ratio = self.ratio
        return slice(width * sum(ratio[:chain]) // sum(ratio), width * sum(ratio[: chain + 1]) // sum(ratio))

    def map(self, name: str, x: Tensor, width: int) -> Tensor:
        parts: list[Tensor] = []
        for chain in range(len(self.ratio)):
            weight, bias = self.weights[f"{name}.mlps.{chain}.weight"], self.weights.get(f"{name}.mlps.{chain}.bias")
            parts.append(F.linear(x[..., : self.cut(x.shape[-1], chain).stop], weight, bias))
        found = torch.cat(parts, -1)
        assert found.shape[-1] == width
        return found

    def norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias, eps = self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"), self.config["norm_eps"]
        parts: list[Tensor] = []
        for chain in range(len(self.ratio)):
            own = self.cut(x.shape[-1], chain)
            y = x[..., own]
            if self.config["norm"] == "layernorm":
                assert bias is not None
                y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, unbiased=False, keepdim=True) + eps).sqrt() * weight[own] + bias[own]
            else:
                y = y / (y.square().mean(-1, keepdim=True) + eps).sqrt() * weight[own]
            parts.append(y)
        return torch.cat(parts, -1)

    def turn(self, x: Tensor) -> Tensor:
        d, length = x.shape[-1], x.shape[1]
        angle = torch.arange(length, dtype=x.dtype)[:, None] * self.config["rope_theta"] ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
        turned = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * torch.polar(torch.ones_like(angle), angle)[None, :, None]
        return torch.view_as_real(turned).flatten(-2)

    def attention(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        c = self.config
        d = c["dim"] // c["n_head"]
        q = self.map(f"{name}.wq", x, c["dim"]).unflatten(-1, (-1, d))
        if c["air"]:
            first = x[..., self.cut(c["dim"], 0)]
            k, v = (F.linear(first, self.weights[f"{name}.{w}.weight"], self.weights.get(f"{name}.{w}.bias")) for w in ("wk", "wv"))
        else:
            k, v = (self.map(f"{name}.{w}", x, c["n_kv_head"] * d) for w in ("wk", "wv"))
        k, v = k.unflatten(-1, (-1, d)), v.unflatten(-1, (-1, d))
        q, k = self.turn(q), self.turn(k)
        times = c["n_head"] // c["n_kv_head"]
        k, v = (t.repeat(1, 1, times, 1) if c["air"] else t.repeat_interleave(times, 2) for t in (k, v))
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / d**0.5
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        probs = scores.masked_fill(hidden, float("-inf")).softmax(-1)
        return self.map(f"{name}.wo", torch.einsum("bhij,bjhd->bihd", probs, v).flatten(2), c["dim"]), probs

    def feed_forward(self, name: str, x: Tensor) -> Tensor:
        c = self.config
        u = self.map(f"{name}.w1", x, c["hidden_dim"])
        h = F.silu(u) * self.map(f"{name}.w3", x, c["hidden_dim"]) if c["ffn"] == "swiglu" else F.gelu(u)
        return self.map(f"{name}.w2", h, c["dim"])

    def __call__(self, ids: Tensor, targets: Tensor) -> dict[str, Tensor]:
        x, found = self.weights["tok_embeddings.weight"][ids], dict[str, Tensor]()
        for i in range(self.config["n_layers"]):
            a, found[f"layers.{i}.attn_probs"] = self.attention(f"layers.{i}.attention", self.norm(f"layers.{i}.attention_norm", x))
            x = x + a
            x = x + self.feed_forward(f"layers.{i}.feed_forward", self.norm(f"layers.{i}.ffn_norm", x))
            found[f"layers.{i}.out"] = x
        x = found["final_norm"] = self.norm("norm", x)
        ends = [self.cut(x.shape[-1], chain).stop for chain in range(len(self.ratio))]
        logits = {f"logits.scale{i}": x[..., :end] @ self.weights["output.weight"][:, :end].T for i, end in enumerate(ends)}
        losses = torch.stack([F.cross_entropy(value.flatten(0, 1), targets.flatten()) for value in logits.values()])
        return {**found, **logits, "loss_per_scale": losses, "loss_ce_last": losses[-1], "loss_multi_chain_sum": losses.sum()}


def drawn(seed: int) -> dict[str, Any]:
    """Draw a configuration."""
    pick = random.Random(seed)
    air = pick.random() < 0.5
    kv_heads = pick.choice([1, 2])
    ratio = [kv_heads * pick.choice([1, 2, 3]) for _ in range(pick.choice([1, 2, 3, 4]))]
    total = sum(ratio)
    return {
        "mode": "eval", "chains": ratio, "dim": total * pick.choice([2, 4]), "n_head": total, "air": air,
        "n_kv_head": kv_heads if air else pick.choice([total, total // kv_heads]), "hidden_dim": total * pick.choice([1, 3]),
        "n_layers": pick.choice([0, 1, 3]), "vocab_size": pick.randrange(5, 30), "ffn": pick.choice(["swiglu", "gelu"]),
        "norm": pick.choice(["rmsnorm", "layernorm"]), "norm_eps": pick.choice([1e-5, 1e-3]), "rope_theta": pick.choice([100.0, 1e4]),
        "bias": pick.random() < 0.5,
    }  # fmt: skip


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return what a configuration's checkpoint holds."""
    reference = Reference(config, {})
    dim, hidden, chains = config["dim"], config["hidden_dim"], range(len(config["chains"]))
    kv = config["n_kv_head"] * dim // config["n_head"]
    found: dict[str, tuple[int, ...]] = {"tok_embeddings.weight": (config["vocab_size"], dim), "output.weight": (config["vocab_size"], dim)}
    norms = [f"layers.{i}.{name}" for i in range(config["n_layers"]) for name in ("attention_norm", "ffn_norm")]
    for name in [*norms, "norm"]:
        found |= {f"{name}.{part}": (dim,) for part in (["weight", "bias"] if config["norm"] == "layernorm" else ["weight"])}
    maps = {"attention.wq": (dim, dim), "attention.wo": (dim, dim), "attention.wk": (kv, dim), "attention.wv": (kv, dim)}
    maps |= {"feed_forward.w1": (hidden, dim), "feed_forward.w2": (dim, hidden)}
    maps |= {"feed_forward.w3": (hidden, dim)} if config["ffn"] == "swiglu" else {}
    for name, (rows, columns) in ((f"layers.{i}.{name}", shape) for i in range(config["n_layers"]) for name, shape in maps.items()):
        sizes = {f"{name}.mlps.{c}": (len(range(rows)[reference.cut(rows, c)]), reference.cut(columns, c).stop) for c in chains}
        if config["air"] and name.endswith((".wk", ".wv")):
            sizes = {name: (rows, reference.cut(columns, 0).stop)}
        found |= {f"{part}.weight": shape for part, shape in sizes.items()}
        found |= {f"{part}.bias": shape[:1] for part, shape in sizes.items()} if config["bias"] else {}
    return found


def write(folder: Path, config: Mapping[str, Any], seed: int) -> Path:
    """Write a case of the reference."""
    torch.manual_seed(seed)
    weights = {name: torch.randn(shape).mul(0.5).double().requires_grad_() for name, shape in shapes(config).items()}
    ids, targets = torch.randint(config["vocab_size"], (2, 2, 4))
    outputs = Reference(config, weights)(ids, targets)
    named = [name for name in outputs if name.startswith("logits")] + ["loss_multi_chain_sum"]
    cotangents = {name: torch.randn(outputs[name].shape).double() for name in named}
    torch.stack([(outputs[name] * value).sum() for name, value in cotangents.items()]).sum().backward()
    stored = {
        "weights": weights,
        "inputs": {
            "input_ids": ids.contiguous(),
            "targets": targets.contiguous(),
            **{f"cotangent.{name}": value for name, value in cotangents.items()},
        },
        "outputs": outputs,
        "grads": {f"param.{name}": value.grad for name, value in weights.items() if value.grad is not None},
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    for name, tensors in stored.items():
        flat = {k: (v.float() if v.is_floating_point() else v).detach().contiguous() for k, v in tensors.items()}
        save_file(flat, folder / f"{name}.safetensors")
    return folder


@pytest.mark.parametrize("seed", range(8))
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
    config = {**drawn(3), "chains": [2, 2, 4], "dim": 32, "n_head": 8, "n_kv_head": 2 if air else 4, "n_layers": 2, "hidden_dim": 16, "air": air}
    config |= {"chains": config["chains"][: old + 1]} | ({} if old == 2 else {"dim": 16, "n_head": 4, "n_kv_head": 2, "hidden_dim": 8})
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
    named: list[str] = config.get("frozen_params_chain_tuning", config.get("frozen"))
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
