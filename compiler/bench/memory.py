"""Bytes: of weights, of what passes keep beside them, and the most that a call holds at one time."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..runtime.derived import Derived
from ..runtime.packing import PACKED
from ..runtime.whole import Whole


def weights(model: nn.Module) -> int:
    """Return the bytes of a model's parameters and buffers as they would be saved, each tensor once."""
    state: dict[str, Tensor] = model.state_dict()
    return sum(tensor.nbytes for tensor in state.values())


def kept(model: nn.Module) -> int:
    """Return the bytes of what passes have computed from parameters and keep for the next call, packed parameters not again.

    Whole numbers that are there twice, once in an order of torch's operators, are among them.
    """
    modules = list(model.modules())
    folded = [module.value for module in modules if isinstance(module, Derived) and module.kept and module.value is not None]
    twice = [module.value for module in modules if isinstance(module, Whole) and module.twice]
    return sum(value.nbytes for value in (*folded, *twice)) + sum(tensor.nbytes for tensor in folded if tensor in PACKED)


def peak(call: Callable[[], object], device: torch.device) -> int:
    """Return the most bytes that one call holds at one time, besides what was there before it.

    They are those that torch's allocators hand out, which compiled code asks as well; what kernels of libraries take for themselves
    isn't among them.
    """
    return _on_cuda(call, device) if device.type == "cuda" else _on_cpu(call)


def _on_cuda(call: Callable[[], object], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _on_cpu(call: Callable[[], object]) -> int:
    """Follow every allocation of the call as the profiler records it."""
    from torch.profiler import ProfilerActivity, profile

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler says on standard error that it starts and stops
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        result = call()
    del result  # which was held until here: results are part of what a call needs
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        found.export_chrome_trace(str(trace))
        events: list[dict[str, Any]] = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    held = most = 0
    for event in sorted((event for event in events if event.get("name") == "[memory]"), key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        most = max(most, held)
    return most
