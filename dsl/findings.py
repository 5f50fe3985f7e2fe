"""What is found in one file: each finding once, and no more errors than the limit allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .diagnostics import Diagnostic, Severity
from .limits import Limits, exceeded


@dataclass(slots=True, eq=False)
class Findings:
    """Findings in the order in which they were made.  The error after the last one that is allowed says so: then it is `full` and takes no more."""

    limits: Limits
    all: list[Diagnostic] = field(default_factory=list[Diagnostic])
    full: bool = False
    errors: int = 0
    seen: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep a finding, if it is new and there is room."""
        key = (diagnostic.code, diagnostic.span.source.name, diagnostic.span.start, diagnostic.message)
        if self.full or key in self.seen:
            return
        self.seen.add(key)
        if diagnostic.severity is Severity.ERROR:
            self.errors += 1
            if self.errors > self.limits.errors:
                self.full = True
                message = f"there are more than {self.limits.errors:,} errors: the rest of the text isn't looked at"
                diagnostic = exceeded("errors", message, diagnostic.span, "correct the first ones")
        self.all.append(diagnostic)
