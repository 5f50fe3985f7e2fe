"""What was measured, as a document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .timing import Spread


class Part(BaseModel):
    """Base of the parts of a report."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Quartiles(Part):
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, found: Spread) -> Quartiles:
        """Return what was found as a part of a report."""
        return cls(median=found.median, low=found.low, high=found.high)


class Machine(Part):
    """Where it was measured, and by which versions."""

    processor: str
    device: str
    threads: int
    system: str
    python: str
    torch: str
    archloom: str


class Ceilings(Part):
    """What the machine was seen to do at most, in the same run."""

    gemm: dict[str, float]  # by dtype, floating-point operations a second, two for a multiply-add
    bandwidth: float  # bytes a second


class Row(Part):
    """One configuration; what could not be measured is None, and `failed` says why."""

    passes: str
    mode: str
    dtype: str
    failed: str | None = None
    seconds: Quartiles | None = None  # of one call
    ratio: Quartiles | None = None  # to the report's `baseline`: of the medians, quartiles of the pairs' own
    times: list[float] = []  # seconds of one call, by round
    calls: int | None = None  # in a row, for each of the times
    prepare: float | None = None  # seconds that passes, building and the first call take, compiling among them
    weights: int | None = None  # bytes of parameters and buffers
    kept: int | None = None  # bytes of what passes keep between calls besides
    peak: int | None = None  # bytes that one call holds at most, besides both and its inputs
    error: float | None = None  # largest of all tensors, each relative to its largest entry, against `none eager float32`
    multiply_adds: int | None = None  # of one call, counted statically after the passes; three times an evaluation's for training
    moved: int | None = None  # bytes that the operations of one call read and write one by one
    gemm_share: float | None = None  # of the ceiling of its dtype
    bandwidth_share: float | None = None
    notes: list[str] = []

    @property
    def name(self) -> str:
        """The configuration in words."""
        return f"{self.passes} {self.mode} {self.dtype}"


class Report(Part):
    """The configurations of one model side by side."""

    format: Literal[1] = 1
    model: str
    preset: str | None
    tasks: list[str]
    entry: str | None
    train: bool
    sizes: dict[str, int]
    weights: str | None  # where they come from; random ones, if None
    seed: int
    pairs: int  # rounds in which each configuration was timed once
    interrupted: bool
    baseline: str | None  # the configuration that ratios are to
    machine: Machine
    ceilings: Ceilings
    notes: list[str]
    rows: list[Row]
