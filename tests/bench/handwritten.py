"""Three blocks of the library in eager mode, against the same written by hand in PyTorch.  Run: python tests/bench/handwritten.py"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pairs import Ratio, compare, show
from torch import Tensor, nn
from torch.nn import functional

import archloom

# ------------------------------------------------------------------------------- a bottleneck of convolutions

BOTTLENECK = """
import resnet.Bottleneck
model M(width: int) {
  in x: float[B, 4 * width, H, W]
  part = Bottleneck(4 * width, width)
  out y = part(x)
}
"""


class Bottleneck(nn.Module):
    """Three convolutions around a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4 * width, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Return float[B, 4 * width, H, W] of the same."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + x)


# ------------------------------------------------------------------------- experts shared by tasks, gates of their own

MIXTURE = """
import ffn.Mlp
import moe.MultiGate
model M(dim: int, experts: int) {
  index tasks = {semseg, depth}
  in x: float[B, dim]
  part = MultiGate(tasks, 0..experts, dim, Mlp(hidden = 2 * dim, ...))
  out y = part(x)
}
"""


class Expert(nn.Module):
    """A layer that widens, bends and narrows."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 2 * dim)
        self.fc2 = nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return float[B, dim] of the same."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Gate(nn.Module):
    """Weights over the experts."""

    def __init__(self, dim: int, experts: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, experts, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float[B, experts] of float[B, dim]."""
        return self.linear(x).softmax(dim=-1)


class Mixture(nn.Module):
    """A mixture of the same experts for each of two tasks."""

    def __init__(self, dim: int, experts: int) -> None:
        super().__init__()
        self.expert = nn.ModuleList(Expert(dim) for _ in range(experts))
        self.gate = nn.ModuleDict({task: Gate(dim, experts) for task in ("semseg", "depth")})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return float[B, dim] for each task."""
        said = [expert(x) for expert in self.expert]
        found: dict[str, Tensor] = {}
        for task, gate in self.gate.items():
            weight = gate(x)
            found[task] = weight[:, 0, None] * said[0]
            for e, y in enumerate(said[1:], 1):
                found[task] = found[task] + weight[:, e, None] * y
        return found


# --------------------------------------------------------------------------------- a decoder that forks for two tasks

DECODER = """
import qwen2.DecoderLayer
import unifork.Fork
model M(dim: int, heads: int) {
  index tasks = {understand, generate}
  in x: float[B, S, dim]
  in mask: bool[B, S]
  part = Fork(tasks, depth = 4, shared = 2, Layer = DecoderLayer(dim, heads, heads // 2, 4 * dim), Norm = RMSNorm(dim), head_dim = dim // heads)
  out y = part(x, mask).h
}
"""


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs of elements that stand half the width apart."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Attention(nn.Module):
    """Grouped queries over rotary positions."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.width = dim // heads
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim // 2)
        self.v_proj = nn.Linear(dim, dim // 2)
        self.o_proj = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, seen: Tensor) -> Tensor:
        """Return float[B, S, dim] of the same; seen: bool[B, 1, S, S]."""
        q, k, v = (y.unflatten(-1, (-1, self.width)).transpose(1, 2) for y in (self.q_proj(x), self.k_proj(x), self.v_proj(x)))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Gated(nn.Module):
    """The feed-forward half of a layer."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(dim, 4 * dim, bias=False)
        self.up_proj = nn.Linear(dim, 4 * dim, bias=False)
        self.down_proj = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float[B, S, dim] of the same."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """A layer of Qwen2."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.mlp = Gated(dim)
        self.input_layernorm = nn.RMSNorm(dim, 1e-6)
        self.post_attention_layernorm = nn.RMSNorm(dim, 1e-6)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, seen: Tensor) -> Tensor:
        """Return float[B, S, dim] of the same."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, seen)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Two layers that both tasks share, then two for each task; masks and tables are made once."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.width = dim // heads
        self.trunk = nn.ModuleList(Layer(dim, heads) for _ in range(2))
        tasks = ("understand", "generate")
        self.fork = nn.ModuleDict({task: nn.ModuleDict({str(i): Layer(dim, heads) for i in (2, 3)}) for task in tasks})
        self.norm = nn.ModuleDict({task: nn.RMSNorm(dim, 1e-6) for task in tasks})

    def forward(self, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return float[B, S, dim] for each task; mask: bool[B, S]."""
        length = x.shape[1]
        wave = 1e6 ** -(torch.arange(0, self.width, 2, dtype=torch.float32) / self.width)
        angle = torch.arange(length)[:, None] * wave
        cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
        seen = mask[:, None, None] & torch.ones(length, length, dtype=torch.bool).tril()
        for layer in self.trunk:
            x = layer(x, cos, sin, seen)
        found: dict[str, Tensor] = {}
        for task, layers in self.fork.items():
            y = x
            for layer in layers.values():  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue, reportUnknownVariableType] - a ModuleDict
                y = layer(y, cos, sin, seen)
            found[task] = self.norm[task](y)
        return found


# ------------------------------------------------------------------------------------------------------------- pairs


@dataclass(frozen=True, slots=True)
class Case:
    """One block at one size: our text, theirs, and what both are given."""

    name: str
    text: str
    params: dict[str, int]
    theirs: Callable[[], nn.Module]
    inputs: tuple[Tensor, ...]
    calls: int


def cases() -> Iterator[Case]:
    """Yield each block at two sizes."""
    for width, batch, side, calls in ((16, 2, 16, 30), (64, 4, 28, 3)):
        name, x = f"convolutions around a residual, width {width}", torch.randn(batch, 4 * width, side, side)
        yield Case(name, BOTTLENECK, {"width": width}, partial(Bottleneck, width), (x,), calls)
    for dim, experts, batch, calls in ((64, 4, 64, 50), (256, 8, 256, 5)):
        name, x = f"{experts} experts under two gates, width {dim}", torch.randn(batch, dim)
        yield Case(name, MIXTURE, {"dim": dim, "experts": experts}, partial(Mixture, dim, experts), (x,), calls)
    for dim, heads, batch, length, calls in ((64, 4, 2, 32, 10), (256, 4, 4, 64, 2)):
        name, x = f"a decoder forked for two tasks, width {dim}", torch.randn(batch, length, dim)
        mask = torch.arange(length)[None] < torch.linspace(length / 2, length, batch).long()[:, None]
        yield Case(name, DECODER, {"dim": dim, "heads": heads}, partial(Decoder, dim, heads), (x, mask), calls)


def parts(result: Any) -> list[Tensor]:
    """Return the tensors of a result, in order."""
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, tuple) else [result]


def run(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Go forward."""
    module(*inputs)


def step(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Go forward and backward."""
    total = parts(module(*inputs))
    torch.stack([y.sum() for y in total]).sum().backward()


def pair(case: Case) -> tuple[nn.Module, nn.Module]:
    """Return our block and theirs with equal weights, after comparing results and gradients."""
    theirs = case.theirs()
    model = archloom.compile(case.text, params=case.params)
    ours: Any = model.part
    ours.load_state_dict(theirs.state_dict())
    for module in (ours, theirs):
        step(module, case.inputs)
    for found, wanted in zip(parts(ours(*case.inputs)), parts(theirs(*case.inputs)), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    wanted_by_name = dict(theirs.named_parameters())
    for name, value in ours.named_parameters():
        torch.testing.assert_close(value.grad, wanted_by_name[name].grad, rtol=1e-3, atol=1e-3)
    return ours, theirs


def ratios() -> Iterator[Ratio]:
    """Measure each block with 1 and 2 threads, inference and a training step."""
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for case in cases():
            ours, theirs = pair(case)
            name = f"{case.name}, {threads} thread{'s' * (threads > 1)}"
            for training, what, call, calls in ((False, "inference", run, case.calls), (True, "forward and backward", step, max(1, case.calls // 3))):
                first, second = (partial(call, module.train(training), case.inputs) for module in (ours, theirs))
                with torch.set_grad_enabled(training):
                    yield compare(f"{name}, {what}", first, second, 1.05, 30, calls)


if __name__ == "__main__":
    show(ratios())
