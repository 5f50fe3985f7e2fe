"""A case that a `golden` reads: which one of a file's, what its configuration sets, and what of it nothing reads."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from .. import ast
from ..diagnostics import Diagnostic, Severity
from ..record import record
from ..source import Span
from . import statics
from .arguments import typed_expression
from .context import Problem, fail, suggest
from .expressions import evaluate
from .files import File
from .scope import Frame
from .values import Value

TOLD = frozenset({"source", "mode", "module"})
"""What a configuration says about itself."""

KEY = re.compile(r"config\.([\w.]+)")


@record
class Reference:
    """What is known of a case before its model is elaborated: its configuration, the names of what it stores, the `golden` asked for."""

    config: Mapping[str, Any]
    inputs: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()
    golden: str | None = None


def chosen(file: File, trees: Sequence[ast.Item], reference: Reference) -> ast.Golden:
    """Return the `golden` of a file that is asked for by name, or the one that reads most of what a case stores; raises Problem.

    Every input that it names must be stored, or some where the others may come from its host.
    """
    there = {item.name: item for item in trees if isinstance(item, ast.Golden)}
    start = Span(file.parsed.source, 0, 0)
    name = reference.golden
    if not there:
        fail("A660", f"`{file.name}` has no `golden`", start, "`golden NAME for MODEL { ... }` says how reference tensors are read")
    if name is not None:
        if name not in there:
            fail("A660", f"`{file.name}` has no `golden {name}`", start, suggest(name, there, f"it has {statics.listed(there)}"))
        return there[name]
    reads = {item.name: _named(item, ast.GoldenIn, reference.inputs) for item in there.values()}
    fitting = {
        item.name: len(found) + len(_named(item, ast.GoldenValue, reference.outputs)[0])
        for item in there.values()
        for found, lacking in [reads[item.name]]
        if not lacking or found and _has_host(item)
    }
    best = [name for name, count in fitting.items() if count == max(fitting.values())]
    if len(best) == 1 or len(there) == 1:
        return there[best[0]] if best else next(iter(there.values()))
    if best:
        fail("A660", f"several `golden`s of `{file.name}` fit the case: {statics.listed(best)}", start, f"choose one: `--golden {best[0]}`")
    reasons = "; ".join(f"`{name}` reads {statics.listed(lacking, 3)}" for name, (_, lacking) in reads.items())
    fail("A660", f"no `golden` of `{file.name}` fits the case: it stores no such inputs", start, reasons)


def _has_host(item: ast.Golden) -> bool:
    """Say whether a host makes some of the inputs."""
    return any(isinstance(clause, ast.GoldenHost) for clause in item.clauses)


def _named(item: ast.Golden, kind: type[ast.GoldenIn | ast.GoldenValue], stored: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the names that the clauses of one kind give, those that match a stored tensor and those that don't."""
    clauses = (clause for clause in item.clauses if isinstance(clause, (ast.GoldenIn, ast.GoldenValue)) and isinstance(clause, kind))
    names = [clause.value if isinstance(clause, ast.GoldenIn) else clause.name for clause in clauses]
    templates = [name.value for name in names if isinstance(name, ast.String)]
    patterns = {text: ".+".join(map(re.escape, re.split(r"\{.*?\}", text))) for text in templates}
    found = [text for text in templates if any(re.fullmatch(patterns[text], name) for name in stored)]
    return found, [text for text in templates if text not in found]


def configured(
    item: ast.Golden, trees: Sequence[ast.Item], types: Mapping[str, ast.Type], frame: Frame, config: Mapping[str, Any]
) -> tuple[dict[str, Value], list[Diagnostic]]:
    """Return the arguments that the `param` clauses read from a configuration, as parameters of these types, and what is wrong with them."""
    frame = frame.child("comprehension")
    frame.names["config"] = dict(config)
    arguments: dict[str, Value] = {}
    problems: list[Diagnostic] = []
    for clause in _held(item, trees):
        try:
            if isinstance(clause, ast.GoldenFact):
                _check(clause, item.name, frame, config)
                continue
            if types and clause.name not in types:
                no_parameter(clause, item.model, list(types))
            known = clause.name in types
            arguments[clause.name] = typed_expression(types[clause.name], clause.value, frame) if known else evaluate(clause.value, frame)
        except Problem as problem:
            problems.append(problem.diagnostic)
    return arguments, problems


def _held(item: ast.Golden, trees: Sequence[ast.Item]) -> list[ast.GoldenParam | ast.GoldenFact]:
    """Return the clauses on the configuration that hold in a golden item: those of the earlier one that it starts from, and its own."""
    starts = {node.id for c in item.clauses if isinstance(c, ast.GoldenUse) and c.word == "from" for node in c.names if isinstance(node, ast.Name)}
    earlier = [tree for tree in trees[: trees.index(item)] if isinstance(tree, ast.Golden) and tree.name in starts]
    found = [c for tree in earlier for c in _held(tree, trees)] + [c for c in item.clauses if isinstance(c, (ast.GoldenParam, ast.GoldenFact))]
    last = {clause.name: clause for clause in found if isinstance(clause, ast.GoldenParam)}
    return [*last.values(), *(clause for clause in found if isinstance(clause, ast.GoldenFact))]


def _check(clause: ast.GoldenFact, golden: str, frame: Frame, config: Mapping[str, Any]) -> None:
    """Fail where a configuration is not as the clause says."""
    if statics.truth(evaluate(clause.fact, frame), clause.fact.span):
        return
    text = clause.fact.span.text
    values: list[str] = []
    for path in dict.fromkeys(KEY.findall(text)):
        value: Any = config
        for key in path.split("."):
            value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
        values.append(f"`{path}` is {json.dumps(value)}")
    fail("A663", f"`golden {golden}` is not for this case: `{text}` does not hold", clause.fact.span, "; ".join(values) or None)


def no_parameter(clause: ast.GoldenParam, model: str, names: Sequence[str]) -> None:
    """Fail for a `param` clause of a model that has no parameter of the name."""
    help = suggest(clause.name, names, f"its parameters are {statics.listed(names)}" if names else "the model has no parameters")
    fail("A620", f"`{model}` has no parameter `{clause.name}`", clause.span, help)


def unread_of(item: ast.Golden, trees: Sequence[ast.Item], config: Mapping[str, Any]) -> Diagnostic | None:
    """Return a warning that names the keys of a configuration that a golden item doesn't read; None where there are none."""
    texts = [(clause.value if isinstance(clause, ast.GoldenParam) else clause.fact).span.text for clause in _held(item, trees)]
    return warning_of(unread(texts, config), item.name, item.span)


def warning_of(keys: Sequence[str], golden: str, span: Span) -> Diagnostic | None:
    """Return what is said of keys that nothing reads, beside an error that they may be the reason of."""
    help = "write `param NAME = config.KEY` for those that change what is computed"
    message = f"`golden {golden}` does not read {statics.listed(keys, 30)} of the configuration"
    return Diagnostic("A664", message, span, help=help, severity=Severity.WARNING) if keys else None


def unread(texts: Iterable[str], config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of a configuration that no expression reads, `outer.inner` for those of a map that is read in part."""
    read = {path for text in texts for path in KEY.findall(text)}
    return tuple(key for key in _keys(config, read) if key not in TOLD and not any(key == path or key.startswith(f"{path}.") for path in read))


def _keys(config: Mapping[str, Any], read: Collection[str], above: str = "") -> Iterator[str]:
    """Yield the keys of a configuration, by their paths those of a map in it of which something is read."""
    for key, value in config.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and any(known.startswith(f"{path}.") for known in read):
            yield from _keys(cast("Mapping[str, Any]", value), read, f"{path}.")
        else:
            yield path
