"""Small functions and classes of the runtime that an emitted file carries along."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Collection
from types import ModuleType
from typing import Any

from ..lower.names import imported
from .layout import WIDTH, docstring, parted, signature
from .layout import statement as laid_out


class Helpers:
    """Collects what the emitted file defines and imports besides the classes."""

    def __init__(self, reserved: Collection[str] = ()) -> None:
        """Take the names of inputs: what hides a function of that name gives it another."""
        self.reserved = reserved
        self.imports: dict[str, None] = {}
        self._done: set[str] = set()
        self._texts: dict[str, str] = {}

    def use(self, dotted: str) -> str:
        """Return the name of a function or class in the file, and bring it along."""
        module, _, name = dotted.rpartition(".")
        if not dotted.startswith("archloom."):
            self.imports[f"import {module}"] = None
            return dotted
        self._copy(inspect.getmodule(imported(dotted)) or imported(module), name)
        return self._known_as(name)

    def _known_as(self, name: str) -> str:
        return f"{name}_" if name in self.reserved else name

    @property
    def names(self) -> frozenset[str]:
        """The names that are defined."""
        return frozenset(self._texts)

    def lines(self) -> list[str]:
        """Return the definitions, what others need first."""
        found: list[str] = []
        for text in self._texts.values():
            text = re.sub(r"\b\w+(?=\()", lambda found: self._known_as(found[0]) if found[0] in self._texts else found[0], text)
            rows = [line for row in text.splitlines() for line in _narrow(row)]
            long = any(len(row) > WIDTH for row in rows)
            spaced = text.startswith(("def ", "class ", "@"))
            found += ["", ""] if spaced else [""]
            found += ["# fmt: off", *rows, "# fmt: on"] if long else rows
        return found

    def _copy(self, module: ModuleType, name: str) -> None:
        key = f"{module.__name__}.{name}"
        if key in self._done:
            return
        self._done.add(key)
        source = inspect.getsource(module)
        for statement in ast.parse(source).body:
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                self._import(module, statement, name)
            elif name in _defined(statement):
                for used in ast.walk(statement):
                    if isinstance(used, ast.Name) and used.id != name:
                        self._copy(module, used.id)
                text = textwrap.dedent("\n".join(source.splitlines()[_first(statement) - 1 : statement.end_lineno]))
                self._texts[name] = _narrow_docstrings(text)

    def _import(self, module: ModuleType, statement: ast.Import | ast.ImportFrom, name: str) -> None:
        for alias in statement.names:
            if (alias.asname or alias.name.split(".")[0]) != name:
                continue
            shown = alias.name if alias.asname is None else f"{alias.name} as {alias.asname}"
            if isinstance(statement, ast.Import):
                self.imports[f"import {shown}"] = None
            elif statement.level:
                found: Any = getattr(module, name)
                self._copy(inspect.getmodule(found) or module, alias.name)
            else:
                self.imports[f"from {statement.module} import {shown}"] = None


def _narrow_docstrings(text: str) -> str:
    """Lay out anew what is too long of the docstrings of a definition."""
    rows = text.splitlines()
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    for node in sorted(found, key=lambda node: node.lineno, reverse=True):
        doc, first = ast.get_docstring(node), node.body[0]
        if doc is not None and any(len(row) > WIDTH for row in rows[first.lineno - 1 : first.end_lineno]):
            rows[first.lineno - 1 : first.end_lineno] = docstring(doc, first.col_offset)
    return "\n".join(rows)


def _narrow(row: str) -> list[str]:
    """Break a line that is too long."""
    text = row.strip()
    indent = len(row) - len(row.lstrip())
    if len(row) <= WIDTH:
        return [row]
    code, why = parted(text)
    if why:
        above = textwrap.wrap(why, WIDTH - indent - 2)
        return [*(f"{' ' * indent}# {line}" for line in above), *(_narrow(f"{' ' * indent}{code}") if code else [])]
    if text.startswith("def "):
        head, _, result = text.partition(" -> ")
        name, _, parameters = head.removeprefix("def ").removesuffix(")").partition("(")
        return signature(name, [parameters], result.removesuffix(":"), indent)
    return laid_out(text, indent)


def _first(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(d.lineno for d in decorators)])


def _defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target] if isinstance(statement, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}
