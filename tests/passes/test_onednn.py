"""Linears by oneDNN: where they are taken, the numbers are the same, and where gradients or transforms are wanted they are not taken."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor
from torch.func import jvp, vmap
from torch.nn import functional

from archloom.compiler.runtime import onednn
from archloom.compiler.runtime.onednn import onednn_linear


@pytest.mark.parametrize("shape", [(64, 128), (4, 16, 128), (64, 2, 128)])
@pytest.mark.parametrize("biased", [True, False])
def test_numbers_are_the_same(shape: tuple[int, ...], biased: bool) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(256, 128), torch.randn(256) if biased else None
    with torch.no_grad():
        wanted, found = functional.linear(x, weight, bias), onednn_linear(x, weight, bias)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
        narrow = onednn_linear(x[..., :64], weight[:, :64], bias)  # views of other strides
        torch.testing.assert_close(narrow, functional.linear(x[..., :64], weight[:, :64], bias))
        for rows in (torch.randn(128, 96).mT, torch.randn(96, 130)[:, 1:129], torch.randn(1, 128).expand(96, 128), torch.randn(96, 256)[:, ::2]):
            wanted, found = functional.linear(rows, weight, bias), onednn_linear(rows, weight, bias)
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
        assert torch.equal(onednn_linear(x.double(), weight.double()), functional.linear(x.double(), weight.double()))
        assert found.shape == wanted.shape and found.is_contiguous()


@pytest.fixture(autouse=True)
def paying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let oneDNN be the faster one, whatever the processor."""
    monkeypatch.setattr(onednn, "pays", lambda: True)


@pytest.mark.parametrize("grad", [True, False])
def test_clipped_at_zero(grad: bool) -> None:
    """As `relu` does, which leaves NaN as it is; oneDNN's own would not."""
    torch.manual_seed(0)
    x, weight = torch.randn(64, 128, requires_grad=grad), torch.randn(256, 128)
    x.detach()[0, 0] = torch.nan
    with torch.set_grad_enabled(grad):
        wanted, found = torch.relu(functional.linear(x, weight)), onednn_linear(x, weight, rectify=True)
    torch.testing.assert_close(found, wanted, equal_nan=True)
    assert found[0].isnan().all() and found.requires_grad is grad


def test_where_it_is_not_the_faster_one_linears_are_computed_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        time.sleep(0.02)
        return x @ weight.mT

    monkeypatch.undo()
    onednn.pays.cache_clear()
    monkeypatch.setattr(onednn, "_pointwise", late)
    assert not onednn.pays()
    monkeypatch.setattr(functional, "linear", late)
    monkeypatch.setattr(onednn, "_pointwise", lambda *given: None)
    onednn.pays.cache_clear()
    assert onednn.pays()
    onednn.pays.cache_clear()


def test_where_torch_lacks_the_operation_linears_are_computed_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> None:
        raise AttributeError("no such operation")

    x, weight = torch.randn(64, 128), torch.randn(256, 128)
    assert onednn.works(), "here torch has it"
    for other in (fails, lambda x, weight, bias: functional.linear(x, weight, bias) + 1):
        monkeypatch.setattr(onednn, "_pointwise", other)
        onednn.works.cache_clear()
        with torch.no_grad():
            assert torch.equal(onednn_linear(x, weight), functional.linear(x, weight))
    monkeypatch.undo()
    onednn.works.cache_clear()


def test_gradients_and_transforms_go_through() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(64, 128, requires_grad=True), torch.randn(256, 128, requires_grad=True)
    got, wanted = (torch.autograd.grad(each(x, weight).square().sum(), (x, weight)) for each in (onednn_linear, functional.linear))
    assert all(map(torch.equal, got, wanted))
    with torch.no_grad():
        assert torch.equal(jvp(lambda x: onednn_linear(x, weight), (x,), (x,))[1], functional.linear(x, weight))
        torch.testing.assert_close(vmap(lambda x: onednn_linear(x, weight))(x[None].expand(3, 64, 128))[2], functional.linear(x, weight))
        with torch.autocast("cpu", torch.bfloat16):
            assert onednn_linear(x, weight).dtype is torch.bfloat16
