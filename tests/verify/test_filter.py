"""FILTER: the authors' numbers, a reference written from the equations, and what the system is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.cli import run

from .filter_reference import compute, draw, make

ROOT = Path(archloom.__file__).parent
EXAMPLE = ROOT / "examples" / "filter.arch"
GOLDEN = ROOT / "tests" / "golden" / "FILTER"
KINDS = ("classification", "token_tagging", "qa")


def config_of(case: str) -> dict[str, Any]:
    return json.loads((GOLDEN / case / "config.json").read_text())


@pytest.mark.parametrize("source", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", ["a", "b", "c", "d"])
def test_the_authors_numbers(case: str, dtype: str, source: bool) -> None:
    report = archloom.verify(EXAMPLE, GOLDEN / case, dtype=dtype, source=source)
    assert report.ok, [row for row in report.rows if not row.holds]
    assert (report.share, report.left_out) == (1.0, ())
    assert set(report.unread) <= {"system", "case", "dtype", "order", "seed", "pretrained_map_m1_k3", "pretrained_map_m1_k2_sample"}


@pytest.mark.parametrize("case", ["a", "b", "c", "d"])
def test_the_reference_computes_them_too(case: str) -> None:
    config = config_of(case)
    given, weights, wanted = (load_file(GOLDEN / case / f"{kind}.safetensors") for kind in ("inputs", "weights", "outputs"))
    found = compute(weights, given, config)
    assert len(found) >= 6
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-5)


DRAWN = [
    *(draw(kind, seed) for kind in KINDS for seed in (1, 2)),
    draw("classification", 3, total_layers=3, m=0, k=3, alpha=1.0, first_loss_only=False),
    draw("token_tagging", 4, total_layers=3, m=2, k=9, alpha=0.0),
    draw("qa", 5, total_layers=1, m=0, k=1, alpha=0.4, first_loss_only=True),
]


@pytest.mark.parametrize(
    "config", DRAWN, ids=lambda config: f"{config['task']}-{config['m']}-{config['k']}-{config['total_layers']}-{config['alpha']}"
)
def test_a_drawn_configuration(config: dict[str, Any], tmp_path: Path) -> None:
    report = archloom.verify(EXAMPLE, make(tmp_path / "case", config))
    assert report.ok, [row for row in report.rows if not row.holds]
    assert report.share == 1.0


TWO = """filter.embeddings except filter.embeddings.LayerNorm <- "filter.embeddings"
  filter.embeddings.LayerNorm.weight <- "filter.embeddings.LayerNorm.bias"
  filter.embeddings.LayerNorm.bias <- "filter.embeddings.LayerNorm.weight\""""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"filter.encoder.layer.{i}"', '"filter.encoder.layer.{m - 1 - i}"'),
        ('"filter.fusion.{i - m}"', '"filter.fusion.{m + k - 1 - i}"'),
        ('filter.embeddings <- "filter.embeddings"', TWO),
    ],
)
def test_a_map_that_swaps_tensors_is_caught(right: str, wrong: str) -> None:
    text = EXAMPLE.read_text()
    assert right in text
    assert not archloom.verify(text.replace(right, wrong), GOLDEN / "b").ok


def params_of(case: str) -> dict[str, Any]:
    """Return the arguments of a case under the names of the example."""
    names = {
        "kind": "task", "labels": "num_labels", "m": "m", "k": "k", "alpha": "alpha", "tau": "temperature", "first_only": "first_loss_only",
        "vocab": "vocab", "dim": "hidden", "depth": "total_layers", "heads": "heads", "ffn": "inter", "positions": "max_pos", "eps": "eps",
    }  # fmt: skip
    return {ours: config_of(case)[theirs] for ours, theirs in names.items()}


def test_gradients_are_finite_differences() -> None:
    given = load_file(GOLDEN / "b" / "inputs.safetensors")
    model = archloom.compile(EXAMPLE, params_of("b"), weights={"official": GOLDEN / "b" / "weights.safetensors"}, dtype=torch.float64)
    model.eval().losses_in_eval = True
    ids, mask, label = ({text: given[f"{kind}.{text}"] for text in ("tgt", "src")} for kind in ("input_ids", "attention_mask", "labels"))
    batch = {"ids": ids, "mask": {text: value.bool() for text, value in mask.items()}, "tag": label, "soft_tags": given["soft_labels.tgt"].double()}
    model(**batch).loss.backward()
    torch.manual_seed(0)
    parameters = dict(model.named_parameters())
    for path in (*list(parameters)[::12], ""):
        moved = [value for name, value in parameters.items() if path in (name, "")]
        ways = [torch.randn_like(value) for value in moved]
        slope = sum((value.grad * way).sum().item() for value, way in zip(moved, ways, strict=True) if value.grad is not None)
        ends: list[float] = []
        with torch.no_grad():
            for step in (1e-5, -2e-5, 1e-5):
                for value, way in zip(moved, ways, strict=True):
                    value += step * way
                ends.append(model(**batch).loss.item())
        assert abs((ends[0] - ends[1]) / 2e-5 - slope) < 1e-6 * max(1.0, abs(slope)), path


# -------------------------------------------------------------------------------------------------- counts and weights

LAYER, TABLES, ENCODER = 12_596_224, 256_531_456, 558_840_832
COUNTS = {
    "FILTER": {
        "xnli": {"filter.layer[0]": LAYER, "filter.embeddings": TABLES, "filter": ENCODER, "output": 1_052_675},
        "pawsx": {"filter": ENCODER, "output": 1_051_650},
        "udpos": {"filter": ENCODER, "classifier": 17_425},
        "mlqa": {"filter": ENCODER, "qa_outputs": 2_050},
        "small": {},
    },
}


def test_official_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", str(EXAMPLE), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {name: model["presets"] for name, model in document.items()} == COUNTS
    pooler = archloom.compile("import bert.Pooler\nmodel M { in x: float[B, S, 1024]; pooler = Pooler(1024); out y = pooler(x) }", device="meta")
    assert sum(value.numel() for value in pooler.parameters()) == 1_049_600  # what `preset xnli` says of it


def sources(params: dict[str, Any]) -> dict[str, str]:
    """Return what the released checkpoints call the parameters of the encoder: FILTER's name, then XLM-R's."""
    program = load_program(EXAMPLE, params)
    start, official = ({rule.target: rule.names[0] for rule in program.weights[name].rules} for name in ("start", "official"))
    return {official[path]: name for path, name in start.items()}


def test_a_checkpoint_of_xlm_r_becomes_the_layers_of_filter() -> None:
    config, params = config_of("d"), params_of("d")
    wanted = {ours: theirs for ours, theirs in config["pretrained_map_m1_k3"].items() if "pooler" not in ours}
    assert sources(params) == wanted
    assert config["pretrained_map_m1_k2_sample"].items() <= sources({**params, "k": 2}).items()
    models = [
        archloom.compile(EXAMPLE, params, weights={name: GOLDEN / "d" / f"{file}.safetensors"}).state_dict()
        for name, file in (("start", "pretrained"), ("official", "weights"))
    ]
    same = [path for path in models[0] if torch.equal(models[0][path], models[1][path])]
    assert same == [path for path in models[0] if path.startswith("filter.")]
    assert len(same) == len(wanted)


# ------------------------------------------------------------------------------------------------- what FILTER is for


def build(kind: str, **params: Any) -> Any:
    torch.manual_seed(0)
    model = archloom.compile(EXAMPLE, {"kind": kind, "drop": 0.0, **params}, preset="small", dtype=torch.float64)
    with torch.no_grad():
        for value in model.parameters():  # far from the small weights of a fresh model, so that the texts are told apart
            value += 0.2 * torch.randn_like(value)
    return model.eval()


def texts(tgt: int = 7, src: int = 9, more: int = 0) -> dict[str, Any]:
    """Return two texts of different lengths for three samples, with padding, and some `more` of it."""
    torch.manual_seed(1)
    found: dict[str, Any] = {"ids": {}, "mask": {}}
    for name, length in (("tgt", tgt), ("src", src)):
        real = torch.arange(length)[None] < torch.tensor([[length], [length - 2], [3]])
        ids = torch.where(real, torch.randint(2, 64, real.shape), 1)
        found["ids"][name] = torch.nn.functional.pad(ids, (0, more), value=1)
        found["mask"][name] = torch.nn.functional.pad(real, (0, more))
    return found


def outputs(result: Any) -> list[Tensor]:
    return [value for name, value in result.items() if name in ("answer", "tags", "start", "end")]


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_prediction(kind: str) -> None:
    model, given = build(kind), texts()
    for less, more in zip(outputs(model(**given)), outputs(model(**texts(more=3))), strict=True):
        kept = given["mask"]["tgt"] if less.shape[1:2] == (7,) else ...
        torch.testing.assert_close(more[:, :7][kept], less[kept])
    given["ids"]["src"] = torch.where(given["mask"]["src"], given["ids"]["src"], 5)  # the mask says what is padding
    for less, more in zip(outputs(model(**texts())), outputs(model(**given)), strict=True):
        torch.testing.assert_close(more, less)


@pytest.mark.parametrize("kind", KINDS)
def test_the_target_text_answers_and_the_source_is_read_where_layers_are_fused(kind: str) -> None:
    other = texts()
    other["ids"]["src"] = torch.where(other["mask"]["src"], other["ids"]["src"].flip(0).clamp(min=2), 1)
    for k, differs in ((1, True), (0, False)):
        model = build(kind, k=k)
        for one, two in zip(outputs(model(**texts())), outputs(model(**other)), strict=True):
            assert one.shape[:2] == ((3, 3) if kind == "classification" else (3, 7))
            assert torch.equal(one, two) != differs


TARGETS: dict[str, dict[str, Any]] = {
    "classification": {"label": torch.tensor([0, 2, 1])},
    "token_tagging": {"tag": {"tgt": torch.full((3, 7), 3), "src": torch.arange(27).view(3, 9) % 17}},
    "qa": {
        "from_": {"tgt": torch.tensor([1, 2, 0]), "src": torch.tensor([3, 4, 1])},
        "to": {"tgt": torch.tensor([4, 3, 50]), "src": torch.tensor([6, 5, 2])},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_second_phase_learns_from_the_logits_of_the_first(kind: str) -> None:
    model, batch = build(kind).train(), {**texts(), **TARGETS[kind]}
    first_phase = model.stage("phase1")
    optimiser = torch.optim.SGD(first_phase.groups, lr=0.005)
    first = model(**batch)
    assert set(first.losses) == {"labelled"}
    first.loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    optimiser.step()
    assert model(**batch).loss < first.loss
    soft = first_phase.emitted(**batch)
    for ours, theirs in zip(outputs(model.eval()(**texts())), soft.values(), strict=True):
        assert torch.equal(ours, theirs) and not theirs.requires_grad
    second_phase = model.stage("phase2")
    model.train()
    result = model(**batch, **soft)
    assert set(result.losses) == {"labelled", "taught"}
    optimiser = torch.optim.SGD(second_phase.groups, lr=0.005)
    optimiser.zero_grad()
    result.loss.backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())
    optimiser.step()
    assert model(**batch, **soft).loss < result.loss


def test_the_first_phase_of_the_tagger_needs_english_labels_alone() -> None:
    model = build("token_tagging")
    model.losses_in_eval = True
    both = TARGETS["token_tagging"]["tag"]
    assert torch.equal(model(**texts(), tag={"src": both["src"]}).loss, model(**texts(), tag=both).loss)


def test_an_answer_behind_the_text_counts_for_nothing() -> None:
    model = build("qa", first_only=True)
    model.losses_in_eval = True
    first, last = (TARGETS["qa"][end] for end in ("from_", "to"))
    given = texts()
    result = model(**given, from_=first, to=last)
    ends = [result.start.log_softmax(1), result.end.log_softmax(1)]
    wanted = -(ends[0][range(3), first["tgt"]].mean() + ends[1][range(2), last["tgt"][:2]].mean()) / 2
    torch.testing.assert_close(result.loss, wanted)
    assert torch.equal(model(**given, from_=first, to={**last, "tgt": torch.tensor([4, 3, 7])}).loss, result.loss)
