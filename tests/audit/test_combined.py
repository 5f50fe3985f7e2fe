"""Several defects at once, or none, in networks of several kinds: each is found, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import archloom

Found = set[tuple[str, str]]
KINDS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 6)), lambda: torch.randn(5, 4)),
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.GELU(), nn.Conv2d(6, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        lambda: torch.randn(5, 2, 6, 6),
    ),
    "transformer": (
        lambda: nn.Sequential(nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True), nn.Flatten(), nn.Linear(18, 6)),
        lambda: torch.randn(5, 3, 6),
    ),
    "tokens": (lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 6)), lambda: torch.randint(0, 9, (5, 3))),
}


@dataclass
class Plan:
    """A subject in the making, and what an audit is to find in it."""

    net: Any
    batch: dict[str, Tensor]
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    held: list[nn.Parameter] | None = None
    found: Found = field(default_factory=set[tuple[str, str]])


class Net(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.body = KINDS[kind][0]()
        self.norm, self.drop, self.stretch = nn.Identity(), nn.Identity(), nn.Linear(6, 6)
        self.heads = nn.ModuleDict({task: nn.Linear(6, 3) for task in ("a", "b")})
        self.stop = False

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.drop(self.norm(self.body(x)))
        h = h + self.stretch(h)
        return {task: head(h.detach() if self.stop and task == "b" else h) for task, head in self.heads.items()}


def unused(plan: Plan) -> None:
    plan.net.side = nn.Linear(3, 3)
    plan.found.add(("A122", "side"))


def idle(plan: Plan) -> None:
    plan.batch["weight"] = torch.rand(5)
    plan.found.add(("A120", "batch.weight"))


def off(plan: Plan) -> None:
    off = nn.Linear(6, 6)
    nn.init.constant_(off.bias, -1e3)
    plan.net.stretch = nn.Sequential(off, nn.ReLU())
    plan.found.add(("A553", "stretch"))


def stopped(plan: Plan) -> None:
    """Cut one task off the body: the other still trains it, so that nothing is wrong."""
    plan.net.stop = True


def misspelt(plan: Plan) -> None:
    plan.options["select"] = ["haeds"]
    plan.found.add(("A510", "haeds"))


def unheld(plan: Plan) -> None:
    plan.held = [p for name, p in plan.net.named_parameters() if p.requires_grad and not name.startswith("heads.b")]
    plan.found.add(("A554", "heads.b"))


def lacking(plan: Plan) -> None:
    plan.options["checkpoint"] = {name: value.clone() for name, value in plan.net.state_dict().items() if name != "heads.a.bias"}
    plan.found.add(("A653", "checkpoint"))


def moving(plan: Plan) -> None:
    plan.net.body.requires_grad_(False)
    plan.net.body.append(nn.BatchNorm1d(6, affine=False))
    plan.found.add(("A551", "body"))


def noisy(plan: Plan) -> None:
    plan.net.body.requires_grad_(False)
    plan.net.body.append(nn.Dropout(0.2))
    plan.found.add(("A552", "body"))


def trained(plan: Plan) -> None:
    plan.options["frozen"] = ["heads.a"]
    plan.found.add(("A550", "heads.a"))


def lively(plan: Plan) -> None:
    """Dropout and a batch norm where they belong."""
    plan.net.norm, plan.net.drop = nn.BatchNorm1d(6), nn.Dropout(0.1)


EDITS = (unused, off, stopped, lively, moving, noisy, trained, unheld, idle, misspelt, lacking)
"""In the order in which they are made: those of the model first."""


def losses(net: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {task: nn.functional.cross_entropy(out, batch[task]) for task, out in net(batch["x"]).items()}


def audit(kind: str, edits: set[Callable[[Plan], None]]) -> tuple[Found, Found]:
    """Return what is found and what was to be found."""
    torch.manual_seed(0)
    plan = Plan(Net(kind), {"x": KINDS[kind][1](), "a": torch.arange(5) % 3, "b": torch.arange(5) % 2})
    for edit in EDITS:
        if edit in edits:
            edit(plan)
    held = plan.held if plan.held is not None else [p for p in plan.net.parameters() if p.requires_grad]
    found = archloom.audit(plan.net, plan.batch, losses, optimizer=torch.optim.SGD(held, lr=1e-3), **plan.options)
    return {(finding.code, finding.diagnostic.span.source.name) for finding in found.findings}, plan.found


@pytest.mark.slow
@given(st.sampled_from(sorted(KINDS)), st.sets(st.sampled_from(EDITS)))
@settings(max_examples=60)
def test_each_is_found_and_nothing_else(kind: str, edits: set[Callable[[Plan], None]]) -> None:
    found, planted = audit(kind, edits)
    assert found == planted
