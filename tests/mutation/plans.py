# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's reading of what a file says beside its models: stages, weights maps, presets (docs/language.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archloom.dsl import ast
from archloom.dsl.parser import parse
from archloom.dsl.source import Source

from .checks import need
from .facts import assert_fact
from .paths import Holdings
from .reading import tree_of
from .scopes import Body, Frame
from .stages import Stages
from .values import File
from .weights import Map


@dataclass(slots=True, eq=False)
class Plans:
    """The items of a file that are about one model."""

    model: str
    trains: list[ast.Train] = field(default_factory=list[ast.Train])
    weights: list[ast.Weights] = field(default_factory=list[ast.Weights])
    presets: list[ast.Preset] = field(default_factory=list[ast.Preset])
    others: set[str] = field(default_factory=set[str])

    def preset(self, name: str | None) -> dict[str, Any]:
        """Return the settings of a preset, as expressions."""
        if name is None:
            return {}
        found = [p for p in self.presets if p.name == name]
        need(bool(found), f"no preset {name}")
        return {s.name: s.value for s in found[0].settings if isinstance(s, ast.Setting)}


def plans_of(source: Source, model: str) -> Plans:
    """Return the plans for a model; those for a model that isn't there are wrong."""
    found = Plans(model)
    trees = [tree_of(raw) for raw in parse(source).items]
    models = {t.name for t in trees if isinstance(t, (ast.Model, ast.ModelAlias))}
    for tree in trees:
        for kind, kept in ((ast.Train, found.trains), (ast.Weights, found.weights), (ast.Preset, found.presets)):
            if isinstance(tree, kind):
                need(tree.model in models, f"no model {tree.model}")
                if tree.model == model:
                    kept.append(tree)
                else:
                    found.others.add(tree.model)
    return found


def judge_plans(plans: Plans, body: Body, frame: Frame, file: File, params: Mapping[str, Any], preset: str | None) -> None:
    """Judge all plans against a run of the model."""
    body.holdings = Holdings.of(body.made)
    _presets(plans, body, frame, preset)
    seen: set[str] = set()
    for item in plans.weights:
        need(item.name not in seen, "two maps of one name")
        seen.add(item.name)
        Map(item, body, frame, file).judge()
    stages = Stages(plans, body, frame, file, params)
    for train in plans.trains:
        for stage in train.stages:
            stages.judge(stage)


def _presets(plans: Plans, body: Body, frame: Frame, chosen: str | None) -> None:
    names: set[str] = set()
    known = {p.name for p in body.made.maker.tree.parameters}
    for item in plans.presets:
        need(item.name not in names, "two presets of one name")
        names.add(item.name)
        given = [s.name for s in item.settings if isinstance(s, ast.Setting)]
        need(set(given) <= known and len(set(given)) == len(given), "a preset's settings name parameters, once each")
        if item.name == chosen:
            preset_facts(item, frame)


def preset_facts(item: ast.Preset, frame: Frame) -> None:
    """Judge what a preset asserts of the model with it."""
    for fact in item.settings:
        if isinstance(fact, ast.Assert):
            assert_fact(fact, frame)
