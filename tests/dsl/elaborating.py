"""What tests of the elaborator share: programs of texts, findings as short texts."""

from __future__ import annotations

from typing import Any

from archloom.compiler.check import check_text
from archloom.dsl.diagnostics import Diagnostic
from archloom.dsl.program import Body, Member, NodeKind, Program
from archloom.dsl.source import Source


def findings(text: str, /, **options: Any) -> tuple[Diagnostic, ...]:
    """Return all that is found in a text."""
    return check_text(Source("spec.arch", text), **options).diagnostics


def codes(text: str, /, **options: Any) -> list[str]:
    """Return the codes of all findings, in order."""
    return [d.code for d in findings(text, **options)]


def says(text: str, /, **options: Any) -> str:
    """Return the one finding of a text as `A404 at TEXT: message; help`."""
    (found,) = findings(text, **options)
    return f"{found.code} at {found.span.text}: {found.message}" + (f"; {found.help}" if found.help else "")


def program(text: str, /, **options: Any) -> Program:
    """Return the only program of a text without errors; warnings are errors too."""
    result = check_text(Source("spec.arch", text), **options)
    assert result.diagnostics == (), [f"{d.code} {d.message}" for d in result.diagnostics]
    (found,) = result.programs.values()
    return found


def model(body: str, /, **options: Any) -> Body:
    """Return the body of `model M { in x: float[B, 4]; BODY }`."""
    return program(f"model M {{ in x: float[B, 4]\n{body} }}", **options).eval


def outs(body: Body) -> dict[str, str]:
    """Return the types of the outputs by name and members."""
    return {".".join([o.name, *map(str, o.members)]): str(body.type(o.ref)) for o in body.outputs}


def chain(body: Body, name: str, *members: Member) -> str:
    """Return how an output is computed, as nested calls: `relu(f.0(x))`."""
    (out,) = [o for o in body.outputs if o.name == name and o.members == members]

    def text(number: int) -> str:
        node = body.nodes[number]
        if node.kind is NodeKind.CONSTANT:
            return str(node.attributes["value"])
        operands = [ref for o in node.inputs.values() for ref in (o if isinstance(o, tuple) else (o,)) if ref is not None]
        inner = ", ".join(text(ref.node) for ref in operands)
        return f"{node.target}({inner})" if inner else node.target

    return text(out.ref.node)


def owned(body: Body, prefix: str = "") -> list[str]:
    """Return the paths of all leaf modules and parameters below a body."""
    found = [prefix + path for path in body.parameters]
    for path, declared in body.modules.items():
        if declared.primitive is not None:
            found.append(prefix + path)
        for inner in declared.bodies[:1]:
            found.extend(owned(inner, f"{prefix}{path}."))
    return found


def bodies(body: Body) -> list[Body]:
    """Return a body and all that it calls, each once."""
    found: list[Body] = []

    def visit(at: Body) -> None:
        if not any(at is known for known in found):
            found.append(at)
            for node in at.nodes:
                if node.body is not None:
                    visit(node.body)

    visit(body)
    return found
