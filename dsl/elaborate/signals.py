"""`emit` and `use`: values that one stage hands to a later one as targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .. import ast
from ..members import member_text
from ..program import Body, InputDecl, OutputDecl
from ..selectors import Exactly, Path, Word
from . import statics
from .context import fail, suggest
from .scope import Frame
from .selecting import selector
from .values import TaskScope

Types = Mapping[tuple[str, ...], str]
"""The type of each member of a family, as text; the members of a plain value are ()."""


@dataclass(slots=True, eq=False)
class Signals:
    """What the stages so far emit: by stage and name the types of the output, None for one that the model has with other arguments only."""

    emitted: dict[tuple[str, str], Types | None] = field(default_factory=dict[tuple[str, str], "Types | None"])

    def uses(self, stage: ast.Stage, body: Body) -> dict[str, str]:
        """Return what a stage uses, target: `stage.name`; raises Problem for what doesn't fit.  The body is that of training."""
        uses: dict[str, str] = {}
        for clause in stage.clauses:
            if isinstance(clause, ast.Use):
                found = self._use(clause, body, stage)
                if found is None:
                    continue
                target, source = found
                if target in uses:
                    fail("A521", f"the stage `{stage.name}` uses two values for the target `{target}`", clause.span, "keep one of them")
                _apart(clause, source, uses, body)
                uses[target] = source
        return uses

    def emits(self, stage: ast.Stage, frame: Frame) -> dict[str, str]:
        """Return what a stage emits, name: output, computed in evaluation; raises Problem for what is no output."""
        emits: dict[str, str] = {}
        for clause in stage.clauses:
            if isinstance(clause, ast.Emit):
                if clause.name in emits:
                    fail("A521", f"the stage `{stage.name}` emits `{clause.name}` twice", clause.span, "rename one of them")
                output = _output(clause, frame, frame.builder.body)
                if output is not None:
                    emits[clause.name] = output[0]
                self.emitted[stage.name, clause.name] = output and output[1]
        return emits

    def _use(self, clause: ast.Use, body: Body, stage: ast.Stage) -> tuple[str, str] | None:
        """Return a target and what it is given; None where the model has neither with these arguments."""
        source, types = self._source(clause)
        targets = [declared for declared in body.inputs if declared.is_target and _named(declared, clause.name)]
        if types is None and not targets and _is_absent(body, clause.name.split("."), "input"):
            return None
        if not targets:
            names = [_path(declared) for declared in body.inputs if declared.is_target]
            there = f"its targets are {statics.listed(dict.fromkeys(names))}" if names else "declare one: `target soft: float[B, C]`"
            fail("A519", f"the model has no target `{clause.name}` in the stage `{stage.name}`", clause.span, suggest(clause.name, names, there))
        if types is None:
            fail("A519", f"with these arguments `{source}` isn't emitted", clause.span, "let the target and the output stand under one condition")
        if len({declared.task for declared in targets}) > 1:
            paths = statics.listed(sorted({_path(declared) for declared in targets}))
            fail("A519", f"several tasks have a target `{clause.name}`: {paths}", clause.span, "give the targets different names")
        wanted = {tuple(map(member_text, declared.members)): str(declared.type) for declared in targets}
        if wanted != types:
            label = [(targets[0].span, f"the target is {_shown(wanted)}")]
            message = f"`{source}` is {_shown(types)}, the target `{clause.name}` {_shown(wanted)}"
            fail("A519", message, clause.span, "their types must be equal", label)
        return _path(targets[0]), source

    def _source(self, clause: ast.Use) -> tuple[str, Types | None]:
        value = clause.value
        if isinstance(value, ast.Attribute) and isinstance(value.object, ast.Name) and isinstance(value.part, str):
            found = [(value.object.id, value.part)] if (value.object.id, value.part) in self.emitted else []
            word = f"{value.object.id}.{value.part}"
        else:
            word = clause.name if value is None else value.id if isinstance(value, ast.Name) else value.span.text
            found = [key for key in self.emitted if key[1] == word]
        if not found:
            names = [text for stage, name in self.emitted for text in (name, f"{stage}.{name}")]
            help = suggest(word, names, f"write `emit {word.split('.')[-1]} = ...` in an earlier stage")
            fail("A519", f"no earlier stage emits `{word}`", clause.span if value is None else value.span, help)
        return ".".join(found[-1]), self.emitted[found[-1]]


def _apart(clause: ast.Use, source: str, uses: Mapping[str, str], body: Body) -> None:
    """Refuse a value whose own name means something else in the calls of the stage that uses it."""
    name = source.rpartition(".")[2]
    if name != clause.name and any(declared.name == name for declared in body.inputs):
        what = f"`{source}` comes in as `{name}`, which is another input of the model"
        fail("A519", what, clause.span, f"emit it as `{clause.name}`, and write `use {clause.name}`")
    other = next((known for known in uses.values() if known.rpartition(".")[2] == name), None)
    if other is not None:
        fail("A519", f"`{other}` and `{source}` both come in as `{name}`", clause.span, "emit them under different names")


def _path(declared: InputDecl) -> str:
    return f"{declared.task}.{declared.name}" if declared.task else declared.name


def _named(declared: InputDecl, name: str) -> bool:
    return name in (declared.name, _path(declared))


def _shown(types: Types) -> str:
    texts = [f"`{type_}`" if not members else f"`[{', '.join(members)}]: {type_}`" for members, type_ in types.items()]
    return ", ".join(texts[:3]) + (" and more" if len(texts) > 3 else "")


def _output(clause: ast.Emit, frame: Frame, body: Body) -> tuple[str, Types] | None:
    """Return the path of the output that `emit` names, and the types of its members; None where the model has it with other arguments only."""
    node, chosen = clause.value, ()
    if isinstance(node, ast.Index):
        chosen = _members(node, frame)
        node = node.object
    task: str | None = None
    if isinstance(node, ast.Attribute) and isinstance(node.object, ast.Name) and isinstance(node.part, str):
        task, name = node.object.id, node.part
    elif isinstance(node, ast.Name):
        name = node.id
    else:
        fail("A518", f"`{clause.value.span.text}` is no output", clause.value.span, "emit an output by its path: `emit soft = answer.logits`")
    found = [out for out in body.outputs if out.name == name and out.task == task and tuple(map(member_text, out.members))[: len(chosen)] == chosen]
    if not found and _is_absent(body, [name] if task is None else [task, name], "output"):
        return None
    if not found:
        names = [_output_path(out) for out in body.outputs]
        word = clause.value.span.text
        help = suggest(word, names, f"its outputs are {statics.listed(dict.fromkeys(names))}" if names else "the model has no output: write `out`")
        fail("A518", f"`{word}` is no output of the model", clause.value.span, help)
    path = ".".join([*([task] if task else []), name, *chosen])
    return path, {tuple(map(member_text, out.members))[len(chosen) :]: str(body.type(out.ref)) for out in found}


def _output_path(out: OutputDecl) -> str:
    return f"{out.task}.{out.name}" if out.task else out.name


def _members(node: ast.Index, frame: Frame) -> tuple[str, ...]:
    read = selector(ast.Index(node.span, ast.Whole(node.object.span), node.items), frame)
    last = read.parts[-1] if isinstance(read, Path) else None
    items = last.items if isinstance(last, Word) else ()
    if not items or any(not isinstance(item, Exactly) for item in items):
        fail("A518", f"`{node.span.text}` is no member of an output", node.span, "name one member of each loop")
    return tuple(item.literal or member_text(item.values[0]) for item in items if isinstance(item, Exactly))


def _is_absent(body: Body, words: Sequence[str], kind: str) -> bool:
    """Tell whether the text makes the last of some words, in the task before it, with other arguments only; a loop's tasks may have any name."""
    if len(words) == 1:
        return kind in body.absent.get(words[0], ())
    if isinstance(body.names.get(words[0]), TaskScope):
        return kind in body.absent.get(words[-1], ())
    return any("task" in kinds for kinds in body.absent.values())
