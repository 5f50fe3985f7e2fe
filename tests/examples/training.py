"""One step of training, and what it moved."""

from __future__ import annotations

from typing import Any

import torch


def step(model: Any, inputs: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Train once by all losses that count; return the paths that have a gradient and those that moved."""
    before = {path: value.clone() for path, value in model.state_dict().items()}
    result = model(**inputs)
    assert result.losses and all(torch.isfinite(value) for value in result.losses.values()), result.losses
    result.loss.backward()
    given = {path: p.grad for path, p in model.named_parameters() if p.grad is not None}
    assert [path for path, gradient in given.items() if not torch.isfinite(gradient).all()] == []
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    moved = {path for path, value in model.state_dict().items() if not torch.equal(value, before[path])}
    model.load_state_dict(before)
    model.zero_grad(set_to_none=True)
    return set(given), moved
