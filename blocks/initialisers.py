"""The table of initialisers: how a parameter starts, with the function of `torch.nn.init` that does it, by dotted name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..dsl.primitive import MISSING, Argument, Initialiser
from ..dsl.record import record
from .arguments import real, word


@record
class InitialiserEntry:
    """One row: `target` fills a tensor in place, called with the tensor and with each keyword taken from the named argument."""

    arguments: tuple[Argument, ...]
    target: str
    keywords: Mapping[str, str]
    doc: str
    ranks: tuple[int, int]  # the fewest and the most dimensions of what it fills
    floats: bool  # fills tensors of floats alone


MOST = 1 << 30


def _row(target: str, doc: str, *arguments: Argument, ranks: tuple[int, int] = (0, MOST), floats: bool = True, **renamed: str) -> InitialiserEntry:
    """Keywords of torch are the names of the arguments but for those in `renamed` (torch's name = ours)."""
    ours = {v: k for k, v in renamed.items()}
    return InitialiserEntry(arguments, f"torch.nn.init.{target}_", {ours.get(a.name, a.name): a.name for a in arguments}, doc, ranks, floats)


_MODE = word("mode", ("fan_in", "fan_out"), "keep the size of values forward (fan_in) or of gradients backward", "fan_in")
_FOR = word("nonlinearity", ("relu", "leaky_relu", "tanh", "sigmoid", "linear"), "what follows the layer", "leaky_relu")
_SLOPE = real("a", "the slope below zero of the leaky ReLU that follows", 0.0)
_GAIN = real("gain", "a factor", 1.0)
_FANS = (2, MOST)  # what has no two dimensions has no fan

INITIALISERS: Mapping[str, InitialiserEntry] = {
    "zeros": _row("zeros", "All 0.", floats=False),
    "ones": _row("ones", "All 1.", floats=False),
    "constant": _row("constant", "All `value`; a number alone means the same.", real("value", "the number"), floats=False, val="value"),
    "normal": _row("normal", "From N(mean, std^2).", real("mean", "the mean", 0.0), real("std", "the standard deviation", 1.0)),
    "trunc_normal": _row(
        "trunc_normal", "From N(mean, std^2), drawn anew outside [a, b].", real("std", "the standard deviation", 1.0), real("mean", "the mean", 0.0),
        real("a", "the lowest", -2.0), real("b", "the highest", 2.0),
    ),
    "uniform": _row("uniform", "From U(a, b).", real("a", "the lowest", 0.0), real("b", "the highest", 1.0)),
    "kaiming_uniform": _row(
        "kaiming_uniform", "From U(-c, c), c = gain sqrt(3 / fan), gain = sqrt(2 / (1 + a^2)).",
        _SLOPE, _MODE, _FOR, ranks=_FANS,
    ),
    "kaiming_normal": _row("kaiming_normal", "From N(0, gain^2 / fan), gain = sqrt(2 / (1 + a^2)).", _SLOPE, _MODE, _FOR, ranks=_FANS),
    "kaiming": _row(
        "kaiming_uniform", "As torch starts Linear and convolutions: U(-c, c), c = 1 / sqrt(fan_in).",
        real("a", "the slope", 5**0.5), ranks=_FANS,
    ),
    "xavier_uniform": _row("xavier_uniform", "From U(-c, c), c = gain sqrt(6 / (fan_in + fan_out)).", _GAIN, ranks=_FANS),
    "xavier_normal": _row("xavier_normal", "From N(0, 2 gain^2 / (fan_in + fan_out)).", _GAIN, ranks=_FANS),
    "eye": _row("eye", "The identity, for a matrix.", ranks=(2, 2)),
    "identity": _row("eye", "The identity, for a matrix.", ranks=(2, 2)),
    "dirac": _row("dirac", "The identity, for the weight of a convolution.", ranks=(3, 5)),
    "orthogonal": _row("orthogonal", "A matrix with orthogonal rows or columns, times `gain`.", _GAIN, ranks=_FANS),
}  # fmt: skip


def filling(initialiser: Initialiser) -> tuple[str, dict[str, Any]]:
    """Return the dotted name of the function that fills a tensor in place, and its keywords.

    Raises KeyError for a name that isn't in the table, TypeError for an argument that is missing or unknown.
    """
    row = INITIALISERS[initialiser.name]
    names = {a.name for a in row.arguments}
    unknown = sorted(set(initialiser.arguments) - names)
    if unknown:
        raise TypeError(f"`{initialiser.name}` takes no `{unknown[0]}`")
    values = {a.name: initialiser.arguments.get(a.name, a.default) for a in row.arguments}
    for name, value in values.items():
        if value is MISSING:
            raise TypeError(f"`{initialiser.name}` needs `{name}`")
    return row.target, {theirs: values[ours] for theirs, ours in row.keywords.items()}
