"""Plain PyTorch models in which nothing is wrong, though something in them looks like it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

import archloom

from .defects import Net, batch, losses, still


def mse(net: Any, given: Any) -> Tensor:
    return nn.functional.mse_loss(net(given[0]), given[1])


def pair(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.randn(*shape), torch.randn(*shape)


class Residual(nn.Module):
    """Starts as the identity: what is before the zero gets no gradient at first."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer, self.gate = nn.Linear(4, 4), nn.Linear(4, 4), nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gate * self.outer(self.inner(x).tanh())


class ZeroHead(nn.Module):
    """Gives zeros at first, whatever comes in: no input changes anything yet."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 4)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).relu())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor, labels: Tensor) -> SimpleNamespace:
        return SimpleNamespace(loss=nn.functional.cross_entropy(self.head(self.embed(ids)).flatten(0, 1), labels.flatten()))


class Codes(nn.Module):
    """Keeps a table of averages that forward itself moves."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(4, 4)
        self.register_buffer("table", torch.randn(5, 4))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        z = self.encode(x)
        nearest = torch.cdist(z, self.table).argmin(1)
        found = self.table[nearest]
        if self.training:
            self.table = self.table.index_add(0, nearest, 0.1 * (z.detach() - found))
        return z + (found - z).detach() + 0.1 * (z - found)


class Experts(nn.Module):
    """Few of the experts see a token of one batch."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts = nn.Linear(4, 3), nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        weight, chosen = self.router(x).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows = chosen == number
            if rows.any():
                out = out.index_put((rows,), expert(x[rows]) * weight[rows, None])
        return out


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.attend = nn.LSTM(4, 4, num_layers=2, dropout=0.2), nn.MultiheadAttention(4, 2, dropout=0.1)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(x)
        return self.attend(h, h, h, need_weights=False)[0]


class Checkpointed(Residual):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.reentrant, self.first = reentrant, nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        run: Any = checkpoint
        return run(super().forward, self.first(x), use_reentrant=self.reentrant)


class Weighted(nn.Module):
    """Learns how much each loss counts; it isn't a part of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(2))

    def forward(self, net: Any, given: Any) -> dict[str, Tensor]:
        return {name: loss * (-s).exp() + s for (name, loss), s in zip(losses(net, given).items(), self.scale, strict=True)}


class Views(NamedTuple):
    one: Tensor
    two: Tensor


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 4)

    def forward(self, one: Tensor, two: Tensor) -> dict[str, Tensor]:
        return {"similar": (self.encoder(one) * self.encoder(two)).mean(), "size": self.encoder(one).square().mean()}


def weighted() -> archloom.Subject:
    net, weights = Net(), Weighted()
    optimizer = torch.optim.AdamW([*net.parameters(), *weights.parameters()])
    return archloom.Subject(net, batch(), weights, optimizer=optimizer)


def warming_up() -> archloom.Subject:
    net = Residual()
    return archloom.Subject(net, pair(3, 4), mse, optimizer=torch.optim.SGD(net.parameters(), lr=0.0))


def frozen_well() -> archloom.Subject:
    net = still(Net())
    optimizer = torch.optim.AdamW(net.heads.parameters())
    return archloom.Subject(net, batch(), losses, optimizer=optimizer, frozen=["trunk"], prepare=lambda net: net.trunk.eval())


def left_out() -> archloom.Subject:
    """What is frozen by leaving it out of the optimiser stands still as well."""
    net = Net()
    return archloom.Subject(
        net, batch(), losses, optimizer=torch.optim.AdamW(net.heads.parameters()), frozen="trunk", prepare=lambda net: net.trunk.eval()
    )


def by_turns() -> archloom.Subject:
    """Each batch is of one task."""

    def one(net: Any, given: Any) -> dict[str, Tensor | None]:
        out = net(given["x"])
        return {task: out[task].square().mean() if given["task"] == task else None for task in ("depth", "kind")}

    return archloom.Subject(Net(), losses=one, batches=[{"x": torch.randn(4, 4), "task": task} for task in ("depth", "kind")])


def in_place() -> archloom.Subject:
    """The loss overwrites a part of its batch."""

    def masked(net: Any, given: Any) -> Tensor:
        given[1][:, 0] = 0
        return mse(net, given)

    return archloom.Subject(Residual(), pair(3, 4), masked)


def twins() -> archloom.Subject:
    return archloom.Subject(Siamese(), Views(*pair(3, 4)), ["similar", "size"])


def by_names() -> archloom.Subject:
    return archloom.Subject(
        Siamese(), dict(zip(("one", "two"), pair(3, 4), strict=True)), {"a": "similar", "b": lambda net, given: net(**given)["size"]}
    )


def penalty(net: Any, given: Any) -> Tensor:
    """Differentiate what the network gives by its input."""
    slope: Tensor = torch.autograd.grad(net(given).sum(), given, create_graph=True)[0]
    return (slope.norm(dim=-1) - 1).square().mean()


def second_order() -> archloom.Subject:
    net = Residual()
    return archloom.Subject(net, pair(3, 4), mse, optimizer=torch.optim.LBFGS(net.parameters(), max_iter=2))


TRICKY: dict[str, Callable[[], archloom.Subject]] = {
    "a gate that starts at zero": lambda: archloom.Subject(Residual(), pair(3, 4), mse),
    "a head that starts at zero": lambda: archloom.Subject(ZeroHead(), pair(3, 4), mse),
    "a rate that starts at zero": warming_up,
    "tied parameters, one batch for both": lambda: archloom.Subject(Tied(), dict.fromkeys(("ids", "labels"), torch.randint(0, 7, (2, 5)))),
    "a table that forward moves": lambda: archloom.Subject(Codes(), pair(6, 4), mse),
    "experts that few tokens reach": lambda: archloom.Subject(Experts(), pair(16, 4), mse),
    "an LSTM and attention": lambda: archloom.Subject(Recurrent(), pair(5, 2, 4), mse),
    "checkpointing": lambda: archloom.Subject(Checkpointed(False), pair(3, 4), mse),
    "checkpointing as it was": lambda: archloom.Subject(Checkpointed(True), pair(3, 4), mse),
    "a spectral norm": lambda: archloom.Subject(spectral_norm(nn.Linear(4, 4)), pair(3, 4), mse),
    "sparse gradients": lambda: archloom.Subject(nn.Sequential(nn.Embedding(7, 4, sparse=True)), (torch.arange(5), torch.randn(5, 4)), mse),
    "a loss with parameters of its own": weighted,
    "a part that is frozen well": frozen_well,
    "a part that the optimiser doesn't hold": left_out,
    "batches of one task each": by_turns,
    "a batch that is overwritten": in_place,
    "a batch by position": twins,
    "losses by name": by_names,
    "a loss of a gradient": lambda: archloom.Subject(
        nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1, bias=False)), torch.randn(3, 4, requires_grad=True), penalty
    ),
    "an optimiser that computes the loss": second_order,
}
"""What makes each subject."""
