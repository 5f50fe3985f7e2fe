"""Linear chains: the likelihood and the best path of a conditional random field."""

from __future__ import annotations

from ...dsl.primitive import Rule
from ...dsl.types import Axis, DType, TensorType
from ..arguments import tensor
from ..costs import moved
from ..lowering import Omit, call
from ..operands import common_dtype
from ..registry import operation
from ..samples import refused, sample

CHAIN = "archloom.compiler.runtime.chain"

ARGUMENTS = (
    tensor("scores", "the score of each tag at each place"),
    tensor("move", "`move[i, j]`: the score of tag j behind tag i"),
    tensor("first", "the score of each tag at the first place"),
    tensor("last", "the score of each tag at the last place"),
    tensor("mask", "true for places that are no padding; padding stands on the right, and the first place is none", optional=True),
)
GOOD = (
    sample(scores="float[B, S, 3]", move="float[3, 3]", first="float[3]", last="float[3]"),
    sample(scores="float[B, S, N]", move="float[N, N]", first="float[N]", last="float[N]", mask="bool[B, S]"),
)
BAD = (
    refused("A305", scores="int[B, S, 3]", move="float[3, 3]", first="float[3]", last="float[3]"),
    refused("A301", scores="float[B, S, 3]", move="float[3, 4]", first="float[3]", last="float[3]"),
    refused("A301", scores="float[B, S, 3]", move="float[3, 3]", first="float[3]", last="float[2]"),
    refused("A305", scores="float[B, S, 3]", move="float[3, 3]", first="float[3]", last="float[3]", mask="int[B, S]"),
    refused("A324", scores="float[B, 3]", move="float[3, 3]", first="float[3]", last="float[3]"),
    refused("A303", scores="float[B, 0, 3]", move="float[3, 3]", first="float[3]", last="float[3]"),
)


def _chain(rule: Rule, scores: TensorType, move: TensorType, first: TensorType, last: TensorType, mask: TensorType | None) -> tuple[Axis, Axis]:
    """Return the axes of rows and places."""
    common_dtype(rule, {"scores": scores, "move": move, "first": first, "last": last}, "float")
    if (scores.rank, move.rank, first.rank, last.rank) != (3, 2, 1, 1):
        raise rule.fail(
            f"`scores` is {scores}, `move` is {move}, `first` is {first} and `last` is {last}",
            "give float[B, S, K], float[K, K], float[K] and float[K]",
            "A324",
        )
    rows, places, tags = scores.shape
    for name, axis in (("move", move.shape[0]), ("move", move.shape[1]), ("first", first.shape[0]), ("last", last.shape[0])):
        rule.same(axis, tags, f"the tags of `{name}` and of `scores`")
    rule.at_least(places, 1, "axis 1 of `scores`, which has a first place")
    if mask is not None:
        rule.dtype(mask, [DType.BOOL], "`mask`")
        if mask.rank != 2:
            raise rule.fail(f"`mask` is {mask}", "give bool[B, S]", "A324")
        rule.same(mask.shape[0], rows, "the rows of `mask` and of `scores`")
        rule.same(mask.shape[1], places, "the places of `mask` and of `scores`")
    return rows, places


@operation(
    arguments=ARGUMENTS,
    lowering=call(f"{CHAIN}.chain_logsumexp", "scores", "move", "first", "last", Omit("mask", None)),
    cost=moved,
    good=GOOD,
    bad=BAD,
)
def chain_logsumexp(rule: Rule, scores: TensorType, move: TensorType, first: TensorType, last: TensorType, mask: TensorType | None) -> TensorType:
    """Add up all paths through a chain of tags: `y = ln sum_t e^score(t)`, what a conditional random field is normalised by.

    `score(t) = first[t_0] + sum_s scores[s, t_s] + sum_s move[t_s-1, t_s] + last[t_end]`, over the places that the mask keeps.
    scores: float[B, S, K], move: float[K, K], first, last: float[K], mask: bool[B, S], y: float[B].  Lafferty et al., ICML 2001
    """
    rows, _ = _chain(rule, scores, move, first, last, mask)
    return TensorType(scores.dtype, (rows,))


@operation(
    arguments=ARGUMENTS,
    lowering=call(f"{CHAIN}.viterbi", "scores", "move", "first", "last", Omit("mask", None)),
    cost=moved,
    good=GOOD,
    bad=BAD,
)
def viterbi(rule: Rule, scores: TensorType, move: TensorType, first: TensorType, last: TensorType, mask: TensorType | None) -> TensorType:
    """Find the best path through a chain of tags: `y = argmax_t score(t)`, with the score of `chain_logsumexp`; 0 where the mask is false.

    scores: float[B, S, K], move: float[K, K], first, last: float[K], mask: bool[B, S], y: int[B, S].  Viterbi, IEEE Trans. IT 1967
    """
    rows, places = _chain(rule, scores, move, first, last, mask)
    return TensorType(DType.INT, (rows, places))
