"""The tasks that a caller asks for."""

from __future__ import annotations

from collections.abc import Sequence

from ..dsl.diagnostics import closest
from ..dsl.program import Program


def known_tasks(program: Program, tasks: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the asked tasks; ValueError with a suggestion for one that the model hasn't."""
    if tasks is None:
        return None
    if isinstance(tasks, str):
        raise ValueError(f"`tasks` is a list of names, not one string: write [{tasks!r}]")
    if not tasks:
        raise ValueError("`tasks` names none: leave it out for all of them")
    for task in tasks:
        if task not in program.tasks:
            near = closest(task, program.tasks)
            has = ", ".join(f"`{name}`" for name in program.tasks) or "none"
            raise ValueError(f"`{program.name}` has no task `{task}`{f', did you mean `{near}`' if near else ''}: its tasks are {has}")
    return tuple(tasks)
