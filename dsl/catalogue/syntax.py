"""A0xx, syntax."""

from __future__ import annotations

from typing import Final

from .entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A001",
        "something stands where it can't",
        "The text up to here could be read, and this word or sign doesn't fit. The help lists what would.",
        "model M { in x: float[B]; out y = relu x }",
        "model M { in x: float[B]; out y = relu(x) }",
    ),
    Entry(
        "A002",
        "a bracket is never closed",
        "An opening bracket has no closing one. Where the indentation tells which one it is, the message points there and shows the brace that was "
        "taken for its end. Other top-level items that start at the margin are still read.",
        "model M {\n  in x: float[B]\n  out y = x\n",
        "model M {\n  in x: float[B]\n  out y = x\n}",
    ),
    Entry(
        "A003",
        "a bracket closes nothing, or another kind",
        "Brackets close in the reverse order in which they open.",
        "model M { in x: float[B]; out y = relu(x} }",
        "model M { in x: float[B]; out y = relu(x) }",
    ),
    Entry(
        "A004",
        "a string isn't closed",
        'A string in `"` ends on its line; one in `"""` may go on over several.',
        'import norm.RMSNorm; note = "abc',
        'import norm.RMSNorm; note = "abc"',
    ),
    Entry(
        "A005",
        "a line is broken at an operator",
        "A newline ends a statement, except inside `( )`, `[ ]` and the braces of a literal. So a long expression stands in parentheses.",
        "model M { in x: float[B]; out y = x +\n x }",
        "model M { in x: float[B]; out y = (x +\n x) }",
    ),
    Entry(
        "A006",
        "`=` and `==`",
        "`=` gives a name a value, `==` compares two.",
        "model M { in x: float[B, H]; require H = 4; out y = x }",
        "model M { in x: float[B, H]; require H == 4; out y = x }",
    ),
    Entry(
        "A007",
        "a character that is not in the language",
        "Strings stand in plain double quotes, names are ASCII, a power is `**`, negation `not`.",
        "note = 'abc'",
        'note = "abc"',
    ),
    Entry(
        "A008",
        "a word that can't be a name",
        "`and or not if else for in true false none` and `_` name nothing; every other word may name a value, a parameter or a module.",
        "model M { for = 3 }",
        "model M { in x: float[B]; form = x; out y = form }",
    ),
    Entry(
        "A009",
        "the braces of a block are missing",
        "A block stands in braces, and its `{` on the line of its header.",
        "model M\n{ in x: float[B]; out y = x }",
        "model M { in x: float[B]; out y = x }",
    ),
    Entry(
        "A010",
        "what stands left of `=` is no name",
        "An assignment gives a value to a name or, in a loop, to a member of a family: `x = e`, `x[t] = e`, `a, b = e`. Parts of records and "
        "modules don't change.",
        "model M { in x: float[B]; relu(x) = x; out y = x }",
        "model M { in x: float[B]; z = relu(x); out y = z }",
    ),
    Entry(
        "A011",
        "comparisons in a row",
        "`a < b < c` means two different things in two languages, so it means nothing here.",
        "block B(n: int) { require 0 < n < 4; in x: float[B]; out y = x }",
        "block B(n: int) { require 0 < n and n < 4; in x: float[B]; out y = x }",
    ),
    Entry(
        "A012",
        "a range has one start and one end",
        "`a..b` leaves `b` out, `a..=b` takes it in; either end may be left out, only inside `[ ]`.",
        "model M { index s = 0..2..4; in x: float[B]; out y = x }",
        "model M { index s = 0..4; in x: float[B]; out y = x }",
    ),
    Entry(
        "A013",
        "`not` needs parentheses",
        "`not` binds looser than comparisons and arithmetic.",
        "block B(a: bool, b: bool) { require a == not b; in x: float[B]; out y = x }",
        "block B(a: bool, b: bool) { require a == (not b); in x: float[B]; out y = x }",
    ),
    Entry(
        "A014",
        "a part that doesn't belong to the statement",
        "Roles (`as picture(...)`) are for inputs; an edition is a whole number.",
        "model M { in x: float[B]; target y: int[B] as tokens(8); out z = x }",
        "model M { in x: float[B, 8]; target y: int[B] in 0..8; loss fit = cross_entropy(x, y) }",
    ),
    Entry(
        "A015",
        "a number that can't be read",
        "Numbers have a digit on both sides of their point (`0..n` is a range), fit in a float where they have a point, and at most 1000 digits.",
        "half = .5",
        "half = 0.5",
    ),
    Entry(
        "A016",
        "an unknown escape in a string",
        'The escapes are `\\"`, `\\\\`, `\\n` and `\\t`. Between `"""` a string is taken as it stands.',
        'path = "a\\qb"',
        'path = "a\\\\qb"',
    ),
    Entry(
        "A017",
        "an import without a name",
        "`import norm.RMSNorm` takes `RMSNorm` from the library file `norm.arch`; `import .norm.RMSNorm` from a file beside this one. Whole files "
        "aren't imported, so that every name can be found by searching for it.",
        "import norm",
        "import norm.RMSNorm",
    ),
    Entry(
        "A018",
        "a statement or clause in another form",
        "The statement is known, but a part is missing or too much: a loss has a name, inputs and targets have a type, one `in` has one type, the "
        "trainer's settings stand in `options { }`.",
        "model M { in a: int[B], in b: int[B]; out y = a }",
        "model M { in a: int[B]; in b: int[B]; out y = a + b }",
    ),
    Entry(
        "A019",
        "a `;` inside brackets",
        "`;` ends a statement, as a newline does.",
        "model M { in x: float[B]; out y = softmax(x; dim = 0) }",
        "model M { in x: float[B]; out y = softmax(x, dim = 0) }",
    ),
    Entry(
        "A020",
        "an import of Python",
        "Specs hold no Python and run none. Layers and operations are always there under their own names; Python code enters as `extern`, with a "
        "declared signature, when the caller allows it.",
        "import torch",
        'extern fn match(cost: float[B, N]) -> int[B, N] from "package.module:function"',
    ),
    Entry(
        "A021",
        "`nn.Linear`",
        "Layers need no prefix.",
        "model M { in x: float[B, 4]; fc = nn.Linear(4, 2); out y = fc(x) }",
        "model M { in x: float[B, 4]; fc = Linear(4, 2); out y = fc(x) }",
    ),
    Entry(
        "A022",
        "`self.x`",
        "A block has no `self`: a module is named where it is born and known in the whole block.",
        "block B { in x: float[B, 4]; self.fc = Linear(4, 2); out y = self.fc(x) }",
        "block B { in x: float[B, 4]; fc = Linear(4, 2); out y = fc(x) }",
    ),
    Entry(
        "A023",
        "a statement of Python",
        "A module is a `block`, a function without modules an `fn`; results are `out`; `elif` is `else if`.",
        "def double(x):\n  return 2 * x",
        "fn double(x: float[B]) { out y = 2 * x }",
    ),
    Entry(
        "A024",
        "`lambda`",
        "Functions have names, so that errors and pictures can say them.",
        "model M { in x: float[B]; f = lambda y: 2 * y; out z = f(x) }",
        "fn f(y: float[B]) { out z = 2 * y }\nmodel M { in x: float[B]; out z = f(x) }",
    ),
    Entry(
        "A025",
        "`True`, `False`, `None`",
        "Constants are written in lower case.",
        "model M { in x: float[B, 4]; fc = Linear(4, 2, bias = False); out y = fc(x) }",
        "model M { in x: float[B, 4]; fc = Linear(4, 2, bias = false); out y = fc(x) }",
    ),
    Entry(
        "A026",
        "a method of a tensor",
        "Operations are functions: `sum(x, dim = 1)`. A dot reaches the fields of a record and the parts of a module.",
        "model M { in x: float[B, 4]; out y = x.mean(dim = 1) }",
        "model M { in x: float[B, 4]; out y = mean(x, dim = 1) }",
    ),
    Entry(
        "A027",
        "`x.shape`",
        "Sizes have names: the type of an input introduces them, and they can be used wherever a number can.",
        "model M { in x: float[B, 4]; out y = x / x.shape[1] }",
        "model M { in x: float[B, S]; out y = x / S }",
    ),
    Entry(
        "A028",
        "`F.relu`, `torch.cat`",
        "Operations need no prefix.",
        "model M { in x: float[B]; out y = F.relu(x) }",
        "model M { in x: float[B]; out y = relu(x) }",
    ),
    Entry(
        "A029",
        "`x += 1`",
        "A name is given a new value with `=`.",
        "model M { in x: float[B]; x += 1; out y = x }",
        "model M { in x: float[B]; z = x + 1; out y = z }",
    ),
    Entry(
        "A030",
        "a construct that the language refuses",
        "Elaboration always ends, and a reader sees every argument: there is no `while`, no `loop`, no `match` and no splat.",
        "model M { in x: float[B]; while x { } }",
        "model M { in x: float[B]; y = x; repeat i in 0..3 carry y { y = relu(y) }; out z = y }",
    ),
)
