"""What a file plans to do with a model, elaborated: the stages of its training, where its weights come from, what stored tensors it is held to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .record import record
from .source import Span


@record
class StagePlan:
    """One stage: what happens to each parameter and buffer, the active tasks and the losses with their weights.

    `tuned` and `frozen` are paths of parameters and buffers (a frozen buffer does not move), or of an extern module, whose tensors its
    class alone knows.
    """

    name: str
    tuned: tuple[str, ...]
    frozen: tuple[str, ...]
    rest_in_eval: bool
    tasks: tuple[str, ...]
    losses: Mapping[str, float]
    sources: tuple[str, ...]  # names of weights maps or stages, in order
    emits: Mapping[str, str]  # name: path of the output, `answer.logits`
    uses: Mapping[str, str]  # path of the target: `stage.name` of what an earlier stage emits
    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    selected: tuple[tuple[str, int, int], ...]  # each selector of `tune`: its text, the parameters that it trains, the numbers in them
    span: Span


@record
class WeightSource:
    """Where one target tensor comes from: source tensor names and how they become it.

    Steps work on a list of tensors, one for each of `names`.  One with `"on": i` changes tensor i: `("slice", {"items": ...})` (an item
    is an index, `[start, stop, step]`, a list of positions under `"take"`, or None for `...`), `("transpose", {"dims": [a, b]})`,
    `("rearrange", {"pattern": ..., "sizes": {...}})`, `("reshape", {"shape": [...]})`.  `("concat", {"dim": d})` joins all into one.
    `("init", {"name": ..., "arguments": {...}})` makes the tensor anew, without a source.
    """

    target: str
    names: tuple[str, ...]
    steps: tuple[tuple[str, Mapping[str, Any]], ...]
    file: str | None  # the member's own file of a `family` source
    span: Span


@record
class WeightMap:
    name: str
    model: str
    sources: tuple[str, ...]  # folders, files or hub names; `family:TEMPLATE` with a file for each member; `model:CALL` for another model's weights
    complete: bool
    rules: tuple[WeightSource, ...]
    drops: tuple[str, ...]
    missed: tuple[str, ...]  # targets that no rule hits: they keep their initialisation
    span: Span


@record
class GoldenValue:
    """A value that is compared with a stored tensor: `path` names it in the body that the calls of `modules` lead to, one after another."""

    modules: tuple[str, ...]
    path: str
    stored: str

    @property
    def full_path(self) -> str:
        return ".".join([*self.modules, self.path])


@record
class GoldenPlan:
    """How stored reference tensors are read, by concrete paths; `parameters` and `facts` are expressions over `config`, as text."""

    name: str
    model: str
    parameters: tuple[tuple[str, str], ...]
    facts: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]  # key of the input, name of the stored tensor
    values: tuple[GoldenValue, ...]
    host: str | None
    weights: tuple[str, ...]
    tasks: tuple[str, ...]
    mode: str | None  # eval or train; None: what the configuration says
    entry: str | None  # the one that is run, instead of the model itself
    stage: str | None  # the one that says what gets a gradient
    span: Span
