"""The targets of `archloom.quantize`: what is to be held, and which numbers make sense for it."""

from __future__ import annotations

from ...dsl.record import record


@record
class Target:
    """`error`, `size` or `time`, and the most that it may be.  Raises ValueError for an error below 0, and for a share outside of 0 to 1."""

    name: str
    most: float

    def __post_init__(self) -> None:
        if self.name == "error" and not 0 <= self.most < float("inf"):
            raise ValueError(f"`error` is {self.most:g}: give a number from 0 on, relative to the outputs")
        if self.name != "error" and not 0 < self.most <= 1:
            raise ValueError(f"`{self.name}` is {self.most:g}: give a number above 0 and at most 1, a share of the floats'")
