"""A8xx, files, imports, limits and extern."""

from __future__ import annotations

from typing import Final

from .entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A800",
        "the file can't be read",
        "There is no file of that path, it is a folder, or its permissions don't let it be read.",
        "archloom check modle.arch",
        "archloom check model.arch",
    ),
    Entry(
        "A801",
        "the file is too large",
        "A spec is text that people read; one of over 1 MiB is a mistake, such as the path of a log. Nothing of it is parsed.",
        "archloom check training.log",
        "archloom check model.arch",
    ),
    Entry(
        "A802",
        "the file isn't UTF-8 text",
        "Specs are UTF-8. The message names the first byte that is not.",
        "archloom check photo.jpg",
        "archloom check model.arch",
    ),
    Entry(
        "A803",
        "the file is binary",
        "The text holds a zero byte, which no text does.",
        "archloom check model.npz",
        "archloom check model.arch",
    ),
    Entry(
        "A804",
        "the file is empty",
        "Nothing but blank lines and comments. `archloom new NAME` writes a first spec of fifteen lines.",
        "# nothing yet",
        "model Id { in x: float[B]; out y = x }",
    ),
    Entry(
        "A805",
        "nested too deep",
        "Brackets may stand 200 deep in each other, and an expression's tree may be 250 deep. Beyond that a text is no longer written by a "
        "person, and reading it could exhaust the machine.",
        "model M { out y = f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f( ... two hundred more",
        "model M { in x: float[B]; half = relu(x); out y = exp(half) }",
    ),
    Entry(
        "A806",
        "a character that isn't shown",
        "Control characters, those that turn the direction of writing round, surrogates and characters of private use show a reader something else "
        "than stands there, and may steer the terminal. They stand in no text and in no file's name. Lines end with a line feed.",
        "# a bell \x07\nmodel M { in x: float[B]; out y = x }",
        "# a bell\nmodel M { in x: float[B]; out y = x }",
    ),
    Entry(
        "A807",
        "a file of another kind",
        "By its suffix the file holds JSON, TOML, YAML, settings, a notebook or weights. A spec is an `.arch` file. What a configuration says "
        "comes in by `--param NAME=VALUE`, or as a whole by a `golden`; weights by a `weights` map in the spec.",
        "archloom check config.json",
        "archloom check model.arch --param dim=768",
    ),
    Entry(
        "A811",
        "there is no such model",
        "The file holds no model, or none of the name that was asked for.",
        "",
        "model M { in x: float[B]; out y = x }",
    ),
    Entry(
        "A812",
        "there is no such file beside this one",
        "`import .folder.file.Name` reads `folder/file.arch` beside the file that says it.",
        "import .nowhere.Thing\nmodel M { in x: float[B]; out y = x }",
        "import ffn.Mlp\nmodel M { in x: float[B, 4]; f = Mlp(4, 8); out y = f(x) }",
    ),
    Entry(
        "A813",
        "there is no such library file",
        "`import file.Name` reads the library; a file beside this one is imported with a dot.",
        "import lama.DecoderLayer\nmodel M { in x: float[B]; out y = x }",
        "import ffn.Mlp\nmodel M { in x: float[B, 4]; f = Mlp(4, 8); out y = f(x) }",
    ),
    Entry(
        "A814",
        "imports run in a circle",
        "A file imports a name from another that imports it from the first. What both share stands in a third.",
        "",
        "",
    ),
    Entry(
        "A815",
        "a limit of elaboration",
        "Loops are unrolled, so index sets, operations and steps are limited. A size known only at run time is a dimension, not an index set. "
        "`--limit NAME=N`, in Python `limits={name: n}`, allows more or less.",
        "model M { in x: float[B, 4]; h = x; repeat i in 0..1_000_000_000 carry h { h = relu(h) }; out y = h }",
        "model M { in x: float[B, 4]; h = x; repeat i in 0..10 carry h { h = relu(h) }; out y = h }",
    ),
    Entry(
        "A816",
        "too many imported files",
        "One program reads at most 200 files, `--limit imports=N` more.",
        "",
        "",
    ),
    Entry(
        "A817",
        "the edition",
        "`arch 1` is the first line of a file and says for which edition of the language it was written.",
        "arch 7\nmodel M { in x: float[B]; out y = x }",
        "arch 1\nmodel M { in x: float[B]; out y = x }",
    ),
    Entry(
        "A818",
        "an import that leads out of the project",
        "Imports stay in the folder of the file that is checked and in the library: a link that leads elsewhere is not followed unless the caller "
        "names the folder that it leads to, `--folder DIR`, in Python `folders=[...]`.",
        "",
        "",
    ),
    Entry(
        "A831",
        "there is no compiled model here",
        "A compiled model is a folder with a `manifest.json` and the file of weights that it names; `archloom compile` writes one.",
        'archloom.load("empty-folder")',
        "archloom compile spec.arch -o model",
    ),
    Entry(
        "A832",
        "a manifest that isn't one",
        "The `manifest.json` of a compiled model can't be read, or lacks something, or holds something that no manifest has.",
        "",
        "",
    ),
    Entry(
        "A833",
        "a compiled model that has changed since",
        "The texts or weights of a compiled model aren't those that its manifest names, or the library's blocks that it uses are others by now: it "
        "would compute something else.  Compile the spec again.",
        "",
        "",
    ),
    Entry(
        "A841",
        "nothing to quantize",
        "The pass `quantize` takes linears whose weights are parameters, and that its option `where` selects holds none that it can take.  "
        "`--explain-passes` says of each linear why not.",
        'archloom.compile("minilm.arch", optimize="quantize(where = \'**.LayerNorm\')")',
        'archloom.compile("minilm.arch", optimize="quantize(where = \'encoder\')")',
    ),
    Entry(
        "A842",
        "no kernel for numbers of so few bits",
        "The pass `quantize` was asked for 4 bits, and nothing on the device of the model multiplies by such numbers: `int4_weight` runs on CPUs "
        "with AVX2.  `int8_weight` and `int8_dynamic` run everywhere.",
        'archloom.compile("minilm.arch", optimize="quantize(to = \'int4_weight\')", device="cuda")',
        'archloom.compile("minilm.arch", optimize="quantize(to = \'int8_weight\')", device="cuda")',
    ),
    Entry(
        "A821",
        "what is `extern` isn't allowed",
        "A text runs no Python of its own accord: whoever compiles it says which classes and functions it may use, by name or by handing them in.",
        'archloom.compile("solver.arch")   # which wraps "package.module:Solver"',
        'archloom.compile("solver.arch", extern={"package.module:Solver"})',
    ),
    Entry(
        "A822",
        "an extern class can't be made",
        "The class of an extern block couldn't be imported, refused its arguments, or made something that is no `nn.Module`; or there is no such "
        "function.",
        'extern block Lin(a: int) from "torch.nn:Linear" { in x: float[B, a]; out y: float[B, 3] }',
        'extern block Lin(in_features: int, out_features: int) from "torch.nn:Linear" { in x: float[B, in_features]; out y: float[B, out_features] }',
    ),
    Entry(
        "A823",
        "an extern class or function breaks its signature",
        "The module or function was run at two sets of sizes, on the meta device (a function that needs values, on small tensors); what it gives "
        "doesn't have the shapes and dtypes that the `out` lines, or the type after `->`, declare.",
        'extern block Lin(in_features: int, out_features: int) from "torch.nn:Linear" { in x: float[B, in_features]; out y: float[B, in_features] }',
        'extern block Lin(in_features: int, out_features: int) from "torch.nn:Linear" { in x: float[B, in_features]; out y: float[B, out_features] }',
    ),
    Entry(
        "A824",
        "can't be written as Python",
        "`emit` and `compile(source=True)` write a file that imports torch alone: what is extern, an output that needs a target and "
        "a module handed on inside a handed module have no place in it.",
        'archloom.compile("solver.arch", source=True)   # which wraps "package.module:Solver"',
        'archloom.compile("solver.arch", extern=True)',
    ),
)
