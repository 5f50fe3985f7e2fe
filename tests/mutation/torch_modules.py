# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's own modules: classes of torch, with what their documentation asks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .checks import INTS, equal, floats, listed, need, of, within
from .torch_elementwise import TABLE
from .torch_places import _places
from .values import Unknown

# ------------------------------------------------------------------------------------------------------------- modules


class Layer(nn.Module):
    """A module without a class in torch."""

    def forward(self, x: Tensor) -> Tensor:
        return TABLE["drop_path"](x, self.p)


def _positive(*values: int) -> None:
    need(all(v >= 1 for v in values), f"a width below 1 in {values}")
    need(math.prod(values) < 2**62, "a tensor that no machine holds")
    if math.prod(values) > 10**8:
        raise Unknown("a tensor too large to try")


def _conv_leaf(kind: str, count: int) -> Callable[..., nn.Module]:
    def make(cin: int, cout: int, kernel: Any, stride: Any, groups: int, bias: bool, dilation: Any, padding: Any = 0, **options: Any) -> nn.Module:
        _positive(cin, cout, groups)
        k, s, d = (_places(v, count, 1, w) for v, w in ((kernel, "kernel"), (stride, "stride"), (dilation, "dilation")))
        need(cin % groups == 0 and cout % groups == 0, "groups don't divide the channels")
        if padding == "same":
            need(all(n == 1 for n in s), "same needs a stride of 1")
        else:
            padding = _places(padding, count, 0, "padding")
        if "output_padding" in options:
            options["output_padding"] = _places(options["output_padding"], count, 0, "output_padding")
        module: Any = getattr(nn, f"{kind}{count}d")
        return module(cin, cout, k, s, padding, groups=groups, bias=bias, dilation=d, **options)

    return make


LEAVES: dict[str, Callable[..., nn.Module]] = {
    **{f"Conv{n}d": _conv_leaf("Conv", n) for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": _conv_leaf("ConvTranspose", n) for n in (1, 2)},
    "Identity": nn.Identity,
}


def leaf(function: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    LEAVES[function.__name__.rstrip("_")] = function
    return function


@leaf
def Linear(din: int, dout: int, bias: bool) -> nn.Module:
    _positive(din, dout)
    return nn.Linear(din, dout, bias)


@leaf
def Bilinear(din1: int, din2: int, dout: int, bias: bool) -> nn.Module:
    _positive(din1, din2, dout)
    return nn.Bilinear(din1, din2, dout, bias)


@leaf
def Embedding(count: int, dim: int, padding: int | None) -> nn.Module:
    _positive(count, dim)
    need(padding is None or -count <= padding < count, "padding is no row")
    return nn.Embedding(count, dim, padding)


@leaf
def LayerNorm(dim: Any, eps: float, bias: bool, affine: bool) -> nn.Module:
    _positive(*listed(dim)), within(eps, 0)
    return nn.LayerNorm(dim, eps, affine, bias)


@leaf
def RMSNorm(dim: Any, eps: float, affine: bool) -> nn.Module:
    _positive(*listed(dim)), within(eps, 0)
    return nn.RMSNorm(dim, eps, affine)


def _batch_norm(count: int) -> Callable[..., nn.Module]:
    def make(channels: int, eps: float, momentum: Any, affine: bool, track: bool) -> nn.Module:
        _positive(channels), within(eps, 0, open_low=True)
        if momentum is not None:
            within(momentum, 0, 1)
        module: Any = getattr(nn, f"BatchNorm{count}d")
        return module(channels, eps, momentum, affine, track)

    return make


for _count in (1, 2, 3):
    LEAVES[f"BatchNorm{_count}d"] = _batch_norm(_count)


@leaf
def GroupNorm(groups: int, channels: int, eps: float, affine: bool) -> nn.Module:
    _positive(groups, channels), within(eps, 0)
    need(channels % groups == 0, "groups don't divide the channels")
    return nn.GroupNorm(groups, channels, eps, affine)


for _count in (1, 2):
    LEAVES[f"InstanceNorm{_count}d"] = lambda channels, eps, affine, c=_count: (
        _positive(channels), within(eps, 0), getattr(nn, f"InstanceNorm{c}d")(channels, eps, affine=affine),
    )[2]  # fmt: skip


@leaf
def PReLU(count: int, start: float) -> nn.Module:
    _positive(count)
    return nn.PReLU(count, start)


@leaf
def Dropout(p: float) -> nn.Module:
    within(p, 0, 1)
    return nn.Dropout(p)


@leaf
def DropPath(p: float) -> nn.Module:
    within(p, 0, 1)
    module = Layer()
    module.p = p
    return module


LEAST = {"Linear": 1, "Conv1d": 3, "Conv2d": 4, "Conv3d": 5, "ConvTranspose1d": 3, "ConvTranspose2d": 4, "BatchNorm2d": 4, "BatchNorm3d": 5,
         "InstanceNorm1d": 3, "InstanceNorm2d": 4}  # fmt: skip


def call_leaf(name: str, module: nn.Module, *inputs: Any) -> Tensor:
    """Call a module after what its documentation asks of its inputs."""
    if name == "Embedding":
        of(inputs[0], *INTS)
    elif name != "Identity":
        floats(*inputs)
        own = next((t for t in module.state_dict().values() if t.is_floating_point()), None)
        need(own is None or own.dtype == inputs[0].dtype, "floats of another dtype than the weights")
    x = inputs[0]
    exact = name.startswith(("Conv", "BatchNorm2", "BatchNorm3", "Instance"))
    if name in LEAST:
        need(x.dim() == LEAST[name] if exact else x.dim() >= LEAST[name], f"{name}'s axes")
    if name == "BatchNorm1d":
        need(x.dim() in (2, 3), "BatchNorm1d's axes")
    if name == "GroupNorm":
        need(x.dim() >= 2, "GroupNorm's axes")
    if name == "Bilinear":
        need(x.dim() == inputs[1].dim() and x.dim() > 0, "Bilinear's axes")
    if name.startswith(("BatchNorm", "InstanceNorm")):
        equal(x.shape[1], module.num_features, name)
    if name == "GroupNorm":
        equal(x.shape[1], module.num_channels, name)  # torch itself looks at them where there are weights alone
    if name == "PReLU" and module.num_parameters > 1:
        need(x.dim() >= 2, "PReLU's channels")
    return module(*inputs)
