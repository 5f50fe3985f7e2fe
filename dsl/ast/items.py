"""Top-level items of a file, and the clauses of weights maps, stages, golden files and presets."""

from __future__ import annotations

from ..record import record
from ..source import Span
from .expressions import Clause, Expr, Node, String
from .statements import Assert, Bare, Reserved, Statement
from .types import Parameter, Type


@record
class Edition(Node):
    """`arch 1`."""

    number: int


@record
class ImportName(Node):
    name: str
    alias: str | None


@record
class Import(Node):
    """`import norm.RMSNorm`, `import .mine.{A, B as C}`; `local` is the leading dot; `module` the file's dotted path."""

    local: bool
    module: tuple[str, ...]
    names: tuple[ImportName, ...]


@record
class Block(Node):
    """`block NAME(parameters) { ... }`; `doc` is a string alone as the first statement."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    doc: str | None


@record
class Model(Node):
    """`model NAME(parameters) { ... }`."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    doc: str | None


@record
class ModelAlias(Node):
    """`model Small = Big(dim = 64)`."""

    name: str
    value: Expr


@record
class Fn(Node):
    """`fn enhanced(s: float[B, K], eps: float) { ... out y = e }`: a block without modules, called once.

    A parameter whose type has brackets is a tensor input, the others are statics; order is kept in `parameters`.
    """

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    doc: str | None


@record
class ExternBlock(Node):
    """`extern block Solver(n: int) from "package.module:Class" { in ..; out y: float[F] }`."""

    name: str
    parameters: tuple[Parameter, ...]
    origin: str
    origin_span: Span
    body: tuple[Statement, ...]


@record
class ExternFn(Node):
    """`extern fn match(cost: float[B, L, M]) -> int[B, M] from "package.module:function"`."""

    name: str
    parameters: tuple[Parameter, ...]
    result: Type
    origin: str
    origin_span: Span


@record
class Definition(Node):
    """`criterion = {semseg: SemSeg()}` at top level: a static value."""

    name: str
    value: Expr


@record
class WeightRule(Node):
    """`lm.fork[t, i] <- "model.layers.{i}"`; `value` is a String, or a Call over Strings, an initialiser, or an Index of a String.

    `clauses` hold `for i in layers[..m]`; `where` holds `where g = {reset: "r"}` as (name, map).
    """

    target: Expr
    value: Expr
    clauses: tuple[Clause, ...]
    where: tuple[tuple[str, Expr], ...]


@record
class Drop(Node):
    """`drop "pattern"` in a weights map: a source tensor that is left out on purpose."""

    pattern: String


@record
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


@record
class Setting(Node):
    """`name = static`, in `set`, `options { }` and presets."""

    name: str
    value: Expr


@record
class From(Node):
    names: tuple[Expr, ...]


@record
class Tune(Node):
    """`tune all except tower, rest in eval`."""

    selectors: tuple[Expr, ...]
    rest_in_eval: bool


@record
class Tasks(Node):
    names: tuple[Expr, ...]


@record
class Losses(Node):
    selectors: tuple[Expr, ...]


@record
class Weigh(Node):
    """`weight **.balance = 5e-4` (a number, or a map over the tasks)."""

    selector: Expr
    value: Expr


@record
class Set(Node):
    """`set alpha = 0.3, mode = single`: other static arguments for this stage."""

    settings: tuple[Setting, ...]


@record
class Emit(Node):
    """`emit soft = answer.logits`."""

    name: str
    value: Expr


@record
class Use(Node):
    """`use soft` (an emitted value feeds the target of that name) or `use soft = label_bi`."""

    name: str
    value: Expr | None


@record
class Options(Node):
    """`options { lr = 1e-4 }`: kept for the caller's trainer, never read by the compiler."""

    settings: tuple[Setting, ...]


StageClause = From | Tune | Tasks | Losses | Weigh | Set | Emit | Use | Options


@record
class Stage(Node):
    name: str
    clauses: tuple[StageClause, ...]


@record
class Train(Node):
    """`train MODEL { stages }`."""

    model: str
    stages: tuple[Stage | Reserved, ...]


@record
class GoldenParam(Node):
    """`param dim = config.hidden`."""

    name: str
    value: Expr


@record
class GoldenIn(Node):
    """`in x <- "inputs_embeds"`: a model input from a stored tensor."""

    target: Expr
    value: Expr
    clauses: tuple[Clause, ...]


@record
class GoldenValue(Node):
    """`value layer[i].probs -> "layers.{i}.attn_probs"`: a value compared with a stored tensor."""

    value: Expr
    name: Expr
    clauses: tuple[Clause, ...]


@record
class GoldenHost(Node):
    """`host "fn"`."""

    name: String


@record
class GoldenUse(Node):
    """`weights official`: the map by which stored weights are read; `from other`, `tasks a, b`, `mode train`, `entry decode`, `stage joint`
    keep their words."""

    word: str
    names: tuple[Expr, ...]


@record
class GoldenFact(Node):
    """`assert not config.flag`: what a configuration must say, for the model to be the one that the case is of."""

    fact: Expr


GoldenClause = GoldenParam | GoldenIn | GoldenValue | GoldenHost | GoldenUse | GoldenFact


@record
class Golden(Node):
    """`golden NAME for MODEL { ... }`."""

    name: str
    model: str
    clauses: tuple[GoldenClause, ...]


@record
class Preset(Node):
    """`preset paper for UniFork { dim = 896; assert params() == 5 }`."""

    name: str
    model: str
    settings: tuple[Setting | Assert, ...]


@record
class Transform(Node):
    """Reserved: `transform NAME(...) { ... }`; only its place is kept."""

    name: str


Item = (
    Edition | Import | Block | Model | ModelAlias | Fn | ExternBlock | ExternFn | Definition | Weights | Train | Golden | Preset | Transform | Bare
)  # fmt: skip
