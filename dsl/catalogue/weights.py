"""A6xx, weights, golden values and presets."""

from __future__ import annotations

from typing import Final

from .entry import Entry

_MODEL: Final = """model M(depth: int = 2) {
  in x: float[B, 4]
  repeat i in 0..depth carry x {
    layer = Linear(4, 4)
    x = layer(x)
  }
  head = Linear(4, 2)
  out y = head(x)
}
"""


def _map(rules: str, source: str = '"model.safetensors"') -> str:
    return f"{_MODEL}weights start for M from {source} {{\n  {rules}\n}}\n"


def _golden(clauses: str) -> str:
    return f"{_MODEL}golden reference for M {{\n  {clauses}\n}}\n"


ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A601",
        "a rule that fills nothing",
        "The left side of a rule is a path of the model; index variables in brackets run over all members. A part that the text makes only with "
        "other arguments is filled by nothing, and is no error. A rule whose `except` takes away all that it names is one.",
        _map('layers[i] <- "layers.{i}"'),
        _map('layer[i] <- "layers.{i}"'),
    ),
    Entry(
        "A602",
        "a tensor filled twice",
        "Every tensor comes from one place. Narrow one of the rules, with a range of members or with `except`.",
        _map('layer[i] <- "layers.{i}"\n  layer[0].bias <- "first"'),
        _map('layer[i] except layer[0].bias <- "layers.{i}"\n  layer[0].bias <- "first"'),
    ),
    Entry(
        "A603",
        "a map that isn't complete",
        "With `complete` in the header every parameter and buffer needs a rule. Without it those that no rule fills keep their initialisation "
        "and are listed.",
        _map('layer[i] <- "layers.{i}"', '"model.safetensors" complete'),
        _map('layer[i] <- "layers.{i}"\n  head <- "head"', '"model.safetensors" complete'),
    ),
    Entry(
        "A604",
        "a hole that says nothing",
        "`{ }` in a stored name holds an index variable of the left side, or whole arithmetic on one.",
        _map('layer[i] <- "layers.{j}"'),
        _map('layer[i] <- "layers.{i + 1}"'),
    ),
    Entry(
        "A605",
        "no such preset",
        "`--preset` names a `preset NAME for MODEL { ... }` of the file.",
        "archloom check model.arch --preset paper    # the file says `preset small for M`",
        "archloom check model.arch --preset small",
    ),
    Entry(
        "A606",
        "nothing that a tensor can come from",
        "The right side of a rule is a stored name in quotes, with slices in brackets; `transpose`, `rearrange`, `reshape` or `concat` of such; "
        "or an initialiser.",
        _map('head.weight <- flip("head.weight")'),
        _map('head.weight <- transpose("head.kernel")'),
    ),
    Entry(
        "A607",
        "`*` and `**` on both sides",
        "What `*` (one name) and `**` (any path) stand for on the left is put in for them on the right, in order: there are as many on both sides.",
        _map('head.** <- "classifier"'),
        _map('head.** <- "classifier.**"'),
    ),
    Entry(
        "A608",
        "a map after `where` that doesn't fit",
        'In `"w.{n}" where n = {reset: "r", update: "z"}` the map gives a text for each member of one index variable of the left side.',
        _map('layer[i] <- "{n}" where n = {0: "first"}'),
        _map('layer[i] <- "{n}" where n = {0: "first", 1: "second"}'),
    ),
    Entry(
        "A609",
        "no source of weights",
        'Weights come from a folder, file or hub name in quotes; from `family "adapters/{s}"`, a file for each member of an index variable that '
        "every rule has; or from another model of the file.",
        _map('layer[i] <- "dense"', 'family "layers/{t}"'),
        _map('layer[i] <- "dense"', 'family "layers/{i}"'),
    ),
    Entry(
        "A610",
        "a shape that can't come out",
        "Shapes are checked when a file is read. What is certain without the file is said at once: the length of a slice, the number of "
        "dimensions of a pattern.",
        _map('head.weight <- "qkv"[0..4]'),
        _map('head.weight <- "qkv"[0..2]'),
    ),
    Entry(
        "A611",
        "the other model has no such parameter",
        "Where weights come from another model of the file, stored names are that model's own paths.",
        _map('layer[i] <- "layers.{i}"', "M(depth = 4)"),
        _map('layer[i] <- "layer.{i}"', "M(depth = 4)"),
    ),
    Entry(
        "A612",
        "two maps of one name",
        "Stages name the weights maps that they start from, so each has its own name.",
        _map('head <- "a"') + _map('layer[i] <- "b.{i}"').removeprefix(_MODEL),
        _map('head <- "a"') + _map('layer[i] <- "b.{i}"').removeprefix(_MODEL).replace("start", "second"),
    ),
    Entry(
        "A613",
        "a member that may be misspelt",
        "A name in brackets that is no member is an index variable and runs over all members. One that looks like a member, and that the right "
        "side doesn't use, is refused.",
        "model M { index tasks = {see, draw}; in x: float[B, 4]; for t in tasks { head = Linear(4, 2); out y = head(x) } }\n"
        'weights start for M from "w" { head[sea] <- "head" }',
        "model M { index tasks = {see, draw}; in x: float[B, 4]; for t in tasks { head = Linear(4, 2); out y = head(x) } }\n"
        'weights start for M from "w" { head[see] <- "head" }',
    ),
    Entry(
        "A614",
        "a tied parameter has two rules",
        "A warning: tied parameters are one tensor, and the rule for the other name fills it.",
        "model M { in x: float[B, 4]; a, b = Linear(4, 4), Linear(4, 4); tie a.weight, b.weight; out y = b(a(x)) }\n"
        'weights start for M from "w" { a <- "a"; b <- "b" }',
        "model M { in x: float[B, 4]; a, b = Linear(4, 4), Linear(4, 4); tie a.weight, b.weight; out y = b(a(x)) }\n"
        'weights start for M from "w" { a <- "a"; b.bias <- "b.bias" }',
    ),
    Entry(
        "A620",
        "no such parameter to take from a configuration",
        "`param depth = config.num_layers` in a golden file sets a parameter of the model.",
        _golden("param layers = config.num_layers"),
        _golden("param depth = config.num_layers"),
    ),
    Entry(
        "A621",
        "no such input",
        '`in x <- "name"` in a golden file says which stored tensor is an input.',
        _golden('in z <- "hidden"'),
        _golden('in x <- "hidden"'),
    ),
    Entry(
        "A622",
        "no such value",
        '`value layer[i].y -> "name"` compares a value with a stored tensor: an output, a bound name, or what a module gives.',
        _golden('value layers[i] -> "layers.{i}"'),
        _golden('value layer[i] -> "layers.{i}"'),
    ),
    Entry(
        "A623",
        "no such map, task or mode",
        "A golden file may say which weights map reads its weights, which tasks it covers, and whether it was computed in `train` or `eval`.",
        _golden("mode test"),
        _golden("mode eval"),
    ),
    Entry(
        "A624",
        "given twice in a golden file",
        "Each parameter, input and value comes from one place.",
        _golden('in x <- "a"\n  in x <- "b"'),
        _golden('in x <- "a"\n  value y -> "b"'),
    ),
    Entry(
        "A630",
        "these can't be tied",
        "`tie a.weight, b.weight` makes two parameters of the same shape one; the second is the first.",
        "model M { in x: float[B, 4]; a, b = Linear(4, 8), Linear(8, 4); tie a.weight, b.weight; out y = b(a(x)) }",
        "model M { in x: float[B, 4]; a, b = Linear(4, 4), Linear(4, 4); tie a.weight, b.weight; out y = b(a(x)) }",
    ),
    Entry(
        "A631",
        "a rename that doesn't fit",
        "`renamed old -> new` says what a path of the model was called in earlier state dicts. The new path exists, the old one does not; index "
        "variables stand on both sides.",
        _MODEL.replace("  out", "  renamed head -> classifier\n  out"),
        _MODEL.replace("  out", "  renamed classifier -> head\n  renamed blocks[i] -> layer[i]\n  out"),
    ),
    Entry(
        "A640",
        "two presets of one name",
        "A preset is chosen by its name.",
        _MODEL + "preset deep for M { depth = 8 }\npreset deep for M { depth = 9 }",
        _MODEL + "preset deep for M { depth = 8 }\npreset deeper for M { depth = 9 }",
    ),
    Entry(
        "A650",
        "no weights there",
        "Weights are a `.safetensors` file, a folder that holds some, or an index of shards that are all there.",
        'archloom.compile("model.arch", weights="nowhere")',
        'archloom.compile("model.arch", weights="model.safetensors")',
    ),
    Entry(
        "A651",
        "a pickle",
        "Loading a pickle runs code that is in it. Weights are read from safetensors alone; save them so where they come from. It is told of a "
        "file's name where a text says it, and of what a file holds where it is read.",
        _map('head <- "classifier"', '"pytorch_model.bin"'),
        _map('head <- "classifier"'),
    ),
    Entry(
        "A652",
        "a file that can't be read",
        "The file is cut short, or is no safetensors file or index.",
        'archloom.compile("model.arch", weights="half-a-download.safetensors")',
        'archloom.compile("model.arch", weights="model.safetensors")',
    ),
    Entry(
        "A653",
        "missing in the file",
        "A rule of the weights map asks for tensors that the file doesn't have; all of them are listed.",
        'head <- "classifer"    # the file has classifier.weight and classifier.bias',
        'head <- "classifier"',
    ),
    Entry(
        "A654",
        "of another shape in the file",
        "A stored tensor, after what the rule does to it, has not the shape of the parameter that it fills; all of them are listed.",
        'head.weight <- "kernel"    # stored as [4, 2], wanted as [2, 4]',
        'head.weight <- transpose("kernel")',
    ),
    Entry(
        "A655",
        "left over in the file",
        "The file has tensors that no rule takes. Map them, or say that they are left out on purpose.",
        'head <- "classifier"    # the file has pooler.weight too',
        'head <- "classifier"\ndrop "pooler.**"',
    ),
    Entry(
        "A656",
        "can't be saved under these names",
        "A weights map is followed backwards when a model is saved through it. What the map makes anew has no stored name, two tensors that"
        " come from one must still be equal, and the parts of a `concat` or `reshape` have sizes that only the stored weights tell.",
        'model.save_weights("out", map="official")    # qkv.weight <- concat("q", "k", "v", dim = 0)',
        'model.save_weights("out", map="official", like="model.safetensors")',
    ),
    Entry(
        "A660",
        "no golden clause for this case",
        "`archloom verify` reads a case by a `golden` of the file: the named one, or the one whose `in` clauses name what the case stores.",
        "archloom verify model.arch --against case     # the file has no golden",
        'golden authors for M { param dim = config.hidden; in x <- "hidden"; value y -> "out" }',
    ),
    Entry(
        "A661",
        "a golden clause that doesn't fit the case",
        "Every input of the model is given, every parameter filled from the official weights, and a named value is computed once.",
        'value layer[i] -> "layers.{i}"     # a module that is called twice',
        'value h[t] -> "hidden.{t}"     # the value of each call, by its own name',
    ),
    Entry(
        "A662",
        "a case that can't be read",
        "A case is a folder with config.json, and with weights, inputs, outputs and (where something was differentiated) grads as safetensors.",
        "archloom verify model.arch --against nowhere",
        "archloom verify model.arch --against reference/case",
    ),
    Entry(
        "A663",
        "a case that a golden clause is not for",
        "`assert` in a golden clause says what the configuration must say, where the model describes one choice of several.",
        "assert not config.pre_norm     # the case's configuration says true",
        "param before = config.pre_norm     # the model describes both",
    ),
    Entry(
        "A664",
        "what a golden clause leaves of a configuration",
        "A warning beside an error: no `param` and no `assert` reads these keys, and one of them may be the reason.",
        "golden authors for M { param dim = config.hidden }     # the configuration also has num_layers",
        "golden authors for M { param dim = config.hidden; param depth = config.num_layers }",
    ),
)
