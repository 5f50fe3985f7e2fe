"""Plain PyTorch models with one thing wrong each, and what an audit calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import archloom

Batch = dict[str, Tensor]


class Net(nn.Module):
    """A trunk with dropout and a batch norm, and a head for each of two tasks; nothing is wrong with it."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.GELU(), nn.Dropout(0.1))
        self.heads = nn.ModuleDict({"depth": nn.Linear(6, 2), "kind": nn.Linear(6, 3)})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.trunk(x)
        return {task: head(h) for task, head in self.heads.items()}


def batch() -> Batch:
    return {"x": torch.randn(8, 4), "depth": torch.randn(8, 2), "kind": torch.randint(0, 3, (8,))}


def losses(net: Any, batch: Batch) -> dict[str, Tensor]:
    out = net(batch["x"])
    return {"depth": nn.functional.mse_loss(out["depth"], batch["depth"]), "kind": nn.functional.cross_entropy(out["kind"], batch["kind"])}


def adam(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-3)


def subject(net: nn.Module | None = None, **more: Any) -> archloom.Subject:
    """Return a subject without a defect, but for what is given."""
    net = net or Net()
    given: dict[str, Any] = {"model": net, "batch": batch(), "losses": losses, "optimizer": adam(net), **more}
    return archloom.Subject(**given)


def still(net: Any) -> Any:
    """Freeze the trunk as one should: no gradient, and in eval mode."""
    net.trunk.requires_grad_(False)
    return net


def quiet(net: Any) -> None:
    net.trunk.eval()


# ------------------------------------------------------------------------------------------------------ the defects


def idle_entry() -> archloom.Subject:
    return subject(batch={**batch(), "mask": torch.ones(8, dtype=torch.bool)})


def idle_numbers() -> archloom.Subject:
    return subject(batch={**batch(), "ids": torch.arange(8)})


def never_called() -> archloom.Subject:
    net = Net()
    net.side = nn.Linear(4, 4)
    return subject(net)


def listed() -> archloom.Subject:
    class Listed(Net):
        def __init__(self) -> None:
            super().__init__()
            self.shifts = nn.ParameterList([nn.Parameter(torch.zeros(4)) for _ in range(3)])

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return super().forward(x + self.shifts[0] + self.shifts[1])

    return subject(Listed())


def unread() -> archloom.Subject:
    class Unread(Net):
        def __init__(self) -> None:
            super().__init__()
            self.side = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {**super().forward(x), "other": self.side(x)}

    return subject(Unread())


def dropped() -> archloom.Subject:
    class Dropped(Net):
        def __init__(self) -> None:
            super().__init__()
            self.side = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            self.side(x)
            return super().forward(x)

    return subject(Dropped())


def severed_part() -> archloom.Subject:
    class Severed(Net):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            h = self.trunk(x).detach()
            return {task: head(h) for task, head in self.heads.items()}

    return subject(Severed())


def nothing_by_that_name() -> archloom.Subject:
    return subject(select=["trnk"])


def no_selector() -> archloom.Subject:
    return subject(select=["trunk[0"])


def meant_to_be_frozen() -> archloom.Subject:
    return subject(frozen=["heads.depth"])


def moved_by_hand() -> archloom.Subject:
    class Averaged(Net):
        def __init__(self) -> None:
            super().__init__()
            self.center = nn.Parameter(torch.zeros(4), requires_grad=False)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            self.center.data.lerp_(x.detach().mean(0), 0.1)
            return super().forward(x - self.center)

    return subject(Averaged())


def statistics() -> archloom.Subject:
    net = still(Net())
    net.trunk[3].p = 0.0
    return subject(net)


def noise() -> archloom.Subject:
    net = still(Net())
    net.trunk[1] = nn.Identity()
    return subject(net)


def noise_on_the_way() -> archloom.Subject:
    """The frozen part stands between trained ones, and its dropout is a function's."""

    class Between(Net):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.trunk = nn.Linear(4, 4), Noisy()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return super().forward(self.stem(x))

    class Noisy(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 6)

        def forward(self, input: Tensor) -> Tensor:
            return nn.functional.dropout(super().forward(input), 0.1, self.training)

    return subject(still(Between()), frozen=["trunk"])


def noise_before_what_trains() -> archloom.Subject:
    """Something frozen stands behind what is trained, too, in another part of the model."""

    class Projected(Net):
        def __init__(self) -> None:
            super().__init__()
            self.middle, self.last = nn.Linear(6, 6), nn.Linear(6, 6).requires_grad_(False)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            h = self.last(self.middle(self.trunk(x)))
            return {task: head(h) for task, head in self.heads.items()}

    net = still(Projected())
    net.trunk[1] = nn.Identity()
    return subject(net)


def always_off() -> archloom.Subject:
    class Off(Net):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(4, 6)
            nn.init.constant_(self.gate.bias, -100.0)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            h = self.trunk(x) + self.gate(x).relu()
            return {task: head(h) for task, head in self.heads.items()}

    return subject(Off())


def forgotten() -> archloom.Subject:
    net: Any = Net()
    return subject(net, optimizer=torch.optim.AdamW([*net.trunk.parameters(), *net.heads["kind"].parameters()]))


def held_though_frozen() -> archloom.Subject:
    net = still(Net())
    return subject(net, optimizer=torch.optim.AdamW(net.parameters(), lr=1e-3), prepare=quiet)


def made_too_early() -> archloom.Subject:
    net: Any = Net()
    early = torch.optim.AdamW([*net.parameters(), *nn.Linear(6, 5).parameters()])
    return subject(net, optimizer=early)


def severed_loss() -> archloom.Subject:
    def wrong(net: Any, batch: Batch) -> dict[str, Tensor]:
        right = losses(net, batch)
        return {**right, "kind": torch.tensor(right["kind"].item())}

    return subject(losses=wrong)


def infinite() -> archloom.Subject:
    def wrong(net: Any, batch: Batch) -> dict[str, Tensor]:
        right = losses(net, batch)
        return {**right, "kind": right["kind"] / batch["depth"].new_zeros(())}

    return subject(losses=wrong)


def state(net: nn.Module, **more: Tensor) -> dict[str, Tensor]:
    return {**{name: value.clone() for name, value in net.state_dict().items()}, **more}


def lacking() -> archloom.Subject:
    net = Net()
    return subject(net, checkpoint={name: value for name, value in state(net).items() if not name.startswith("heads.kind")})


def prefixed() -> archloom.Subject:
    net = Net()
    return subject(net, checkpoint={f"module.{name}": value for name, value in state(net).items()})


def other_shape() -> archloom.Subject:
    net = Net()
    return subject(net, checkpoint={**state(net), "heads.kind.bias": torch.zeros(7)})


def left_over() -> archloom.Subject:
    net = Net()
    return subject(net, checkpoint={**state(net), "pooler.weight": torch.zeros(2)})


DEFECTS: dict[str, tuple[str, str, str, Callable[[], archloom.Subject]]] = {
    "an entry of the batch that is never read": ("idle_input", "A120", "batch.mask", idle_entry),
    "whole numbers that are never read": ("idle_input", "A120", "batch.ids", idle_numbers),
    "a module that is never called": ("dead_parameters", "A122", "side", never_called),
    "one of a list that is never used": ("dead_parameters", "A122", "shifts.2", listed),
    "a module whose output is dropped": ("dead_parameters", "A122", "side", dropped),
    "a module whose output no loss reads": ("unreached", "A516", "side", unread),
    "a part that is cut off by detach": ("zero_gradient", "A553", "trunk", severed_part),
    "a selector of nothing": ("selectors", "A510", "trnk", nothing_by_that_name),
    "no selector": ("selectors", "A525", "trunk[0", no_selector),
    "trained though it should be frozen": ("frozen_moved", "A550", "heads.depth", meant_to_be_frozen),
    "moved by forward though frozen": ("frozen_moved", "A550", "center", moved_by_hand),
    "statistics of a frozen part": ("frozen_statistics", "A551", "trunk", statistics),
    "dropout in a frozen part": ("frozen_dropout", "A552", "trunk", noise),
    "dropout in a frozen part before what trains": ("frozen_dropout", "A552", "trunk", noise_before_what_trains),
    "dropout in a part that is said to be frozen": ("frozen_dropout", "A552", "trunk", noise_on_the_way),
    "a ReLU that is always off": ("zero_gradient", "A553", "gate", always_off),
    "left out of the optimiser": ("unoptimized", "A554", "heads.depth", forgotten),
    "frozen and in the optimiser": ("optimized_frozen", "A555", "optimizer", held_though_frozen),
    "an optimiser of another model's parameters": ("stale_optimizer", "A556", "optimizer", made_too_early),
    "a loss made anew from a number": ("severed_loss", "A557", "losses.kind", severed_loss),
    "a loss without bounds": ("infinite_loss", "A558", "losses.kind", infinite),
    "a checkpoint without a head": ("missing_keys", "A653", "checkpoint", lacking),
    "a checkpoint of a wrapped model": ("missing_keys", "A653", "checkpoint", prefixed),
    "a checkpoint of another width": ("misshapen_keys", "A654", "checkpoint", other_shape),
    "a checkpoint with more": ("unused_keys", "A655", "checkpoint", left_over),
}
"""The fact that finds it, the code and the place that is named, and what makes the subject."""
