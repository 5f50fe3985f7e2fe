"""What the elaborator asks about finished bodies; the compiler's graph answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from .program import Body, Ref
from .record import record
from .source import Span
from .types import SetAxis

if TYPE_CHECKING:
    from .holdings import Holding


@record
class Owned:
    """A parameter or buffer by its absolute path below a body, with what selectors look at.

    `parts` are the path's words with the members that index each: `lm.fork.generate.3.attn.q.weight` made as `fork[generate, 3]` is
    `(("lm", ()), ("fork", ("generate", 3)), ("attn", ()), ("q", ()), ("weight", ()))`.
    """

    path: str
    parts: tuple[tuple[str, tuple[object, ...]], ...]
    shape: tuple[int, ...]
    buffer: bool
    kinds: tuple[str, ...]  # the kind of the module at each of `parts` but the last: `("Fork", "DecoderLayer", "Attention", "Linear")`
    tasks: tuple[str, ...]  # tasks in whose braces it or a module around it was made
    sets: tuple[tuple[SetAxis, ...], ...] = ()  # the declared index set of each member of `parts`, where it is known

    @property
    def size(self) -> int:
        result = 1
        for n in self.shape:
            result *= n
        return result


@record
class Work:
    """What one evaluation of a body's outputs multiplies and adds; nothing where sizes are `missing` or its parts are `extern`."""

    multiply_adds: int = 0
    missing: tuple[str, ...] = ()  # symbols without a size
    unknown: tuple[str, ...] = ()  # what is extern


class Reached(Protocol):
    """Parameters that something comes from."""

    def holds(self, path: str) -> bool:
        """Tell whether a parameter, by its absolute path, is one of them."""
        ...


class Inspector(Protocol):
    """Answers about parameters and dependence."""

    def holding(self, *bodies: Body) -> Holding:
        """Return what is below some bodies of one model together."""
        ...

    def owned(self, body: Body) -> Sequence[Owned]:
        """Return every parameter and buffer below a body, in order of birth; a shared one once."""
        ...

    def dependence(self, body: Body, result: str | Ref, source: str | Ref) -> Sequence[str] | None:
        """Return the steps by which a result depends on a source, the result first; None if it doesn't.

        A result is a value of the body or the name of an output or loss (`h.understand`); a source is a value, the key of an input, or
        the path of a module or parameter.
        """
        ...

    def met(self, body: Body, result: Ref, sources: Iterable[str | Ref]) -> Sequence[str | Ref]:
        """Return those of some sources that a value of a body depends on."""
        ...

    def mixing(self, body: Body, result: str | Ref, source: str | Ref) -> Sequence[Span]:
        """Return where the steps by which a result depends on a source meet what doesn't depend on it, nearest to the result, and go on."""
        ...

    def work(self, body: Body, sizes: Mapping[str, int]) -> Work:
        """Return what the outputs of a body cost in eval mode, at sizes by the names of its symbols."""
        ...

    def losses_reach(self, body: Body, losses: Iterable[str]) -> Reached:
        """Return what gets a gradient from the named losses."""
        ...

    def results_reach(self, bodies: Iterable[Body]) -> Reached:
        """Return what any result of the bodies depends on."""
        ...
