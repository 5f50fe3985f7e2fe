"""Where a measurement was made."""

from __future__ import annotations

import platform
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from .report import Machine

DEVICES = ("cpu", "cuda")


def device_of(name: str) -> torch.device:
    """Return a device that can be measured on; ValueError where it isn't one, or isn't there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in DEVICES:
        raise ValueError(f"`{name}` is no device to measure on: there are {', '.join(f'`{each}`' for each in DEVICES)}, and `cuda:1`")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no device `{name}` here: torch sees {torch.cuda.device_count()} of that kind")
    return device


def describe(device: torch.device) -> Machine:
    """Return the names and versions of a machine."""
    from ... import __version__

    return Machine(
        processor=_processor(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        threads=torch.get_num_threads(),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        archloom=__version__,
    )


@contextmanager
def computing_with(threads: int) -> Generator[None]:
    """Let torch's operations use so many threads, and as many as before at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _processor() -> str:
    """Return the processor's name; that of its kind where the system doesn't tell more."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
