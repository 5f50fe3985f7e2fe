"""Builds top-level items, and the clauses of weights maps, stages, golden files and presets."""

from __future__ import annotations

from typing import Any

from .. import ast
from ..source import Span
from .expressions import Children, Part, nodes, tokens
from .operators import BuildError, is_token
from .statements import Statements, split


class Builder(Statements):
    """Reductions of items: the whole language."""

    def edition(self, c: Children) -> ast.Edition:
        number = self.number(c[1:]).value
        if not isinstance(number, int):
            raise BuildError("A014", f"`{c[1].value}` is no edition", c[1].start_pos, c[1].end_pos, "write `arch 1`")
        return ast.Edition(self.span(c), number)

    def imports(self, c: Children) -> ast.Import:
        local = c[1].type == "DOT"
        path: list[str] = [token.value for token in c[1:] if is_token(token) and token.type in ("NAME", "MEMBER")]
        names = tuple(nodes(c))
        if not names:
            alias = path.pop() if c[-2].type == "AS" else None
            if len(path) < 2 or (path[0] in PYTHON and not local):
                raise unnamed(c, path, local)
            last = tokens(c, "MEMBER")[-1]
            end = c[-1].end_pos
            names = (ast.ImportName(Span(self.source, last.start_pos, end), path.pop(), alias),)
        return ast.Import(self.span(c), local, tuple(path), names)

    def import_name(self, c: Children) -> ast.ImportName:
        return ast.ImportName(self.span(c), c[0].value, c[2].value if len(c) > 1 else None)

    # ------------------------------------------------------------------------------------------------------- definitions

    def documented(self, c: Children) -> tuple[tuple[ast.Parameter, ...], tuple[ast.Statement, ...], str | None]:
        """Return the parameters, the statements and the docstring of a block, model or fn."""
        parameters: Any = c[2].value if len(c) > 3 else ()
        body: Any = c[-1].value
        if body and isinstance(body[0], ast.Bare) and isinstance(body[0].value, ast.String):
            return parameters, body[1:], body[0].value.value
        return parameters, body, None

    def block(self, c: Children) -> ast.Block:
        return ast.Block(self.span(c), c[1].value, *self.documented(c))

    def model(self, c: Children) -> ast.Model:
        return ast.Model(self.span(c), c[1].value, *self.documented(c))

    def fn(self, c: Children) -> ast.Fn:
        return ast.Fn(self.span(c), c[1].value, *self.documented(c))

    def model_alias(self, c: Children) -> ast.ModelAlias:
        return ast.ModelAlias(self.span(c), c[1].value, c[3])

    def extern_block(self, c: Children) -> ast.ExternBlock:
        parameters = () if is_token(c[3]) else c[3].value
        origin = c[-2]
        return ast.ExternBlock(self.span(c), c[2].value, parameters, self.text(origin), self.at(origin), c[-1].value)

    def extern_fn(self, c: Children) -> ast.ExternFn:
        return ast.ExternFn(self.span(c), c[2].value, c[3].value, c[5], self.text(c[7]), self.at(c[7]))

    def definition(self, c: Children) -> ast.Definition:
        return ast.Definition(self.span(c), c[0].value, c[2])

    def transform(self, c: Children) -> ast.Transform:
        return ast.Transform(self.span(c), c[1].value)

    # ----------------------------------------------------------------------------------------------------------- weights

    def weights(self, c: Children) -> ast.Weights:
        parts = nodes(c)
        rules = parts.pop().value if isinstance(parts[-1], Part) else ()
        return ast.Weights(self.span(c), c[1].value, c[3].value, tuple(parts), bool(tokens(c, "COMPLETE")), rules)

    def family(self, c: Children) -> ast.Call:
        string = self.string(c[1:])
        return ast.Call(self.span(c), ast.Name(self.at(c[0]), "family"), (ast.Argument(string.span, None, string),))

    def weight_rules(self, c: Children) -> Part:
        return Part(self.span(c), "rules", tuple(nodes(c)))

    def weight_rule(self, c: Children) -> ast.WeightRule:
        rule, where = split(c, "WHERE")
        settings = tuple((setting.name, setting.value) for setting in nodes(where))
        return ast.WeightRule(self.span(c), rule[0], rule[2], tuple(rule[3:]), settings)

    def drop(self, c: Children) -> ast.Drop:
        return ast.Drop(self.span(c), self.string(c[1:]))

    # ------------------------------------------------------------------------------------------------------------- train

    def train(self, c: Children) -> ast.Train:
        return ast.Train(self.span(c), c[1].value, c[2].value)

    def stages(self, c: Children) -> Part:
        return Part(self.span(c), "stages", tuple(nodes(c)))

    clauses = stages

    def stage(self, c: Children) -> ast.Stage:
        return ast.Stage(self.span(c), c[1].value, c[2].value)

    def stage_loop(self, c: Children) -> ast.Reserved:
        return ast.Reserved(self.span(c), "repeat" if c[0].type == "REPEAT" else "for")

    def from_(self, c: Children) -> ast.From:
        return ast.From(self.span(c), tuple(nodes(c)))

    def tune(self, c: Children) -> ast.Tune:
        return ast.Tune(self.span(c), tuple(nodes(c)), is_token(c[-1]))

    def tasks(self, c: Children) -> ast.Tasks:
        return ast.Tasks(self.span(c), tuple(nodes(c)))

    def losses(self, c: Children) -> ast.Losses:
        return ast.Losses(self.span(c), tuple(nodes(c)))

    def weigh(self, c: Children) -> ast.Weigh:
        return ast.Weigh(self.span(c), c[1], c[3])

    def set_(self, c: Children) -> ast.Set:
        return ast.Set(self.span(c), tuple(nodes(c)))

    def emit(self, c: Children) -> ast.Emit:
        return ast.Emit(self.span(c), c[1].value, c[3])

    def use(self, c: Children) -> ast.Use:
        return ast.Use(self.span(c), c[1].value, c[3] if len(c) > 2 else None)

    def options(self, c: Children) -> ast.Options:
        return ast.Options(self.span(c), tuple(nodes(c)))

    # ------------------------------------------------------------------------------------------------- golden and preset

    def golden(self, c: Children) -> ast.Golden:
        return ast.Golden(self.span(c), c[1].value, c[3].value, tuple(nodes(c)))

    def golden_param(self, c: Children) -> ast.GoldenParam:
        return ast.GoldenParam(self.span(c), c[1].value, c[3])

    def golden_in(self, c: Children) -> ast.GoldenIn:
        return ast.GoldenIn(self.span(c), c[1], c[3], tuple(c[4:]))

    def golden_value(self, c: Children) -> ast.GoldenValue:
        return ast.GoldenValue(self.span(c), c[1], c[3], tuple(c[4:]))

    def golden_host(self, c: Children) -> ast.GoldenHost:
        return ast.GoldenHost(self.span(c), self.string(c[1:]))

    def golden_fact(self, c: Children) -> ast.GoldenFact:
        return ast.GoldenFact(self.span(c), c[1])

    def golden_use(self, c: Children) -> ast.GoldenUse:
        return ast.GoldenUse(self.span(c), c[0].value, tuple(nodes(c)))

    def preset(self, c: Children) -> ast.Preset:
        return ast.Preset(self.span(c), c[1].value, c[3].value, tuple(nodes(c)))


PYTHON = frozenset(["torch", "numpy", "math", "transformers", "einops"])
"""Packages of Python that a spec is often made to import."""


def unnamed(c: Children, path: list[str], local: bool) -> BuildError:
    """Say what an import of a whole file, or of a Python module, should be."""
    name = path[0] if path else "name"
    if name in PYTHON:
        help = "leave the line out: operations and layers such as `Linear` and `softmax` are always there; Python code enters as `extern`"
        return BuildError("A020", f"`{name}` can't be imported: a spec holds no Python", c[0].start_pos, c[-1].end_pos, help)
    example = f"import {'.' if local else ''}{name}.RMSNorm"
    return BuildError("A017", "an import names what it takes from the file", c[0].start_pos, c[-1].end_pos, f"write for instance `{example}`")
