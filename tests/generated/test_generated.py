"""Every primitive and every block of the library, at sizes and with arguments that are drawn.

What `check` calls valid is built and run: shapes, dtypes, parameters and multiply-adds are those that were stated.  What it refuses is
given to the oracle of `tests/mutation`, with which it fails too.  A new primitive or block is drawn by being there.

Each primitive is drawn twice here, and 20 times by the slow tests, a block 10 times.  `HYPOTHESIS_PROFILE=long pytest tests/generated`
draws each some hundred times, anew in each run; `-k "conv or pool"` chooses some.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from archloom.blocks.examples import EXAMPLES
from archloom.blocks.registry import primitives

from . import block_draws
from .examining import examine
from .primitive_draws import samples
from .primitive_texts import Call

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # what is drawn need not be fast
SIZES = st.lists(st.integers(1, 9), min_size=4, max_size=6, unique=True)
DTYPES = st.sampled_from((torch.float32, torch.float64, torch.bfloat16))
MANY = settings().max_examples // 2


def of_primitive(name: str) -> SearchStrategy[str]:
    """Return texts that call a primitive."""
    entry = primitives()[name]
    return samples(entry).map(lambda sample: Call(entry, sample).text())


def examined(name: str, texts: SearchStrategy[str], count: int) -> Counter[str]:
    """Examine texts; return how many were valid, and how many were refused and fail."""
    found = Counter[str]()

    @settings(max_examples=count, phases=(Phase.generate, Phase.shrink))
    @given(texts, SIZES, DTYPES)
    def one(text: str, sizes: list[int], dtype: torch.dtype) -> None:
        found[examine(name, text, sizes, dtype)] += 1

    one()
    return found


@pytest.mark.parametrize("name", primitives())
def test_a_call_of_a_primitive_gives_what_is_stated(name: str) -> None:
    assert examined(name, of_primitive(name), 2)


@pytest.mark.parametrize("name", list(EXAMPLES)[1::12])
def test_a_block_gives_what_is_stated(name: str) -> None:
    assert examined(name, block_draws.texts(name), 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", primitives())
def test_many_calls_of_a_primitive_give_what_is_stated(name: str) -> None:
    assert examined(name, of_primitive(name), MANY)["valid"]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_many_uses_of_a_block_give_what_is_stated(name: str) -> None:
    assert examined(name, block_draws.texts(name), MANY // 2)["valid"]
