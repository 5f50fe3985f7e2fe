# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""Kinds of change to what stands beside and around blocks: tasks, losses, stages, selectors, weights maps, presets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

from archloom.dsl import ast

from .kinds import Change, bound, dropped, misspelt, put
from .mutation import Base, Site, kind


def plan(base: Base, *kinds: type) -> Iterator[Site]:
    """Yield the sites of some kinds in stages, maps, presets, and in statements that select."""
    for site in base.of(*kinds, ran=False):
        if site.inside(ast.Train, ast.Weights, ast.Freeze, ast.Tie, ast.Preset) is not None:
            yield site


def paths(base: Base) -> list[str]:
    """Return names that the text binds, which selectors may name."""
    found = {s.node.name for s in base.of(ast.Goal, ran=False)}
    return sorted(found) or ["x"]


@kind
def task_name(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Task, ran=False):
        start = base.text.index(site.node.name, site.node.span.start + 4)
        yield start, start + len(site.node.name), misspelt(site.node.name, random)
        yield start, start + len(site.node.name), random.choice(bound(base, site) or ["x"])
        yield site.node.span.end, site.node.span.end, f"\n{site.text}"
        yield site.node.span.start, base.text.index("{", site.node.span.start), "if true "
    for site in base.of(ast.Tasks, ran=False):
        for name in site.node.names:
            yield put(name, misspelt(name.span.text, random))
    for site in base.of(ast.Attribute, ran=False):
        if isinstance(site.node.object, ast.Name) and isinstance(site.node.part, str):
            yield put(site.node.object, misspelt(site.node.object.id, random))


@kind
def loss(base: Base, random: Random) -> Iterator[Change]:
    """A loss that is missing, doubled, renamed, of no name, or of another thing."""
    for site in base.of(ast.Loss, ran=False):
        node = site.node
        start = base.text.index(node.name, node.span.start + 4)
        yield put(node, "")
        yield node.span.end, node.span.end, f"\n{site.text}"
        yield start, start + len(node.name), misspelt(node.name, random)
        yield start, start + len(node.name), random.choice(bound(base, site) or ["x"])
        yield put(node, f"{node.name} = {node.value.span.text}")
        for other in ("out", "loss again_"):
            yield node.span.start, node.span.start + 4, other
        yield put(node.value, f"0.5 * {node.value.span.text}")
        yield put(node.value, f"detach({node.value.span.text})")


@kind
def loss_shape(base: Base, random: Random) -> Iterator[Change]:
    """A loss that is no single number, or one of other tensors."""
    reductions = ("mean", "sum", "masked_mean", "mse", "l1", "cross_entropy", "bce_with_logits")
    for site in base.of(ast.Loss, ran=False):
        value = site.node.value
        for inner in base.of(ast.Call, ran=False):
            if site.node in inner.around and isinstance(inner.node.function, ast.Name) and inner.node.function.id in reductions:
                if inner.node.arguments:
                    yield put(inner.node, inner.node.arguments[0].value.span.text)
                    yield (
                        inner.node.span.end - 1,
                        inner.node.span.end - 1,
                        random.choice([', reduce = "none"', ', reduce = "sum"', ", dim = 0", ", dim = 1"]),
                    )
                yield put(inner.node.function, random.choice(reductions))
        for text in ("[none]", " > 0", ".mT"):
            yield put(value, f"({value.span.text}){text}")
        for text in ("relu", "sum", "mean", "float", "int", "unsqueeze", "square"):
            yield put(value, f"{text}({value.span.text})")
        yield put(value, random.choice(["0.0", "1", "0"]))
    for site in base.of(ast.Target, ran=False):
        type_ = site.node.type
        if isinstance(type_, ast.TypeRef) and type_.arguments:
            yield from dropped(site.node, type_.arguments)
            yield type_.arguments[-1].span.end, type_.arguments[-1].span.end, ", 2"
            yield type_.span.start, type_.span.start + len(type_.name), {"int": "float", "float": "int", "bool": "int"}.get(type_.name, "bool")


@kind
def selector(base: Base, random: Random) -> Iterator[Change]:
    names = paths(base)
    for site in plan(base, ast.Tune, ast.Freeze, ast.Losses, ast.Weigh, ast.WeightRule, ast.Tie):
        node = site.node
        nodes = [node.target] if isinstance(node, ast.WeightRule) else [node.selector] if isinstance(node, ast.Weigh) else []
        nodes += list(getattr(node, "selectors", ()))
        for one in nodes:
            text = one.span.text
            yield put(one, f"{text} except {random.choice(names)}")
            yield put(
                one,
                random.choice(["all", "**", "*", random.choice(names), f"**.{random.choice(names)}", f"{text}.weight", f"{text}.**", f"{text}[0]"]),
            )
            yield put(one, f"{text}: {random.choice(['Linear', 'LayerNorm', 'Conv2d', 'Embedding', 'Linaer'])}")
            for word in re.finditer(r"[A-Za-z_]\w*", text):
                if word.group() not in ("except", "all"):
                    start = one.span.start + word.start()
                    yield start, start + len(word.group()), misspelt(word.group(), random)
                    yield start, start + len(word.group()), random.choice(names)
            for index in re.finditer(r"\[[^\]]*\]", text):
                start, end = one.span.start + index.start(), one.span.start + index.end()
                yield start, end, ""
                yield start, end, random.choice(["[0]", "[1]", "[*]", "[-1]", "[9]", "[0..1]", "[zz]", "[0..0]", "[:1]"])


def clause_changes(base: Base, clause: Any, stages: list[str], random: Random) -> Iterator[Change]:
    yield put(clause, "")
    yield clause.span.end, clause.span.end, f"\n{clause.span.text}"
    if isinstance(clause, ast.Tune):
        yield clause.span.end, clause.span.end, ", rest in eval" if not clause.rest_in_eval else ""
        yield clause.span.start, clause.span.start + 4, random.choice(["tunes", "losses", "freeze", "from", "tasks"])
    if isinstance(clause, (ast.From, ast.Tasks)):
        for name in clause.names:
            yield put(name, random.choice([misspelt(name.span.text.strip('"') or "x", random), *stages, '"file.safetensors"', "tune"]))
    if isinstance(clause, ast.Weigh):
        yield put(clause.value, random.choice(["0.5", "true", "{a: 1}", "none", '"x"', "2 * 3"]))
    yield from handed_changes(base, clause, random)


def handed_changes(base: Base, clause: Any, random: Random) -> Iterator[Change]:
    if isinstance(clause, ast.Set):
        for setting in clause.settings:
            yield setting.span.start, setting.span.start + len(setting.name), misspelt(setting.name, random)
            yield put(setting.value, random.choice(["1", "true", "none", "[1]", "0.5"]))
    if isinstance(clause, (ast.Emit, ast.Use)):
        start = base.text.index(clause.name, clause.span.start + 3)
        yield start, start + len(clause.name), misspelt(clause.name, random)
        if clause.value is not None:
            yield put(clause.value, random.choice(paths(base)))
    if isinstance(clause, ast.Options) and clause.settings:
        yield clause.settings[0].span.end, clause.settings[0].span.end, f"; {clause.settings[0].span.text}"


@kind
def stage(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Stage, ran=False):
        stages = [s.node.name for s in base.of(ast.Stage, ran=False)]
        at = base.text.index(site.node.name, site.node.span.start + 5)
        yield at, at + len(site.node.name), random.choice([*stages, misspelt(site.node.name, random)])
        for clause in site.node.clauses:
            yield from clause_changes(base, clause, stages, random)
        end = site.node.span.end - 1
        extra = [
            "tasks nothing",
            "losses **",
            'from "other"',
            "weight ** = 0.5",
            "set depth = 1",
            f"emit soft = {random.choice(paths(base))}",
            "use soft",
            "tune all",
        ]
        yield end, end, f"; {random.choice(extra)} "
    for site in base.of(ast.Train, ran=False):
        at = base.text.index(site.node.model, site.node.span.start)
        yield at, at + len(site.node.model), misspelt(site.node.model, random)
        items = site.node.stages
        for one, two in zip(items, items[1:], strict=False):
            yield one.span.start, two.span.end, two.span.text + base.text[one.span.end : two.span.start] + one.span.text


@kind
def weights_map(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Weights, ran=False):
        node: Any = site.node
        rules = node.rules
        for rule in rules:
            yield put(rule, "")
            yield rule.span.end, rule.span.end, f"\n{rule.span.text}"
            if isinstance(rule, ast.WeightRule):
                yield from right_side(rule, random)
        at = base.text.index("{", node.span.start) if rules else node.span.end
        if rules:
            yield at, at, "" if node.complete else "complete "
            if node.complete:
                start = base.text.index("complete", node.span.start)
                yield start, start + 9, ""
        start = base.text.index(node.model, node.span.start + 8)
        yield start, start + len(node.model), misspelt(node.model, random)
        for source in node.sources:
            yield put(source, random.choice(['"a.safetensors"', 'family "b/{s}"', "Nothing", "12", 'family "b/{t}"']))
    for site in base.of(ast.Renamed, ast.Tie, ran=False):
        yield put(site.node, "")
        yield site.node.span.end, site.node.span.end, f"\n{site.text}"


def right_side(rule: ast.WeightRule, random: Random) -> Iterator[Change]:
    value = rule.value
    text = value.span.text
    yield put(value, random.choice(["zeros", "ones", "0.5", "normal(std = 0.02)", "zeroes", "true", "3"]))
    yield put(
        value,
        random.choice(
            [f"transpose({text})", f'rearrange({text}, "a b -> b a")', f"{text}[0..1]", f"reshape({text}, [2, -1])", f"concat({text}, {text})"]
        ),
    )
    for hole in re.finditer(r"\{([^{}]*)\}", text):
        start = value.span.start + hole.start(1)
        yield start, start + len(hole.group(1)), random.choice(["q", f"{hole.group(1)} - 1", f"{hole.group(1)} + 1", "0", ""])
        yield value.span.start + hole.start(), value.span.start + hole.end(), random.choice(["*", "**", ""])
    if text.endswith('"'):
        yield value.span.end - 1, value.span.end - 1, random.choice([".{i}", ".*", ".x"])
    for number in re.finditer(r"(?<=[\[.\s*])\d+|\b[a-z]+(?=\])", text):
        yield value.span.start + number.start(), value.span.start + number.end(), random.choice(["1", "2", "5"])


@kind
def preset(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Preset, ran=False):
        for setting in site.node.settings:
            yield put(setting, "")
            yield setting.span.end, setting.span.end, f"\n{setting.span.text}"
            if isinstance(setting, ast.Setting):
                yield setting.span.start, setting.span.start + len(setting.name), misspelt(setting.name, random)
                if re.fullmatch(r"\d+", setting.value.span.text):
                    yield put(setting.value, str(int(setting.value.span.text) + random.choice([1, 2])))
                yield put(setting.value, random.choice(["1", "2", "true", "none", "[1, 2]", "0.5", "{a, b}"]))
        at = base.text.index(site.node.model, site.node.span.start + 7)
        yield at, at + len(site.node.model), misspelt(site.node.model, random)
    for site in base.of(ast.Assert, ran=False):
        for number in re.finditer(r"\b\d[\d_]*\b", site.text):
            start = site.node.span.start + number.start()
            yield start, start + len(number.group()), str(int(number.group().replace("_", "")) + random.choice([1, -1]))
        for one, other in (("ignores", "uses"), ("uses", "ignores"), ("==", "!="), (" and ", " or ")):
            if one in site.text:
                start = site.node.span.start + site.text.index(one)
                yield start, start + len(one), other
