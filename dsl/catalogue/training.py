"""A5xx, tasks, losses and stages."""

from __future__ import annotations

from typing import Final

from .entry import Entry

_MODEL: Final = """model M {
  in x: float[B, 4]
  trunk = Linear(4, 4)
  h = trunk(x)
  task a {
    target y: float[B, 2]
    head = Linear(4, 2)
    out z = head(h)
    loss fit = mse(z, y)
  }
}
"""

_TWO: Final = """model M {
  in x: float[B, 4]
  trunk = Linear(4, 4)
  side = Linear(4, 4)
  task a { target y: float[B, 4]; out z = trunk(x); loss fit = mse(z, y) }
  task b { target y: float[B, 4]; out z = side(x); loss fit = mse(z, y) }
}
"""

_TIED: Final = """model M {
  in ids: int[B, S] in 0..10
  target next: int[B, S] in 0..10
  embed = Embedding(10, 4)
  head = Linear(4, 10, bias = false)
  tie embed.weight, head.weight
  out logits = head(embed(ids))
  loss text = cross_entropy(logits, next)
}
"""

_LAYERS: Final = """model M {
  in x: float[B, 4]
  repeat i in 0..4 carry x {
    layer = Linear(4, 4)
    x = layer(x)
  }
  out y = x
}
"""


def _stage(clauses: str, model: str = _MODEL) -> str:
    return f"{model}train M {{ stage s {{ {clauses} }} }}"


ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A501",
        "no such role, range or distribution",
        "What stands after `as`, `in` or `~` in an input or a draw says what the input is, which values it takes, or what it is drawn from.",
        "model M { in x: float[B, 3, 8, 8] as photo; out y = x + 1.0 }",
        "model M { in x: float[B, 3, 8, 8] as picture; out y = x + 1.0 }",
    ),
    Entry(
        "A502",
        "nothing comes out",
        "A function's result is what its `out` says.",
        "fn twice(x: float[B]) { y = 2.0 * x }\nmodel M { in x: float[B]; out z = twice(x) }",
        "fn twice(x: float[B]) { out y = 2.0 * x }\nmodel M { in x: float[B]; out z = twice(x) }",
    ),
    Entry(
        "A503",
        "a state that doesn't start empty",
        "A state is a cache: it is empty in the plain forward and comes in and goes out in an `entry`. A number that the model keeps in "
        "training is a `Buffer` with an `update`.",
        "model M { in x: float[B, S, 4]; state k: float[B, P, 4] = zeros; k = append(k, x, dim = 1); out y = k }",
        "model M { in x: float[B, S, 4]; state k: float[B, P, 4] = empty; k = append(k, x, dim = 1); out y = k }",
    ),
    Entry(
        "A504",
        "this can't be an output",
        "An output is a tensor or a family of tensors. Of a record of several results, name those that you mean.",
        "model M { in x: float[B, 4]; head = Linear(4, 2); y = head(x); out head }",
        "model M { in x: float[B, 4]; head = Linear(4, 2); out y = head(x) }",
    ),
    Entry(
        "A505",
        "a loss is one number",
        "A loss is a scalar float: reduce what is computed for each sample with `mean` or `sum`.",
        "model M { in x: float[B, 4]; target y: float[B, 4]; out z = 2.0 * x; loss fit = (z - y) ** 2 }",
        "model M { in x: float[B, 4]; target y: float[B, 4]; out z = 2.0 * x; loss fit = mean((z - y) ** 2) }",
    ),
    Entry(
        "A506",
        "only buffers are updated",
        "`update` says what a buffer is after a training step; its next value has the buffer's own shape.",
        "model M { in x: float[B, 4]; count = Parameter([], init = zeros); update count = count + 1.0; out y = x + count }",
        "model M { in x: float[B, 4]; count = Buffer([], init = zeros); update count = count + 1.0; out y = x + count }",
    ),
    Entry(
        "A507",
        "where a task may stand",
        "Tasks stand in a model, beside each other: not in a block, and not inside another task. A block returns its value, and the model "
        "says which task it is for.",
        "model M { in x: float[B]; task a { out y = 2.0 * x; task b { out z = 3.0 * x } } }",
        "model M { in x: float[B]; task a { out y = 2.0 * x }; task b { out z = 3.0 * x } }",
    ),
    Entry(
        "A508",
        "no loss is collected",
        "`losses(**.balance)` gathers losses that are declared above, those of blocks in each of their calls, by selectors.",
        "block G { in x: float[B]; out y = 2.0 * x; loss small = mean(x * x) }\n"
        "model M { in x: float[B]; g = G(); out y = g(x); loss all_small = sum(losses(**.smal)[*]) }",
        "block G { in x: float[B]; out y = 2.0 * x; loss small = mean(x * x) }\n"
        "model M { in x: float[B]; g = G(); out y = g(x); loss all_small = sum(losses(**.small)[*]) }",
    ),
    Entry(
        "A510",
        "a selector matches nothing",
        "A selector is a path of names with members in brackets, `lm.fork[generate]`; `*` is any one name, `**` any path, `{q, v}` "
        "alternatives, `**: Linear` what modules of a kind hold, `except` takes away. It selects everything below what it matches. "
        "The message says where matching stopped, the help what there is. What the text makes only with other arguments, in a loop without "
        "steps or the arm of an `if` that isn't taken, is no misspelling, and selects nothing.",
        _stage("tune trunc, head"),
        _stage("tune trunk, head"),
    ),
    Entry(
        "A513",
        "training what is frozen for good",
        "`freeze` in a model holds in every stage: `tune` can't undo it. A selector that holds frozen and other parts trains the others.",
        _stage("tune trunk", _MODEL.replace("  task", "  freeze trunk\n  task")),
        _stage("tune head", _MODEL.replace("  task", "  freeze trunk\n  task")),
    ),
    Entry(
        "A514",
        "no such task",
        "`tasks` names tasks of the model, or an index set whose members are tasks.",
        _stage("tune all; tasks b"),
        _stage("tune all; tasks a"),
    ),
    Entry(
        "A515",
        "no such loss in this stage",
        "Losses are selected by path: the modules they come from, then their name; a task's name selects its losses. Those of tasks that the "
        "stage leaves out are not active.",
        _stage("tune all; losses fti"),
        _stage("tune all; losses a.fit"),
    ),
    Entry(
        "A516",
        "trained without a gradient",
        "A warning: no active loss of the stage gives a gradient to what it trains, so it would stay as it is; a loss that is weighed with 0 "
        "isn't active. A model without losses is trained by what its caller computes. `archloom audit` says it of what outputs alone depend on.",
        _stage("tune trunk, head, side", _MODEL.replace("  task", "  side = Linear(4, 4)\n  out other = side(x)\n  task", 1)),
        _stage("tune trunk, head"),
    ),
    Entry(
        "A517",
        "no such place to start from",
        "`from` names weights maps of the model, earlier stages, or files in quotes, in the order in which they are read.",
        _stage("from pretrained; tune all"),
        f'{_MODEL}weights pretrained for M from "trunk.safetensors" {{ trunk <- "trunk" }}\n' + "train M { stage s { from pretrained; tune all } }",
    ),
    Entry(
        "A518",
        "only outputs are emitted",
        "`emit soft = answer.logits` keeps an output for a later stage, by the output's path.",
        _stage("tune all; emit soft = a.h"),
        _stage("tune all; emit soft = a.z"),
    ),
    Entry(
        "A519",
        "what is used doesn't fit",
        "`use soft` feeds the target `soft` with what an earlier stage emits under that name; `use soft = label` with what it emits as "
        "`label`. The types must be equal.",
        _MODEL + "train M { stage one { tune all; emit soft = a.z }; stage two { tune all; use y = sofd } }",
        _MODEL + "train M { stage one { tune all; emit soft = a.z }; stage two { tune all; use y = soft } }",
    ),
    Entry(
        "A520",
        "a stage changes a parameter",
        "`set` elaborates the model with other arguments. Parts may come and go by it; a parameter of both has one shape, because it is one "
        "tensor through all stages, and what is tied in one is tied in the other.",
        "model M(n: int = 4) { in x: float[B, 8]; head = Linear(8, n); out y = head(x) }\ntrain M { stage s { tune all; set n = 5 } }",
        "model M(n: int = 4, extra: bool = false) {\n  in x: float[B, 8]\n  head = Linear(8, n)\n  h = head(x)\n"
        "  if extra { more = Linear(n, n); h = more(h) }\n  out y = h\n}\ntrain M { stage s { tune all; set extra = true } }",
    ),
    Entry(
        "A521",
        "given twice",
        "Stages have different names; within one, each setting and option is given once and each name emitted once.",
        _MODEL + "train M { stage s { tune all }; stage s { tune head } }",
        _MODEL + "train M { stage s { tune all }; stage t { tune head } }",
    ),
    Entry(
        "A522",
        "no weight",
        "A loss's weight is a number, or a map that has a number for the task of each loss that the selector matches.",
        _stage("tune all; weight fit = {b: 2}"),
        _stage("tune all; weight fit = {a: 2}"),
    ),
    Entry(
        "A523",
        "a stage that trains nothing",
        "A stage names what it trains; one without `tune` is of use only if it emits something.",
        _stage("tasks a"),
        _stage("tune all; tasks a"),
    ),
    Entry(
        "A524",
        "only buffers are selected",
        "A warning: an optimiser trains parameters. A buffer moves by `update`, or with its norm, when the module around it is trained.",
        _stage("tune total", "model M { in x: float[B]; w = Parameter([]); total = Buffer([], init = zeros); out y = w * x + total }\n"),
        _stage("tune w", "model M { in x: float[B]; w = Parameter([]); total = Buffer([], init = zeros); out y = w * x + total }\n"),
    ),
    Entry(
        "A525",
        "no selector",
        "A selector takes whole parameters: it is a path, and its brackets hold members, ranges of members (`2..4`) or index sets, never "
        "slices of a tensor. To train part of a tensor, make it a family.",
        _stage("tune layer[:2]", _LAYERS),
        _stage("tune layer[..2]", _LAYERS),
    ),
    Entry(
        "A526",
        "a plan for a model that isn't here",
        "`train`, `weights`, `golden` and `preset` are about a model of the same file.",
        _MODEL + "train N { stage s { tune all } }",
        _MODEL + "train M { stage s { tune all } }",
    ),
    Entry(
        "A530",
        "neither trained nor filled",
        "A warning: losses would train the parameter, no stage does, and no weights map fills it: it stays as it was initialised. `freeze` says that "
        "it stands still on purpose, as what is loaded in Python does. It is the same of what a stage makes that `set`s other arguments.",
        _TWO + "train M { stage one { tune trunk } }",
        _TWO + "train M { stage one { tune trunk, side } }",
    ),
    Entry(
        "A532",
        "a task that nothing trains",
        "A warning: other tasks of the model have a loss, this one has outputs alone.",
        _TWO.replace("; loss fit = mse(z, y)", "", 1),
        _TWO,
    ),
    Entry(
        "A533",
        "a loss that no stage uses",
        "A warning: the loss is computed and in no stage's sum, so nothing is trained by it.",
        _TWO + "train M { stage one { tasks a; tune trunk } }",
        _TWO + "train M { stage one { tasks a; tune trunk }; stage two { tasks b; tune side } }",
    ),
    Entry(
        "A534",
        "one side of a tie",
        "A warning: tied parameters are one tensor, so that what trains, leaves out or freezes one of their paths does so to the others, which "
        "the text doesn't name. Name all of them, or none.",
        _TIED + "train M { stage s { tune head } }",
        _TIED + "train M { stage s { tune embed, head } }",
    ),
)
