"""What can be audited and what can't: each form of a subject, and the error that each wrong one gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import archloom
from archloom.compiler.audit.run import audited
from archloom.compiler.audit.subject import as_subject

from .defects import DEFECTS, Net, batch, losses, subject
from .tricky import TRICKY

X = torch.randn(3, 4)


class Raising(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        raise KeyError("depth")


def given(**more: Any) -> Callable[[], object]:
    return lambda: as_subject({"model": nn.Linear(4, 2), "batch": X, "losses": lambda net, x: net(x).mean(), **more})


def run(**more: Any) -> Callable[[], object]:
    make = given(**more)
    return lambda: audited(as_subject(make()))


def odd(parameters: Any = None) -> nn.Module:
    """Return a model that has a number among its parameters; with `parameters` these seem to be those of another module."""
    net: Any = nn.Linear(4, 2)
    net._parameters["q"] = 3
    if parameters is not None:
        net.parameters = parameters(4, 2).parameters
    return net


def nowhere() -> object:
    return archloom.audit(Net(), batch(), losses, checkpoint="nowhere.safetensors")


WRONG: dict[str, tuple[str, str, Callable[[], object]]] = {
    "no model": ("A561", "the function returned nothing, which is no subject", lambda: as_subject(None)),
    "a dict without one": ("A561", "the function returned a `dict`, which is no subject", lambda: as_subject({"batch": X})),
    "a misspelt field": ("A561", "a subject has no `optimiser`", given(optimiser=None)),
    "a class": ("A561", "the model is a `type`, not a `torch.nn.Module`", given(model=nn.Linear)),
    "no batch": ("A561", "there is no batch to run the model on", given(batch=None)),
    "a loader": ("A561", "`batches` is a `set`, not a list", given(batches={1, 2})),
    "no steps": ("A561", "0 steps show nothing", given(steps=0)),
    "no optimiser": ("A561", "`optimizer` is a `str`, not a `torch.optim.Optimizer`", given(optimizer="adam")),
    "no text": ("A561", "3 is no selector", given(frozen=[3])),
    "a number for a parameter": ("A561", "the model has a `int` among its parameters and buffers", given(model=odd())),
    "a number that only one list has": ("A561", "`q` of the model is a `int`, not a parameter", run(model=odd(nn.Linear))),
    "no selector": ("A561", "`frozen` is a `int`, no selector", given(frozen=3)),
    "losses of the outputs": ("A561", "`losses` doesn't take a model and a batch", given(losses=lambda output: output.mean())),
    "losses of more": ("A561", "`losses` doesn't take a model and a batch", given(losses={"a": lambda net, x, step: net(x).mean()})),
    "no preparation": ("A561", "`prepare` isn't a function of the model", given(prepare=3)),
    "a batch on the meta device": ("A561", "the batch is on the meta device, where nothing is computed", given(batch=X.to("meta"))),
    "losses that give nothing": ("A563", "no batch has a loss", run(losses=lambda net, x: None)),
    "the meta device": ("A561", "the model is on the meta device, where nothing is computed", given(model=nn.Linear(4, 2, device="meta"))),
    "a script": ("A561", "the model is TorchScript, whose steps can't be watched", lambda: given(model=torch.jit.script(nn.Linear(4, 2)))()),
    "a lazy module": ("A561", "the model has parameters without a shape", given(model=nn.LazyLinear(2))),
    "a model that raises": ("A562", "computing the losses failed: KeyError: 'depth'", run(model=Raising(4, 2))),
    "a wrong batch": ("A562", "mat1 and mat2 shapes cannot be multiplied", run(batch=X[:, :3])),
    "no loss": ("A563", "the model's output has no `loss`: it is a `Tensor`", run(losses=None)),
    "no loss among others": ("A563", "the model's output has no `loss`: it has `depth`, `kind`", run(model=Net(), losses=None)),
    "a misspelt loss": ("A563", "the model's output has no loss `deph`", run(model=Net(), losses=["deph"])),
    "a loss of many numbers": ("A505", "the loss `loss` is a tensor of shape [3, 2], not one number", run(losses=lambda net, x: net(x))),
    "a number": ("A505", "the loss `a` is a `float`, not a tensor", run(losses={"a": lambda net, x: net(x).mean().item()})),
    "no checkpoint": ("A650", "there is nothing at `nowhere.safetensors`", nowhere),
}
"""What each gets: a code, what the message says, and how it comes."""


@pytest.mark.parametrize("name", WRONG)
def test_what_can_not_be_audited(name: str) -> None:
    code, message, make = WRONG[name]
    with pytest.raises(archloom.Failure) as caught:
        make()
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == code
    assert message in diagnostic.message


def test_a_batch_may_lack_all_losses() -> None:
    found = archloom.audit(nn.Linear(4, 2), batches=[X, X[:2]], losses=lambda net, x: {"fit": net(x).mean() if len(x) > 2 else None})
    assert found.ok and found.reach["fit"] == ("weight", "bias")


def test_a_suggestion_where_a_name_is_near() -> None:
    for name, near in (("a misspelt field", "optimizer"), ("a misspelt loss", "depth")):
        with pytest.raises(archloom.Failure) as caught:
            WRONG[name][2]()
        assert caught.value.diagnostics[0].help == f"did you mean `{near}`?"


def test_the_line_of_an_error_is_named() -> None:
    with pytest.raises(archloom.Failure) as caught:
        WRONG["a model that raises"][2]()
    assert 'raise KeyError("depth")' in str(caught.value.diagnostics[0].help)


def test_a_model_is_whole_again_after_an_error() -> None:
    net: Any = Net().eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}

    calls: list[int] = []

    def fails_at_last(net: Any, given: Any) -> Any:
        calls.append(1)
        if len(calls) > 12:
            raise RuntimeError("enough")
        return losses(net, given)

    with pytest.raises(archloom.Failure, match="enough"):
        archloom.audit(net, batch(), fails_at_last)
    assert not net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    "form", [lambda s: s, lambda s: {"model": s.model, "batch": s.batch, "losses": s.losses}, lambda s: (s.model, s.batch, s.losses)]
)
def test_the_forms_of_a_subject(form: Callable[[Any], object]) -> None:
    made = as_subject(form(subject()))
    assert isinstance(made.model, Net) and made.losses is losses and set(made.batch) == {"x", "depth", "kind"}


def test_a_checkpoint_in_a_file(tmp_path: Path) -> None:
    net = Net()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    state["heads.kind.bias"] += 1
    save_file(state, tmp_path / "model.safetensors")
    found = archloom.audit(net, batch(), losses, checkpoint=tmp_path / "model.safetensors")
    assert found.ok and found.checkpoint is not None
    assert set(found.checkpoint.common) - set(found.checkpoint.held) == {"heads.kind.bias"}


@pytest.mark.parametrize(
    ("rename", "missing", "unused", "help"),
    [
        (lambda name: f"module.{name}", 11, 0, "all of them are there, under names that differ by `module.` in front"),
        (lambda name: name.removeprefix("trunk."), 7, 0, "all of them are there, under names that differ by `trunk.` in front"),
        (lambda name: f"net.{name}" if "trunk" in name else f"{name}_", 11, 4, "7 of them are there, under names that differ by `net.` in front"),
        (lambda name: f"{name}_", 11, 11, "`trunk.0.weight` is nearest to `trunk.0.weight_`"),
    ],
)
def test_names_that_differ_in_front(rename: Callable[[str], str], missing: int, unused: int, help: str) -> None:
    net = Net()
    found = archloom.audit(net, batch(), losses, checkpoint={rename(name): value for name, value in net.state_dict().items()})
    counts = {finding.code: len(finding.paths) for finding in found.findings}
    assert counts == {"A653": missing, **({"A655": unused} if unused else {})}
    assert found.findings[0].diagnostic.help == help


def test_a_tied_parameter_stands_once() -> None:
    made = TRICKY["tied parameters, one batch for both"]()
    found = archloom.audit(made.model, made.batch, frozen="head", checkpoint={"head.weight": torch.zeros(7, 4)})
    assert found.tied == {"embed.weight": ("head.weight",)}
    assert [(part.path, part.tensors, part.numbers) for part in found.parts] == [("embed", 1, 28)]
    finding, nothing_trained = found.findings
    assert (finding.code, finding.paths, nothing_trained.code) == ("A550", ("embed.weight",), "A557")
    assert "`embed.weight` (tied: `head.weight`)" in finding.message


def test_what_a_selector_says_is_an_error_and_what_may_be_meant_a_warning() -> None:
    made = DEFECTS["moved by forward though frozen"][3]()
    for frozen, severity in (([], "warning"), (["center"], "error")):
        [finding] = archloom.audit(made.model, made.batch, made.losses, frozen=frozen).findings
        assert (finding.code, finding.diagnostic.severity.value) == ("A550", severity)


def test_several_optimisers() -> None:
    net: Any = Net()
    parts = [torch.optim.SGD(net.trunk.parameters(), lr=0.1), torch.optim.Adam(net.heads.depth.parameters())]
    [finding] = archloom.audit(net, batch(), losses, optimizer=parts).findings
    assert (finding.code, finding.paths) == ("A554", ("heads.kind.weight", "heads.kind.bias"))


def test_a_batch_is_given_back_as_it_was() -> None:
    given = batch()
    before = {name: value.clone() for name, value in given.items()}

    def overwrites(net: Any, given: Any) -> Any:
        given["x"][0] = 0
        return losses(net, given)

    assert archloom.audit(Net(), given, overwrites).ok
    assert all(torch.equal(value, before[name]) for name, value in given.items())


def test_a_narrow_table_has_a_line_for_each_loss() -> None:
    found = archloom.audit(Net(), batch(), losses)
    assert "reached by depth" in found.text(100) and all(len(line) <= 60 for line in found.text(60).splitlines())
    lines = [" ".join(line.split()) for line in found.text(60).splitlines()]
    assert "loss first reaches" in lines and f"depth {found.losses['depth']:.4g} 6 tensors" in lines


def test_attributes_and_replaced_buffers_are_put_back() -> None:
    made = TRICKY["a table that forward moves"]()
    model: Any = made.model
    table, values = model.table, model.table.clone()
    audited(made)
    assert model.calls == 0 and model.table is table and torch.equal(table, values)


def test_selectors_say_what_they_match() -> None:
    matches = {
        "trunk": 4,
        "trunk.0": 2,
        "trunk[0]": 2,
        "trunk[1..]": 2,
        "trunk[0..=1].weight": 2,
        "**.bias": 4,
        "heads.*.weight": 2,
        "heads.{depth, kind}.bias": 2,
        "**.w*": 4,
        "**": 8,
    }
    found = archloom.audit(Net(), batch(), losses, select=list(matches))
    assert {selector: len(paths) for selector, paths in found.selectors.items()} == matches


@pytest.mark.parametrize(
    ("selector", "message", "help"),
    [
        ("trunk[7]", "there is no `7` in `trunk`", "there are `0`, `1`"),
        ("heads.dept", "there is no `dept` in `heads`", "did you mean `depth`?"),
        ("bias", "there is no `bias`", "there is one further down: write `**.bias`"),
        ("trunk.0.bias.x", "there is no `x` in `trunk.0.bias`", "nothing lies below it: it is a tensor"),
        ("trunk.2", "it holds no parameters", "select a module that does"),
        ("trunk[0..0]", "there is no `0..0` in `trunk`", "there are `0`, `1`"),
    ],
)
def test_what_matches_nothing_says_where_it_stops(selector: str, message: str, help: str) -> None:
    [finding] = archloom.audit(Net(), batch(), losses, select=selector).findings
    assert finding.message == f"`{selector}` matches nothing: {message}"
    assert finding.diagnostic.help == help
