"""One drawn text: what `check` says of it is what comes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import cycle, islice

import torch

from archloom.compiler.check import check_text
from archloom.compiler.runtime.errors import ModelError
from archloom.dsl.source import Source

from ..mutation.corpus import assignments
from ..mutation.mutation import Base, Mutation
from ..mutation.oracle import OUTSIDE_TABLE
from ..mutation.verdict import Outcome, compare
from .comparing import Comparison, fits, sizes_for

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
NO_QUESTION_OF_TYPES = re.compile(r"not implemented for '(Half|BFloat16)'|ZeroDivisionError")
"""The CPU lacks some operations in half precision, and whole numbers that are drawn may be 0."""


def examine(name: str, text: str, sizes: Sequence[int], dtype: torch.dtype) -> str:
    """Compare a text that is valid with its module, and look at the runs of one that is refused; returns which it was."""
    found = check_text(Source(name, text), text=False)
    if not found.ok:
        outcome = judge(name, text)
        assert outcome.result == "right", f"{outcome.result}: {outcome.reason}\n{text}"
        return "refused"
    program = found.programs["Example"]
    names = sorted(program.eval.symbols)
    numbers = sizes_for(program, dict(zip(names, cycle(sizes), strict=False)), sizes[0])
    try:
        stated = Comparison(program, numbers, dtype)
        stated.parameters()
        stated.shapes(training=False)
        if program.train is not None and stated.allows(training=True):
            stated.shapes(training=True)
        if fits(program, numbers):
            stated.values()
    except ModelError as error:
        assert NO_QUESTION_OF_TYPES.search(str(error)) or OUTSIDE_TABLE.search(str(error)), f"at {numbers}, {dtype}: {error}\n{text}"
    except AssertionError as error:
        raise AssertionError(f"at {numbers}, {dtype}: {error}\n{text}") from error
    return "valid"


def judge(name: str, text: str) -> Outcome:
    """Compare the verdict of `check` on a text with what its runs at several sizes show.

    The oracle takes `float` as float64: where a text has both, the exact one becomes another.
    """
    other = next((word for word in ("float32", "float16", "bfloat16") if word not in text), "float16")
    base = Base(name, text.replace("float64", other), "Example", sizes=[*islice(assignments(name), 3)])
    return compare(base, Mutation("drawn", 0, 0, ""))
