"""What can be said of selectors while their model has errors of its own: a path that begins with a word of nowhere matches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import ast
from ..diagnostics import Diagnostic
from ..parse.gaps import NAME
from ..parse.pythonisms import walk
from .bound import bound_names
from .context import suggest
from .files import File, Files
from .plans import Said
from .selecting import SELECTION


def check_heads(about: Iterable[Said], model: ast.Model, file: File, files: Files) -> None:
    """Report selectors of stages and weights maps whose first word stands nowhere in the model's text."""
    known = {"all", *NAME.findall(model.span.text), *file.items, *file.imports}
    bound = [name for node in walk(model) if isinstance(node, ast.Statement) for name in bound_names(node)]
    for code, selector in _selectors(about):
        for path, head in _heads(selector):
            if head.id not in known:
                message = f"`{path.span.text}` matches nothing: there is no `{head.id}`"
                files.report(Diagnostic(code, message, head.span, help=suggest(head.id, bound, f"it is no name of `{model.name}`")))


def _selectors(about: Iterable[Said]) -> Iterator[tuple[str, ast.Expr]]:
    for item in about:
        if isinstance(item, ast.Train):
            clauses = [clause for stage in item.stages if isinstance(stage, ast.Stage) for clause in stage.clauses]
            yield from ((SELECTION, node) for clause in clauses if isinstance(clause, ast.Tune) for node in clause.selectors)
        elif isinstance(item, ast.Weights):
            yield from (("A601", rule.target) for rule in item.rules if isinstance(rule, ast.WeightRule))


def _heads(selector: ast.Expr) -> Iterator[tuple[ast.Expr, ast.Name]]:
    """Yield the paths of a selector that begin with a name, with that name."""
    if isinstance(selector, ast.Binary):
        yield from (*_heads(selector.left), *_heads(selector.right))
    elif isinstance(selector, ast.OfKind):
        yield from _heads(selector.selector)
    elif isinstance(selector, ast.SetLiteral):
        yield from (head for item in selector.items for head in _heads(item))
    else:
        root = selector
        while isinstance(root, (ast.Attribute, ast.Index)):
            root = root.object
        if isinstance(root, ast.Name):
            yield selector, root
