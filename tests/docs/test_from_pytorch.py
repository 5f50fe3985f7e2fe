"""The page that stands PyTorch and archloom side by side: both texts of each pair are run, with one set of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import archloom

PAGE = Path(__file__).parents[2] / "docs" / "from-pytorch.md"
SIZES = {"B": 3, "S": 5}


def pairs() -> dict[str, tuple[str, str]]:
    """Return the Python and the .arch text of each section, by its title."""
    found: dict[str, tuple[str, str]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title = section.splitlines()[0]
        (python,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        (arch,) = re.findall(r"```arch\n(.*?)```", section, re.DOTALL)
        found[title.split(".")[0]] = python, arch
    return found


PAIRS = pairs()


def run(number: str) -> tuple[Any, dict[str, Any]]:
    """Return the PyTorch model of a pair, with random weights, and the names of its snippet."""
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "load_file": load_file}
    exec(compile(PAIRS[number][0], f"from-pytorch.md, {number}", "exec", dont_inherit=True), names)
    torch.manual_seed(0)
    return names["Net"](), names


def copied(number: str, reference: nn.Module, **options: Any) -> Any:
    """Return the compiled model of a pair with the weights of the reference, by name."""
    model = archloom.compile(PAIRS[number][1], **options)
    model.load_state_dict(reference.state_dict(), strict=True)
    return model


def inputs(number: str, model: Any) -> dict[str, Any]:
    """Return example inputs with the sizes of this page; rows of a mask are padded on the right."""
    sizes = {name: size for name, size in SIZES.items() if re.search(rf"\[.*\b{name}\b.*\]", PAIRS[number][1])}
    given: dict[str, Any] = dict(model.example_inputs(**sizes))
    if "mask" in given:
        given["mask"] = torch.arange(5)[None] < torch.tensor([5, 3, 1])[:, None]
    return given


def same(found: Any, wanted: Any) -> None:
    """Compare results of one structure."""
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            same(found[key], value)
    else:
        torch.testing.assert_close(found, wanted)


def tensors(result: Any) -> list[Tensor]:
    """Return the tensors of a result in the order of their names; losses by name are left out, as PyTorch's side has none."""
    if not isinstance(result, Mapping):
        return [result]
    return [leaf for key in sorted(result) if key != "losses" for leaf in tensors(result[key])]


def test_there_are_ten_pairs() -> None:
    assert list(PAIRS) == [str(n) for n in range(1, 11)]


@pytest.mark.parametrize("number", ["1", "2", "3", "5", "7", "8", "9"])
def test_pair_gives_equal_numbers_and_gradients(number: str) -> None:
    theirs, _ = run(number)
    ours = copied(number, theirs)
    given = inputs(number, ours)
    found, wanted = ours(**given), theirs(**given)
    same(found, wanted)
    if not list(theirs.parameters()):
        return
    for result in (found, wanted):
        torch.stack([value.square().sum() for value in tensors(result)]).sum().backward()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_freezing() -> None:
    theirs, _ = run("4")
    ours = copied("4", theirs)
    for model in (ours, theirs):
        model.train()
    given = inputs("4", ours)
    before = {k: v.clone() for k, v in ours.state_dict().items() if k.startswith("tower")}
    found, wanted = ours(**given), theirs(**given)
    same(found, wanted)
    found.y.sum().backward()
    for name, parameter in ours.named_parameters():
        assert (parameter.grad is None) is name.startswith("tower")
    assert all(torch.equal(value, ours.state_dict()[key]) for key, value in before.items())


def test_tied_weights_are_one_parameter() -> None:
    theirs, _ = run("5")
    ours = copied("5", theirs)
    assert ours.embed.weight is ours.lm_head.weight
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


def test_loading_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shapes = {"weight": (8, 8), "bias": (8,)}
    state = {f"encoder.block.{i}.dense.{name}": torch.randn(shape) for i in (1, 2) for name, shape in shapes.items()}
    save_file(state | {"pooler.weight": torch.randn(4)}, "official.safetensors")
    theirs, _ = run("6")
    ours = archloom.compile(PAIRS["6"][1], weights=tmp_path)
    ours.get_submodule("head").load_state_dict(theirs.head.state_dict())
    given = inputs("6", ours)
    same(ours(**given), theirs(**given))

    with pytest.raises(archloom.Failure, match="head"):
        archloom.compile(PAIRS["6"][1].replace('.safetensors" {', '.safetensors" complete {'), weights=tmp_path)
    with pytest.raises(archloom.Failure, match="pooler.weight"):
        archloom.compile(PAIRS["6"][1].replace('drop "pooler.**"', ""), weights=tmp_path)


def test_a_module_of_ones_own() -> None:
    theirs, names = run("10")
    ours = copied("10", theirs, extern={"snippets:Decay": names["Decay"]})
    given = inputs("10", ours)
    same(ours(**given), theirs(**given))
    with pytest.raises(archloom.Failure, match="A821"):
        archloom.compile(PAIRS["10"][1])


def test_a_wrong_pattern_is_an_error() -> None:
    with pytest.raises(archloom.Failure, match="32"):
        archloom.compile(PAIRS["7"][1].replace("h = 4", "h = 5"))
