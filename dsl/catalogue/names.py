"""A1xx, names."""

from __future__ import annotations

from typing import Final

from .entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A101",
        "a top-level name is defined twice",
        "Blocks, models, functions and definitions of one file share one set of names.",
        "block A { in x: float[B]; out y = x }\nblock A { in x: float[B]; out y = -x }\nmodel M { in x: float[B]; a = A(); out y = a(x) }",
        "block A { in x: float[B]; out y = x }\nblock N { in x: float[B]; out y = -x }\n"
        "model M { in x: float[B]; a = A(); n = N(); out y = n(a(x)) }",
    ),
    Entry(
        "A102",
        "a name is not defined",
        "A name is a parameter, a value or module bound above, a member of an index set, an item of this file, an import, or an operation. "
        "A dimension is introduced by a capital name in the type of an `in`, `target` or `state`.",
        "model M { in x: float[B]; out y = reluu(x) }",
        "model M { in x: float[B]; out y = relu(x) }",
    ),
    Entry(
        "A103",
        "an import names nothing",
        "The file is there, but has no such item.",
        "import llama.DecoderLair\nmodel M { in x: float[B]; out y = x }",
        "import llama.DecoderLayer\nmodel M { in x: float[B, S, 8]; layer = DecoderLayer(8, heads = 2, kv_heads = 1, ffn = 16); out y = layer(x) }",
    ),
    Entry(
        "A104",
        "something has no such part",
        "A dot reads a result of a record, a parameter, static argument or module of a module, an output of a task, or a member of an index set. "
        "Tensors have `.mT`; operations on them are functions, and `size(x, d)` is a size.",
        "model M { in x: float[B, 4]; out y = x.relu }",
        "model M { in x: float[B, 4]; out y = relu(x) }",
    ),
    Entry(
        "A105",
        "an input, output, loss, task or parameter of a block is declared twice",
        "Each is declared once in its scope.",
        "model M { in x: float[B]; out y = x; out y = -x }",
        "model M { in x: float[B]; out y = x; out z = -x }",
    ),
    Entry(
        "A106",
        "a module is made twice under one name",
        "A module's name is its path in the state dict, so it is bound once. To share a module, call it again; to have two, name each.",
        "model M { in x: float[B, 4]; f = Linear(4, 4); f = Linear(4, 4); out y = f(x) }",
        "model M { in x: float[B, 4]; f = Linear(4, 4); out y = f(f(x)) }",
    ),
    Entry(
        "A107",
        "a parameter is made twice under one name",
        "A parameter's name is its path in the state dict, so it is bound once.",
        "model M { in x: float[B, 4]; w = Parameter([4]); w = Parameter([4]); out y = x * w }",
        "model M { in x: float[B, 4]; w = Parameter([4]); v = Parameter([4]); out y = x * w * v }",
    ),
    Entry(
        "A108",
        "a module has no name",
        "A block with parameters is bound to a name: `f = Linear(a, b)`, then `f(x)`. `y = Linear(a, b)(x)` makes a module `y`, once in a statement "
        "and not inside `out`, `loss` or another call.",
        "model M { in x: float[B, 4]; out y = relu(Linear(4, 4)(x)) }",
        "model M { in x: float[B, 4]; f = Linear(4, 4); out y = relu(f(x)) }",
    ),
    Entry(
        "A111",
        "a name that a PyTorch module can't bear",
        "Modules and parameters become attributes of a torch module; `type`, `train`, `forward` and the like are taken; a dot splits a path.",
        "model M { in x: float[B, 4]; forward = Linear(4, 4); out y = forward(x) }",
        "model M { in x: float[B, 4]; ahead = Linear(4, 4); out y = ahead(x) }",
    ),
    Entry(
        "A112",
        "an expression does nothing",
        "A value that is not bound is lost. Statements bind, declare or state something.",
        "model M { in x: float[B, 4]; relu(x); out y = x }",
        "model M { in x: float[B, 4]; z = relu(x); out y = z }",
    ),
    Entry(
        "A113",
        "a statement's word is bound as a value",
        "`loss = f(x)` binds a value called `loss` that nothing reads; the statement is `loss NAME = f(x)`.",
        "model M { in x: float[B, 4]; loss = mean(x); out y = x }",
        "model M { in x: float[B, 4]; loss size = mean(x); out y = x }",
    ),
    Entry(
        "A114",
        "a capital where a small letter belongs, or the other way round",
        "The name of a block or model begins with a capital (it is made, then called), that of a function with a small letter.",
        "block layer(dim: int) { in x: float[B, dim]; f = Linear(dim, dim); out y = f(x) }\n"
        "model M { in x: float[B, 4]; f = layer(4); out y = f(x) }",
        "block Layer(dim: int) { in x: float[B, dim]; f = Linear(dim, dim); out y = f(x) }\n"
        "model M { in x: float[B, 4]; f = Layer(4); out y = f(x) }",
    ),
    Entry(
        "A120",
        "an input or target is never read",
        "A warning: callers would have to pass what changes nothing. It is the same where an input of the model, or of a block of its file, is read "
        "and nothing that comes out depends on it. `archloom audit` says it of an entry of the batch: with other values every loss "
        "and output stays the same, bit by bit.",
        "model M { in x: float[B, 4]; in z: float[B]; out y = x }",
        "model M { in x: float[B, 4]; out y = x }",
    ),
    Entry(
        "A121",
        "a parameter is never read",
        "A warning: the argument of the model, block or function changes nothing.",
        "model M(dim: int = 4, depth: int = 2) { in x: float[B, dim]; out y = x }",
        "model M(dim: int = 4) { in x: float[B, dim]; out y = x }",
    ),
    Entry(
        "A122",
        "a module is never called",
        "A warning: its parameters get no gradient. It is the same where a module is called, and no output and no loss depends on it.",
        "model M { in x: float[B, 4]; f = Linear(4, 4); g = Linear(4, 4); out y = f(x) }",
        "model M { in x: float[B, 4]; f = Linear(4, 4); out y = f(x) }",
    ),
)
