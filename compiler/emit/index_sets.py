"""Index sets of names as constants of the file: `TASKS = ("depth", "edge")`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from ...dsl.elaborate.values import IndexSet
from ...dsl.program import Body, Program

LEAST = 3
"""How many names a set has that gets a constant; that of the tasks always has one."""


class Sets:
    """Constants by the names that they hold."""

    def __init__(self, program: Program, bodies: Iterable[Body]) -> None:
        self.tasks = program.tasks
        self.constants: dict[tuple[str, ...], str] = {}
        if len(program.tasks) > 1:
            self.constants[program.tasks] = "TASKS"
        given = ((name, value.members) for name, value in program.arguments.items() if isinstance(value, IndexSet))
        born = (declared for body in bodies for declared in (*body.modules.values(), *body.parameters.values()))
        for name, found in (*given, *((known.name, known.members) for declared in born for known in declared.sets)):
            members = tuple(member for member in found if isinstance(member, str))
            if len(members) == len(found) >= LEAST and members not in self.constants:
                self.constants[members] = self._free(name.upper() if name.isidentifier() else "NAMES")

    def _free(self, name: str) -> str:
        taken = self.constants.values()
        return next(one for one in (name, *(f"{name}_{i}" for i in range(2, 1000))) if one not in taken)

    def text(self, members: Sequence[object]) -> str:
        """Return what a loop goes through: a constant, or the names themselves."""
        found = self.constants.get(tuple(map(str, members))) if all(isinstance(member, str) for member in members) else None
        return found or f"({', '.join(map(json.dumps, members))})"

    def lines(self, body: str) -> list[str]:
        """Return the definitions of the constants that a text uses."""
        used = {members: name for members, name in self.constants.items() if re.search(rf"\b{name}\b", body)}
        return [f"{name} = ({', '.join(map(json.dumps, members))})" for members, name in used.items()]
