"""Top-level items of a file, and the clauses of weights maps, stages, golden files and presets."""

from __future__ import annotations

from dataclasses import dataclass

from ..source import Span
from .expressions import Clause, Expr, Node, String
from .statements import Assert, Bare, Reserved, Statement
from .types import Parameter, Type


@dataclass(frozen=True, slots=True)
class Edition(Node):
    """`arch 1`."""

    number: int


@dataclass(frozen=True, slots=True)
class ImportName(Node):
    name: str
    alias: str | None


@dataclass(frozen=True, slots=True)
class Import(Node):
    """`import norm.RMSNorm`, `import .mine.{A, B as C}`; `local` is the leading dot; `module` the file's dotted path."""

    local: bool
    module: tuple[str, ...]
    names: tuple[ImportName, ...]


@dataclass(frozen=True, slots=True)
class Block(Node):
    """`block NAME(parameters) { ... }`; `doc` is a string alone as the first statement."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    doc: str | None


@dataclass(frozen=True, slots=True)
class Model(Node):
    """`model NAME(parameters) { ... }`."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    doc: str | None


@dataclass(frozen=True, slots=True)
class ModelAlias(Node):
    """`model Small = Big(dim = 64)`."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Fn(Node):
    """`fn enhanced(s: float[B, K], eps: float) { ... out y = e }`: a block without modules, called once.

    A parameter whose type has brackets is a tensor input, the others are statics; order is kept in `parameters`.
    """

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    doc: str | None


@dataclass(frozen=True, slots=True)
class ExternBlock(Node):
    """`extern block Solver(n: int) from "package.module:Class" { in ..; out y: float[F] }`."""

    name: str
    parameters: tuple[Parameter, ...]
    origin: str
    origin_span: Span
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class ExternFn(Node):
    """`extern fn match(cost: float[B, L, M]) -> int[B, M] from "package.module:function"`."""

    name: str
    parameters: tuple[Parameter, ...]
    result: Type
    origin: str
    origin_span: Span


@dataclass(frozen=True, slots=True)
class Definition(Node):
    """`criterion = {semseg: SemSeg()}` at top level: a static value."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class WeightRule(Node):
    """`lm.fork[t, i] <- "model.layers.{i}"`; `value` is a String, or a Call over Strings, an initialiser, or an Index of a String.

    `clauses` hold `for i in layers[..m]`; `where` holds `where g = {reset: "r"}` as (name, map).
    """

    target: Expr
    value: Expr
    clauses: tuple[Clause, ...]
    where: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, slots=True)
class Drop(Node):
    """`drop "pattern"` in a weights map: a source tensor that is left out on purpose."""

    pattern: String


@dataclass(frozen=True, slots=True)
class Weights(Node):
    """`weights NAME for MODEL from SOURCE [complete] { rules }`.

    `sources` are Strings (a folder, file or hub name), `family "adapters/{s}"` is a Call of Name('family'),
    another model's weights a Call or Name.
    """

    name: str
    model: str
    sources: tuple[Expr, ...]
    complete: bool
    rules: tuple[WeightRule | Drop, ...]


@dataclass(frozen=True, slots=True)
class Setting(Node):
    """`name = static`, in `set`, `options { }` and presets."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class From(Node):
    names: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Tune(Node):
    """`tune all except tower, rest in eval`."""

    selectors: tuple[Expr, ...]
    rest_in_eval: bool


@dataclass(frozen=True, slots=True)
class Tasks(Node):
    names: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Losses(Node):
    selectors: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Weigh(Node):
    """`weight **.balance = 5e-4` (a number, or a map over the tasks)."""

    selector: Expr
    value: Expr


@dataclass(frozen=True, slots=True)
class Set(Node):
    """`set alpha = 0.3, mode = single`: other static arguments for this stage."""

    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Emit(Node):
    """`emit soft = answer.logits`."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Use(Node):
    """`use soft` (an emitted value feeds the target of that name) or `use soft = label_bi`."""

    name: str
    value: Expr | None


@dataclass(frozen=True, slots=True)
class Options(Node):
    """`options { lr = 1e-4 }`: kept for the caller's trainer, never read by the compiler."""

    settings: tuple[Setting, ...]


StageClause = From | Tune | Tasks | Losses | Weigh | Set | Emit | Use | Options


@dataclass(frozen=True, slots=True)
class Stage(Node):
    name: str
    clauses: tuple[StageClause, ...]


@dataclass(frozen=True, slots=True)
class Train(Node):
    """`train MODEL { stages }`."""

    model: str
    stages: tuple[Stage | Reserved, ...]


@dataclass(frozen=True, slots=True)
class GoldenParam(Node):
    """`param dim = config.hidden`."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class GoldenIn(Node):
    """`in x <- "inputs_embeds"`: a model input from a stored tensor."""

    target: Expr
    value: Expr
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class GoldenValue(Node):
    """`value layer[i].probs -> "layers.{i}.attn_probs"`: a value compared with a stored tensor."""

    value: Expr
    name: Expr
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class GoldenHost(Node):
    """`host "fn"`."""

    name: String


@dataclass(frozen=True, slots=True)
class GoldenUse(Node):
    """`weights official`: the map by which stored weights are read; `tasks a, b`; `mode train` keep their word and names."""

    word: str
    names: tuple[Expr, ...]


GoldenClause = GoldenParam | GoldenIn | GoldenValue | GoldenHost | GoldenUse


@dataclass(frozen=True, slots=True)
class Golden(Node):
    """`golden NAME for MODEL { ... }`."""

    name: str
    model: str
    clauses: tuple[GoldenClause, ...]


@dataclass(frozen=True, slots=True)
class Preset(Node):
    """`preset paper for UniFork { dim = 896; assert params() == 5 }`."""

    name: str
    model: str
    settings: tuple[Setting | Assert, ...]


@dataclass(frozen=True, slots=True)
class Transform(Node):
    """Reserved: `transform NAME(...) { ... }`; only its place is kept."""

    name: str


Item = (
    Edition | Import | Block | Model | ModelAlias | Fn | ExternBlock | ExternFn | Definition | Weights | Train | Golden | Preset | Transform | Bare
)  # fmt: skip
