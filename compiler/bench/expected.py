"""What all configurations are held against: the values of the model without passes, eager, in float32."""

from __future__ import annotations

import math

from ...dsl.record import record
from ..runtime.errors import InputError
from .difference import GRADIENTS, Values, largest
from .subject import Call, Draws, Subject

CHANCE = 1e-4
"""Two calls of one model that differ by more than this differ by what they draw."""
BEYOND = "gives numbers that are not finite, where the reference gives finite ones"
RANDOM = "no errors: two calls of the model differ, though they draw the same"
BY_THEMSELVES = "errors are those of calls that draw the same; compiled calls draw for themselves, and have none"


@record
class Compared:
    """The largest error of a configuration, or None, and what there is to say about it."""

    error: float | None
    notes: tuple[str, ...] = ()


class Expected:
    """The values of the reference, and what it drew for them, if it draws at random: then all others are to draw the same."""

    def __init__(self, reference: Subject) -> None:
        """Call the reference several times."""
        step = reference.eager()
        self.values: Values = reference.values(step)
        self.draws: Draws | None = None
        self.repeats = largest(reference.values(step, seed=1), self.values) <= CHANCE
        if not self.repeats:
            self.values, self.draws = reference.drawn(step)
            self.repeats = largest(reference.values(step, seed=1, draws=self.draws), self.values) <= CHANCE

    def note(self, compiled: bool) -> str | None:
        """Return what is to be said of all errors, where some of the calls are `compiled`."""
        if not self.repeats:
            return RANDOM
        return BY_THEMSELVES if self.draws is not None and compiled else None

    def compare(self, subject: Subject, step: Call, compiled: bool) -> Compared:
        """Hold one call of a configuration against the reference."""
        if not self.repeats or (compiled and self.draws is not None):
            return Compared(None, self._left_out(subject.values(step)))
        try:
            found = subject.values(step, draws=self.draws)
        except InputError as error:  # passes may leave out what isn't needed, with its draws
            return Compared(None, (f"no error: it draws otherwise: {error}",))
        error = largest(found, self.values)
        return Compared(error, self._left_out(found)) if math.isfinite(error) else Compared(None, (BEYOND, *self._left_out(found)))

    def _left_out(self, found: Values) -> tuple[str, ...]:
        """Say that a configuration gives less than the model without passes, for which it then does less work."""
        there, given = (sum(not name.startswith(f"{GRADIENTS}.") for name in values) for values in (self.values, found))
        return (f"gives {given} of {there} results",) if given < there else ()
