"""What the elaborator asks about finished bodies; the compiler's graph answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .program import Body


@dataclass(frozen=True, slots=True)
class Owned:
    """A parameter or buffer by its absolute path below a body, with what selectors look at.

    `parts` are the path's words with the members that index each: `lm.fork.generate.3.attn.q.weight` made as `fork[generate, 3]` is
    `(("lm", ()), ("fork", ("generate", 3)), ("attn", ()), ("q", ()), ("weight", ()))`.
    """

    path: str
    parts: tuple[tuple[str, tuple[object, ...]], ...]
    shape: tuple[int, ...]
    buffer: bool
    kinds: tuple[str, ...]  # kinds of the modules around it by depth, outermost first: `("ForkedDecoder", "DecoderLayer", "Attention", "Linear")`
    tasks: tuple[str, ...]  # tasks in whose braces it or a module around it was made

    @property
    def size(self) -> int:
        result = 1
        for n in self.shape:
            result *= n
        return result


class Inspector(Protocol):
    """Answers about parameters and dependence."""

    def owned(self, body: Body) -> Sequence[Owned]:
        """Return every parameter and buffer below a body, in order of birth; a shared one once."""
        ...

    def dependence(self, body: Body, result: str, source: str) -> Sequence[str] | None:
        """Return a path of steps by which a result (`h.understand`) depends on an input or on a module or parameter path, None if there is none."""
        ...

    def losses_reach(self, body: Body, losses: Iterable[str]) -> frozenset[str]:
        """Return the absolute paths of the parameters that the named losses depend on."""
        ...
