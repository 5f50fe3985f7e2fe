# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""Changes to tasks, losses, stages, maps and presets that a careful writer makes: many leave a text right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from archloom.dsl import ast

from .keeping import everywhere, fresh, widened
from .kinds import Change, put
from .mutation import Base, also
from .plan_kinds import paths, plan


@also("task_name")
def task_everywhere(base: Base, random: Random) -> Iterator[Change]:
    tasks = [s.node for s in base.of(ast.Task, ran=False)]
    for task in tasks:
        name = task.name
        yield from (everywhere(base, name, new) for new in (fresh(name, random), f"task_{name}", f"{name}_two"))
        yield from (
            everywhere(base, name, fresh(name, random), item) for item in {id(n): n for n in (task, *(t for t in tasks if t is not task))}.values()
        )
        yield task.span.end, task.span.end, f"\n{everywhere_in(task.span.text, name, fresh(name, random))}"
        yield from (everywhere(base, name, other.name) for other in tasks if other.name != name)
    for one, two in zip(tasks, tasks[1:], strict=False):
        if one.span.end <= two.span.start:
            between = base.text[one.span.end : two.span.start]
            yield one.span.start, two.span.end, two.span.text + between + one.span.text
    for site in base.of(ast.Stage, ran=False):
        if not any(isinstance(c, ast.Tasks) for c in site.node.clauses):
            end = site.node.span.end - 1
            yield from ((end, end, f"; tasks {', '.join(names)} ") for names in ([t.name for t in tasks], [t.name for t in tasks[:1]]) if names)


def everywhere_in(text: str, old: str, new: str) -> str:
    return re.sub(rf"\b{re.escape(old)}\b", new, text)


@also("loss")
def loss_other(base: Base, random: Random) -> Iterator[Change]:
    """A loss renamed throughout, weighed in another way, split into two."""
    for site in base.of(ast.Loss, ran=False):
        node, text = site.node, site.node.value.span.text
        yield everywhere(base, node.name, fresh(node.name, random))
        yield from (put(node.value, t) for t in (f"2 * ({text})", f"({text}) / 2", f"-({text})", f"({text}) + 0.0", f"0 * ({text})"))
        yield node.span.end, node.span.end, f"\n  loss half_ = 0.5 * ({text})"
        yield node.span.start, node.value.span.end, f"value_ = {text}; loss {node.name} = value_"
        yield node.span.end, node.span.end, f"\n  out {node.name}_ = {text}"


@also("loss_shape")
def loss_scalar(base: Base, random: Random) -> Iterator[Change]:
    """A loss that is another single number."""
    for site in base.of(ast.Loss, ran=False):
        text = site.node.value.span.text
        forms = ("mean({})", "sum({})", "mean(square({}))", "({})[none][0]", "mean(stack([{0}, {0}], dim = 0))", "sqrt({} + 1.0)", "float({})")
        yield from (put(site.node.value, form.format(text)) for form in forms)
        for other in ("[none, none]", "[0]"):
            yield put(site.node.value, f"({text}){other}")


@also("selector")
def selector_other(base: Base, random: Random) -> Iterator[Change]:
    """The same parameters said in another way, others that are there, or all but some."""
    names = paths(base)
    for site in plan(base, ast.Tune, ast.Freeze, ast.Losses, ast.Weigh, ast.Tie):
        node = site.node
        for one in [node.selector] if isinstance(node, ast.Weigh) else list(getattr(node, "selectors", ())):
            text = one.span.text
            yield from (put(one, t) for t in (f"{{{text}}}", f"{text}.**", f"**.{text}", f"all except {text}", f"{text}, {random.choice(names)}"))
            yield from (put(one, n) for n in random.sample(names, min(2, len(names))))
            for index in re.finditer(r"\[(\w+)\]", text):
                yield one.span.start + index.start(), one.span.start + index.end(), random.choice(("[*]", ""))
    for site in base.of(ast.Goal, ran=False):
        if not site.node.items and any(re.search(rf"\b{site.node.name}\b", s.text) for s in base.of(ast.Tune, ast.WeightRule, ast.Freeze, ran=False)):
            yield everywhere(base, site.node.name, fresh(site.node.name, random))


@also("stage")
def stage_other(base: Base, random: Random) -> Iterator[Change]:
    """One more stage, a stage renamed throughout, clauses that say what holds anyhow."""
    for site in base.of(ast.Stage, ran=False):
        name, end = site.node.name, site.node.span.end - 1
        yield everywhere(base, name, fresh(name, random))
        yield everywhere(base, name, fresh(name, random), site.inside(ast.Train))
        yield site.node.span.end, site.node.span.end, f"\n  stage more_ {{ from {name}; tune {random.choice(('all', *paths(base)))} }}"
        yield site.node.span.end, site.node.span.end, f"\n  stage more_ {{ tune {random.choice(('all', '**', *paths(base)))}, rest in eval }}"
        for clause in ("options { lr = 0.1 }", "losses **", "weight ** = 2", "from start", f"tune {random.choice(paths(base))}", f"from {name}"):
            yield end, end, f"; {clause} "
    for site in base.of(ast.Train, ran=False):
        yield site.node.span.end, site.node.span.end, f"\n{site.text}"
        at = site.node.span.end - 1
        yield at, at, " stage last_ { tune all } "
        yield at, at, " stage last_ { tune all; options { lr = 0.1, steps = 3 } } "


@also("weights_map")
def map_other(base: Base, random: Random) -> Iterator[Change]:
    """Rules that say the same in another way, or fill from elsewhere."""
    for site in base.of(ast.Weights, ran=False):
        node = site.node
        yield everywhere(base, node.name, fresh(node.name, random))
        for rule in node.rules:
            if not isinstance(rule, ast.WeightRule):
                continue
            text = rule.value.span.text
            if text.startswith('"') and text.endswith('"'):
                yield put(rule.value, f'"module.{text[1:]}')
                yield put(rule.value, f'{text[:-1]}.inner"')
            for found in re.finditer(r"\[(\w+)", rule.target.span.text):
                yield everywhere(base, found[1], random.choice(("n", "q_", "which")), rule)
            yield rule.target.span.end, rule.target.span.end, random.choice((".**", ".weight", ".bias", "[0]"))
        end = node.span.end - 1
        if node.rules:
            rules = ('drop "unused.**"', 'drop "*"', f"{random.choice(paths(base))} <- zeros", 'all <- "rest"')
            yield end, end, f"; {random.choice(rules)} "
        for one, two in zip(node.rules, node.rules[1:], strict=False):
            yield one.span.start, two.span.end, two.span.text + base.text[one.span.end : two.span.start] + one.span.text


@also("preset")
def preset_other(base: Base, random: Random) -> Iterator[Change]:
    """A preset of another name, one more of it, a number that the facts don't speak of, a fact that holds."""
    for site in base.of(ast.Preset, ran=False):
        node = site.node
        yield everywhere(base, node.name, fresh(node.name, random))
        yield node.span.end, node.span.end, "\n" + site.text.replace(node.name, f"{node.name}2", 1)
        end = node.span.end - 1
        facts = ("assert params() > 0", "assert 1 == 1", "assert params() == 7", "assert params() > 1_000_000")
        yield from ((end, end, f"; {fact} ") for fact in facts)
        for setting in node.settings:
            if isinstance(setting, ast.Setting) and re.fullmatch(r"\d+", setting.value.span.text):
                yield from (put(setting.value, n) for n in widened(setting.value.span.text, random))
        for one, two in zip(node.settings, node.settings[1:], strict=False):
            yield one.span.start, two.span.end, two.span.text + base.text[one.span.end : two.span.start] + one.span.text
