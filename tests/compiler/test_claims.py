"""Claims about parts of tensors are tested on values: what holds passes, what doesn't is found, by derivative or by trial."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archloom
from archloom.compiler.check import check_text
from archloom.dsl.diagnostics import Diagnostic, Failure
from archloom.dsl.source import Source


def findings(text: str, extern: Any = None, preset: str | None = None, **dims: int) -> list[Diagnostic]:
    """Return what is found, or an empty list where every claim holds."""
    model = archloom.compile(text, extern=extern, preset=preset)
    try:
        model.check_claims(**dims)
    except Failure as failure:
        return list(failure.diagnostics)
    return []


def messages(text: str, extern: Any = None, preset: str | None = None, **dims: int) -> list[str]:
    return [f"{d.code} {d.message}" for d in findings(text, extern, preset, **dims)]


def simple(body: str, claims: str, inputs: str = "in x: float[B, S, 4]") -> str:
    return f"model M {{\n  {inputs}\n  {body}\n  out y\n  {claims}\n}}\n"


# --------------------------------------------------------------------------------------------------------- attention

LAYERS = {
    "encoder.PreNormLayer": "heads = 2, ffn = 8",
    "encoder.PostNormLayer": "heads = 2, ffn = 8",
    "qwen2.DecoderLayer": "heads = 2, kv_heads = 1, ffn = 8",
}


def layer(name: str, causal: str, given: str = "x") -> str:
    text = simple(
        f"layer = {name.split('.')[1]}(8, {LAYERS[name]}, causal = {causal}); y = layer({given})",
        "assert y[:, :-1] ignores x[:, -1:]; assert y[:, -1] uses x[:, 0]",
        "in x: float[B, S, 8]; in mask: bool[B, S]" if "mask" in given else "in x: float[B, S, 8]",
    )
    return f"import {name}\n{text}"


@pytest.mark.parametrize("given", ["x", "x, mask"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_causal_layer_ignores_what_follows(name: str, given: str) -> None:
    assert messages(layer(name, "true", given)) == []


@pytest.mark.parametrize("name", LAYERS)
def test_a_bidirectional_layer_does_not(name: str) -> None:
    found = findings(layer(name, "false"))
    assert [f"{d.code} {d.message}" for d in found] == ["A703 `y[:, :-1]` does not ignore `x[:, -1:]` at B = 2, S = 3"]
    assert found[0].span.text == "assert y[:, :-1] ignores x[:, -1:]"
    assert [label.span.text for label in found[0].labels] == ["y[:, :-1]", "x[:, -1:]"]
    assert found[0].labels[0].text == "entry [0, 0, 0] of this"
    assert found[0].labels[1].text.startswith("changes with entry [0, 2, ") and "derivative" in found[0].labels[1].text


# ------------------------------------------------------------------------------------------------ ways of depending

HOLDS = {
    "positions apart": ("f = Linear(4, 4); y = f(x)", "assert y[:, 0] ignores x[:, 1:]; assert y[:, 0] uses x[:, 0]"),
    "a window": ("f = Conv1d(4, 4, 3, padding = 1); y = f(transpose(x, 1, 2)).mT", "assert y[:, 0] ignores x[:, 2:]; assert y[:, 0] uses x[:, 1]"),
    "a wider window than the first sizes": ("y = x * 2.0", "assert y[:, :10] ignores x[:, 12:]"),
    "samples": ("norm = BatchNorm1d(4); y = norm(x.mT).mT", "assert y[0] uses x[0]"),
    "a sum": ("y = cumsum(x, dim = 1)", "assert y[:, :2] ignores x[:, 2:]; assert y[:, 2] uses x[:, 0, 1:3]"),
    "zero parameters hide nothing": ("f = Linear(4, 4, init = zeros); w = Parameter([4], init = zeros); y = w * f(x)", "assert y[:, 0] uses x[:, 0]"),
    "a dead relu": ("w = Parameter([4], init = constant(-9.0)); y = relu(w * x)", "assert y[:, 0, :1] uses x[:, 0, :1]"),
    "a part of a parameter": ("w = Parameter([6, 4]); y = x + w[0] + w[1]", "assert y[:, 0] ignores w[2:]; assert y[:, 0] uses w[1, :2]"),
    "a part of a weight": ("f = Linear(4, 4); y = f(x)", "assert y[:, :, 0] ignores f.weight[1:]; assert y[:, :, 0] uses f.bias[:1]"),
    "a module": ("f, g = Linear(4, 2), Linear(4, 2); y = concat(f(x), g(x), dim = -1)", "assert y[..., :2] ignores g; assert y[..., 2:] uses g"),
    "detach is a way": ("y = x + detach(sum(x, dim = 1, keepdim = true))", "assert y[:, 0] uses x[:, 1]"),
    "random numbers": ("y = dropout(x, 0.5) + x", "assert y[:, 0] ignores x[:, 1:]"),
    "a drawn input": ("draw eps: float[B, S, 4] ~ normal(0, 1); y = x + eps", "assert y[:, 0] ignores eps[:, 1:]; assert y[:, 0] uses eps[:, 0]"),
    "members by their places": ("index kinds = {a, b, c}; y = x[..., :3] * 2.0", "assert y[..., kinds.b] ignores x[..., kinds.a]"),
    "a size as a bound": ("y = flip(x, dim = 1)", "assert y[:, 0] ignores x[:, :S - 1]; assert y[:, 0] uses x[:, S - 1]"),
    "complex values": ("y = real(ifft(fft(float32(x), dim = 1), dim = 1))", "assert y[0] ignores x[1:]"),
}


@pytest.mark.parametrize("name", HOLDS)
def test_true_claims_hold(name: str) -> None:
    assert messages(simple(*HOLDS[name])) == []


BREAKS = {
    "a mean": ("y = x + mean(x, dim = 1, keepdim = true)", "assert y[:, 0] ignores x[:, 1:]", "A703", "derivative"),
    "the other way": ("y = flip(cumsum(x, dim = 1), dim = 1)", "assert y[:, :1] ignores x[:, 1:]", "A703", "derivative"),
    "detach": ("y = x + detach(mean(x, dim = 1, keepdim = true))", "assert y[:, 0] ignores x[:, 1:]", "A703", "no derivative"),
    "a choice": ("y = one_hot(argmax(x, dim = 1), 64)", "assert y[:, 0] ignores x[:, 1:, 0]", "A703", "no derivative"),
    "weak masking": ("m = exp(-45.0) * sum(x, dim = 1, keepdim = true); y = x + m", "assert y[:, 0] ignores x[:, 1:]", "A703", "derivative 2.86e-20"),
    "positions apart": ("y = relu(x)", "assert y[:, 0] uses x[:, 1:]", "A704", "changes with any of this"),
    "a module's part": ("f = Linear(4, 4); y = f(x)", "assert y[..., 0] uses f.weight[1:]", "A704", "changes with any of this"),
    "a module": ("f, g = Linear(4, 2), Linear(4, 2); y = concat(f(x), g(x), dim = -1)", "assert y[..., 1:] ignores f", "A703", "`f."),
    "a running mean": ("b = Buffer([4]); update b = mean(x, dim = [0, 1]); y = x + b", "assert y[0] ignores b[1:]", "A703", "no derivative"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_false_claims_are_found(name: str) -> None:
    body, claim, code, words = BREAKS[name]
    found = findings(simple(body, claim))
    assert [d.code for d in found] == [code]
    assert words in found[0].labels[1].text


def test_whole_numbers_and_masks_are_given_other_values() -> None:
    inputs = "in ids: int[B, S] in 0..9; in mask: bool[B, S]"
    body = "table = Embedding(9, 4); e = table(ids); y = where(mask[:, :, none], e, 0.0)"
    true = "assert y[:, 0] ignores ids[:, 1:]; assert y[:, 0] uses ids[:, :1]; assert y[:, :-1] ignores mask[:, -1]; assert y[:, 0] uses mask[:, 0]"
    assert messages(simple(body, true, inputs)) == []
    shared = body + " + masked_mean(e, mask[:, :, none], dim = 1, keepdim = true)"
    found = findings(simple(shared, "assert y[:, 0] ignores ids[:, 1:]\n  assert y[:, 0] ignores mask[:, 1:]", inputs))
    assert [d.message.split(" at ")[0] for d in found] == ["`y[:, 0]` does not ignore `ids[:, 1:]`", "`y[:, 0]` does not ignore `mask[:, 1:]`"]
    assert all(d.labels[1].text.startswith("changes with entry [") for d in found)


UNDECIDED = {
    "beyond every size tried": (
        "y = x * 2.0",
        "assert y[:, 0] ignores x[:, 700:]",
        "`y[:, 0] ignores x[:, 700:]` can't be tested: a part is empty, or reaches beyond its tensor, at B = 2, S = 3; B = 3, S = 4; B = 5, S = 6; "
        "B = 8, S = 9; B = 12, S = 14; B = 18, S = 20; B = 32, S = 40",
    ),
    "no numbers": (
        "y = log(-exp(x))",
        "assert y[:, 0] ignores x[:, 1:]",
        "`y[:, 0] ignores x[:, 1:]` can't be tested: `y[:, 0]` holds values that are no numbers at B = 2, S = 3",
    ),
    "no other values": (
        "z = full([5, 2], 3); y = z[:, none] * 2",
        "assert y[0] ignores z[1:]",
        "`y[0] ignores z[1:]` can't be tested: `z[1:]` is the same whatever the inputs are at B = 2, S = 3",
    ),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_no_test_decides_is_said(name: str) -> None:
    body, claim, message = UNDECIDED[name]
    assert messages(simple(body, claim)) == [f"A706 {message}"]


def test_one_of_a_family_is_enough_to_be_used() -> None:
    body = "for t in {a, b} { z = full([5, 2], 3) if t == a else x[:, :2, 0] * 1.0 }; y = z[b][:, 0] + float(z[a][0, 0])"
    assert messages(simple(body.replace("t == a", "one[t]").replace("for t", "one = {a: true, b: false}; for t"), "assert y[:1] uses z")) == []


def test_claims_in_a_loop_are_told_apart() -> None:
    body = "h = x; repeat i in 0..7 carry h { h = roll(h, 1, dim = 1) if i == 5 else h * 2.0; assert h[:, 0] ignores x[:, -1] }; y = h"
    found = findings(simple(body, "assert y[:, 1] uses x[:, 0]"))
    assert [(d.code, d.span.text) for d in found] == [("A703", "assert h[:, 0] ignores x[:, -1]")]


def test_sizes_can_be_given() -> None:
    text = simple("y = x * 2.0", "assert y[:, 0] ignores x[:, 700:]")
    tested = archloom.compile(text).check_claims(S=701, B=1)
    assert list(map(str, tested)) == ["y[:, 0] ignores x[:, 700:], tested at B = 1, S = 701"]
    with pytest.raises(ValueError, match="no input has a size `s`: the sizes are `B`, `S`"):
        archloom.compile(text).check_claims(s=701)


# -------------------------------------------------------------------------------------------------- blocks and calls

MIXER = """block Mixer(dim: int, wide: bool = false) {
  in x: float[B, S, dim]
  f = Linear(dim, dim)
  z = f(x) + roll(x, 1, dim = 1) if wide else f(x)
  out y = z
  assert y[:, 0] ignores x[:, 1:]
}
"""


def test_a_block_is_tested_in_each_of_its_calls() -> None:
    text = MIXER + "model M {\n  in x: float[B, S, 4]\n  repeat i in 0..9 carry x {\n    mixer = Mixer(4)\n    x = mixer(x)\n  }\n  out y = x\n}\n"
    tested = archloom.compile(text).check_claims()
    assert list(map(str, tested)) == ["y[:, 0] ignores x[:, 1:], tested in 9 calls at B = 2, S = 3; B = 3, S = 4"]
    assert "    open: y[:, 0] ignores x[:, 1:] in 9 calls, line 6: `check --gradients` tests it"[2:] in check_text(Source("a.arch", text)).report


def test_a_broken_call_is_named_once_for_its_place() -> None:
    body = "  wide = {a: false, b: true}\n  for t in {a, b} {\n    mixer = Mixer(4, wide = wide[t])\n    h = mixer(x)\n  }\n  out y = h[*]\n"
    text = MIXER + "model M {\n  in x: float[B, S, 4]\n" + body + "}\n"
    assert messages(text) == ["A703 `y[:, 0]` does not ignore `x[:, 1:]` at B = 2, S = 3, in `mixer.b`"]


def test_inputs_of_a_block_are_held_fixed_as_they_come() -> None:
    """What a caller computes from the same value elsewhere is no fault of the block; a mask that makes it causal counts."""
    block = "block Pick {\n  in x, z: float[B, S, 4]\n  in seen: bool[S, S]\n  w = where(seen[:, :, none], x[:, none], 0.0)\n"
    block += "  out y = sum(w, dim = 2) + z\n  assert y[:, 0] ignores x[:, 1:]\n}\n"
    wrong = ["A703 `y[:, 0]` does not ignore `x[:, 1:]` at B = 2, S = 3, in `pick`"]
    for mask, found in (("tril(ones([S, S])) > 0.5", list[str]()), ("ones([S, S]) > 0.5", wrong)):
        body = f"pick = Pick(); z = cumsum(x, dim = 1) + mean(x, dim = 1, keepdim = true); y = pick(x, z, {mask})"
        assert messages(block + simple(body, "")) == found


def test_a_module_that_is_handed_in_is_found_where_it_lives() -> None:
    block = "block Use(router: module) {\n  in x: float[B, S, 4]\n  y = router(x)\n  out y\n  assert y[..., 0] ignores router.weight[1:]\n"
    block += "  assert y[..., 0] uses router.weight[:1]\n}\n"
    body = "shared = Linear(4, 4); first, second = Use(router = shared), Use(router = shared); y = second(first(x))"
    assert messages(block + simple(body, "")) == []
    assert messages(block.replace("router.weight[1:]", "router.weight[:2]") + simple(body, "")) == [
        "A703 `y[..., 0]` does not ignore `router.weight[:2]` at B = 2, S = 3, in `first`"
    ]


def test_an_operation_that_hands_its_input_on_is_no_way_around() -> None:
    text = simple("h = dropout(x, 0.5); y = h + flip(x, dim = 1)", "assert y[:, 0] ignores h[:, 1:]")
    assert messages(text) == []


class Shift(nn.Module):
    """Moves the sequence by one place, to the right or to the left."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * torch.roll(x, self.step, dims=1)


@pytest.mark.parametrize(("step", "found"), [(1, []), (-1, ["A703 `y[:, 1:]` does not ignore `x[:, -1:]` at B = 2, S = 3, in `shift`"])])
def test_an_extern_block_is_tested_too(step: int, found: list[str]) -> None:
    block = 'extern block Shift(step: int) from "somewhere:Shift" {\n  in x: float[B, S, 4]\n  out y: float[B, S, 4]\n'
    block += "  assert y[:, 1:] ignores x[:, -1:]\n}\n"
    assert messages(block + simple(f"shift = Shift({step}); y = shift(x)", ""), extern={"somewhere:Shift": Shift}) == found


# ------------------------------------------------------------------------------------------------ modes and borders


def test_training_is_tested_where_it_differs() -> None:
    text = simple("norm = BatchNorm1d(4); y = norm(x.mT).mT", "assert y[0] ignores x[1:]")
    assert messages(text) == []  # one body: the mode is the module's
    text = simple("m = mean(x, dim = 0, keepdim = true) if training else 0.0; y = x + m", "assert y[0] ignores x[1:]")
    assert messages(text) == ["A703 `y[0]` does not ignore `x[1:]` at B = 2, S = 3, in training"]


def test_updates_in_training_leave_the_next_run_as_it_was() -> None:
    text = simple("if training { y = x * 2.0 } else { y = x }; b = Buffer([4]); update b = b + mean(x, dim = [0, 1]); z = y + b", "")
    assert messages(text.replace("out y", "out z; assert z[0] ignores x[1:]")) == []


def test_entries_and_stages_that_set_arguments_are_tested() -> None:
    text = "model M(wide: bool = false) {\n  in x: float[B, S, 4]\n  y = x + mean(x, dim = 1, keepdim = true) if wide else x\n  out y\n"
    text += "  assert y[:, 0] ignores x[:, 1:]\n  f = Linear(4, 1)\n  loss l = mean(f(y))\n}\n"
    assert messages(text) == []
    assert messages(text + "train M {\n  stage s { tune f; set wide = true }\n}\n") == [
        "A703 `y[:, 0]` does not ignore `x[:, 1:]` at B = 2, S = 3, in the stage `s`"
    ]


CACHE = """block Memory(dim: int) {
  in x: float[B, S, dim]
  state seen: float[B, P, dim] = empty
  seen = append(seen, x, dim = 1)
  out y = READ
  assert y[:, 0] ignores x[:, 1:]
}
model M {
  in x: float[B, S, 4]
  memory = Memory(4)
  y = memory(x)
  out y
  entry decode { in x: float[B, 3, 4]; out next = y }
}
"""


def test_entries_are_tested_with_caches_that_hold_something() -> None:
    tested = archloom.compile(CACHE.replace("READ", "x + seen[:, :1]")).check_claims()
    assert list(map(str, tested)) == ["y[:, 0] ignores x[:, 1:], tested at B = 2, S = 3; B = 3, S = 4; B = 2, P = 3; B = 3, P = 4"]
    found = ["A703 `y[:, 0]` does not ignore `x[:, 1:]` at B = 2, S = 3, in `memory`"]
    assert messages(CACHE.replace("READ", "x + mean(seen, dim = 1, keepdim = true)")) == found


def test_claims_of_a_preset_are_tested_with_it() -> None:
    text = "model M(step: int = 1) { in x: float[B, S, 4]; y = roll(x, step, dim = 1); out y }\n"
    text += "preset back for M { step = -1; assert y[:, 1] ignores x[:, 2] }\n"
    assert messages(text) == []
    assert messages(text, preset="back") == ["A703 `y[:, 1]` does not ignore `x[:, 2]` at B = 2, S = 3"]


def test_the_model_that_is_asked_stays_as_it_was() -> None:
    model = archloom.compile(layer("encoder.PreNormLayer", "true"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, dtype = torch.random.get_rng_state(), torch.get_default_dtype()
    first, second = model.check_claims(seed=3), model.check_claims(seed=3)
    assert first == second and len(first) == 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.grad is None for value in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state) and torch.get_default_dtype() is dtype


def test_claims_leave_the_graph_and_the_emitted_source_alone() -> None:
    text = layer("encoder.PreNormLayer", "true")
    plain = text.split("  assert")[0] + "}\n"
    one, other = archloom.compile(text), archloom.compile(plain)
    assert one.graph_module().code == other.graph_module().code
    x = torch.randn(2, 3, 8)
    assert archloom.compile(text, source=True)(x).keys() == {"y"}


def test_an_error_inside_names_its_line() -> None:
    text = simple("y = take(x, ids + 9, dim = 1)", "assert y[:, 0] ignores x[:, 1:]", "in x: float[B, 2, 4]; in ids: int[S]")
    with pytest.raises(archloom.ModelError, match="take"):
        archloom.compile(text).check_claims()
