"""Syntax errors by example: what people who write Python, YAML, JSON, Rust, C or TypeScript type here, and what to write instead.

Each row has a text with the mistake.  A row is recognised by its pattern: the line of the fault, with `‸` where the parser stopped; `\\1` in
the help is what the pattern's first group matched.  The first row that fits wins.  Only read once there is an error.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from ..record import record

MARK: Final = "\0"
"""Stands in the searched line where the parser stopped; no source holds one."""


@record
class Habit:
    """One mistake: a text that makes it, how it is recognised, and what is said; `expected` are terminals that would have fitted
    there, and after `!` such as would not."""

    written: str
    pattern: str
    code: str
    message: str
    help: str
    expected: str = ""


@record
class Recogniser:
    """A row ready for use: the terminals that must be expected, those that must not, and the pattern."""

    habit: Habit
    wanted: frozenset[str]
    unwanted: frozenset[str]
    pattern: re.Pattern[str]

    def match(self, line: str, expected: frozenset[str]) -> re.Match[str] | None:
        """Return how the mistake shows in a line with the mark, where these terminals were expected."""
        return self.pattern.search(line) if self.wanted <= expected and not self.unwanted & expected else None


def recogniser(habit: Habit) -> Recogniser:
    """Make a row ready: a blank of its pattern stands for any number of them."""
    words = habit.expected.split()
    pattern = re.compile(habit.pattern.replace("‸", MARK).replace(" ", r"[ \t]*"))
    wanted = frozenset(word for word in words if word[0] != "!")
    return Recogniser(habit, wanted, frozenset(word[1:] for word in words if word[0] == "!"), pattern)


@cache
def recognisers(last: bool) -> tuple[Recogniser, ...]:
    """Return the rows, those of `LAST` or the others, in order."""
    return tuple(map(recogniser, LAST if last else FIRST))


WEIGHTS: Final = 'weights w for M from "x" {{ {} }}'
COMMENT: Final = ("A007", "comments of other languages are not in this one", "a comment starts with `#` and ends with its line")
BRACES: Final = ("A009", "a block stands in braces", r"write `{` in place of `\1` and `}` at its end")
RANGE: Final = ("A012", "a range is written with `..`", r"write `\1..\2`; `..=` takes its end in")
FUNCTION: Final = ("A024", "functions without a name are not in the language", "write a named `fn`, or a comprehension: `sum(f(x) for x in s)`")
CHOICE: Final = "write `if mode == a { ... } else if mode == b { ... }`"
INPUT: Final = "write `in x: float[B, dim]`, a line for each type"
IMPORT: Final = "write `import norm.RMSNorm`, several as `import norm.{RMSNorm, LayerScale}`; a file beside this one is `.norm`"

ITEMS: Final = (
    Habit("model 3d { }", r"^ (model|block|fn|train|preset) ‸\d", "A008", "a name begins with a letter", r"write for instance `\1 Net3d`"),
    Habit("model My-net { }", r"^ (?:model|block|fn|train|preset) (\w+)‸-(\w+)", "A008", "a name holds no `-`", r"write `\1_\2`"),
    Habit("block F(mode: str in {a, b}) { }", r"(\w+): \w+ ‸in {", "A018", "a choice of words is a type of its own", r"write `\1: {a, b}`"),
    Habit("model M(dim = 8) { }", r"[(,] (\w+) ‸=", "A018", r"the parameter `\1` needs a type", r"write `\1: int = ...`", "COLON"),
    Habit("model M(int dim) { }", r"[(,] (int|float|bool|str) ‸(\w+)", "A018", "the type of a parameter stands behind its name", r"write `\2: \1`",
          "COLON"),
    Habit("model M(dim int) { }", r"[(,] (\w+) ‸(int|float|bool|str)\b", "A018", r"the parameter `\1` needs a `:`", r"write `\1: \2`"),
    Habit("model M(dim: 8) { }", r"(\w+): ‸([\d.]+)", "A018", r"the parameter `\1` needs a type", r"write `\1: int = \2`", "LBRACE"),
    Habit("block F(mode: \"a\" | \"b\") { }", r"(\w+): ‸\"", "A018", "a choice of words stands in braces", r"write `\1: {a, b}`"),
    Habit("block F(mode: {\"a\", \"b\"}) { }", r"^ ‸\"(\w+)\"", "A018", "the words of a choice stand without quotes", r"write `\1`", "NAME"),
    Habit("block F(dim: int | none) { }", r": \w+ ‸\|", "A018", "a parameter has one type", "what may be left out has a value: `dim: int = 8`"),
    Habit("block F(dim: int?) { }", r": \w+‸\?", "A018", "a parameter has one type", "what may be left out has a value: `dim: int = 8`"),
    Habit("block F(sizes: list<int>) { }", r": (?:list|map|List|Dict)‸<", "A018", "what a list holds stands in square brackets", "write `list[int]`"),
    Habit("block F(a: int b: int) { }", r"‸(\w+):", "A018", "a comma is missing", r"write `,` before `\1`", "COMMA RPAR"),
    Habit("block F(*args) { }", r"[(,] ‸\*", "A030", "parameters are written one by one", "write `block F(dim: int, heads: int) { ... }`"),
    Habit("model M<dim> { }", r"^ (?:model|block|fn) \w+‸[<\[]", "A018", "parameters stand in parentheses", "write `(dim: int)`"),
    Habit("model M extends N { }", r"^ (?:model|block) \w+ ‸(?:extends|inherits|implements|with)\b", "A018", "blocks inherit nothing",
          "make the other one inside: `base = N(); h = base(x)`"),
    Habit("model M: N { }", r"^ (?:model|block) \w+ ‸: \w+ {", "A018", "blocks inherit nothing",
          "make the other one inside: `base = N(); h = base(x)`"),
    Habit("block F(a: int) = { }", r"[)\w] ‸= {", "A009", "no `=` stands before the braces of a block", "delete it", "LBRACE"),
    Habit("model \"M\" { }", r"^ (\w+) ‸\"(\w+)\"", "A018", "names stand without quotes", r"write `\1 \2`"),
    Habit("weights for M from \"x\" { }", r"^ (model|block|fn|train|golden|preset|weights) ‸(?:[{(]|for\b)", "A018", r"a name is missing after `\1`",
          r"write `\1 NAME ...`"),
    Habit("fn f { }", r"^ fn (\w+) ‸{", "A018", "an `fn` has parameters", r"write `fn \1(x: float[B]) { ... }`"),
    Habit("network M { }", r"^ (network|net|architecture|nn) ‸\w", "A018", r"`\1` is not in the language", "write `model M { ... }`"),
    Habit("layer F { }", r"^ (layer|struct|component|module|impl|trait|interface|type|enum) ‸\w", "A018", r"`\1` is not in the language",
          "write `block F(dim: int) { ... }`"),
    Habit("function f(x) { }", r"^ (function|func|fun|proc) ‸\w", "A018", r"`\1` is not in the language", "write `fn f(x: float[B]) { out y = e }`"),
    Habit("pub fn f(x: float[B]) { }", r"^ (pub|public|private|export|static|abstract|final) ‸\w", "A018", r"`\1` is not in the language",
          "leave it out: every item of a file can be imported"),
    Habit("block F(self, n: int) { }", r"[(,] self ‸", "A022", "there is no `self`",
          "leave it out: names of a block are known in all of it", "COLON"),
    Habit("fn f(x: float[B]) = x * 2", r"^ fn \w+\(.*\) ‸(?:=|=>) [^\s{]", "A009", "the body of a `fn` stands in braces",
          "write `{ out y = ... }` in place of what begins with `=`", "LBRACE"),
    Habit("model M = { in x: float[B]; out y = x }", r"^ ‸(?:in|out) \w+ [:=]", "A009",
          "the braces of a literal hold no statements", "delete the `=` before them", "STRING !TARGET LBRACE !BLOCK"),
    Habit("model M ( in x: float[B] )", r"^ (?:model|block) \w+ \( ‸(?:in|out)\b", "A009", "a block stands in braces",
          "write `{ ... }` in place of `( ... )`"),
    Habit("model M [ in x: float[B] ]", r"^ (?:model|block) \w+ ‸\[ (?:in|out)\b", "A009", "a block stands in braces",
          "write `{ ... }` in place of `[ ... ]`"),
    Habit("task t { out y = x }", r"^ (task|stage|loss|out|freeze|target|state|draw|entry|repeat|index|tie|update) ‸\w", "A018",
          r"`\1` begins no item of a file", "write it in the braces of a model, a stage in those of a `train`", "$END EQUAL"),
    Habit("const n = 3", r"^ const ‸(\w+) =", "A023", "every value is constant", r"write `\1 = ...`", "$END"),
    Habit("in x: float[B]", r"^ ‸(in|for|if)\b(?! =)", "A018", r"`\1` begins no item of a file", "write it in the braces of a model", "BLOCK MODEL"),
    Habit("preset p(M) { }", r"^ (preset|weights|golden) (\w+) ‸[:(]", "A018", r"a `\1` says for which model it is", r"write `\1 \2 for MODEL`"),
    Habit("train M(3) { }", r"^ train (\w+) ‸\(", "A018", "a `train` takes no arguments",
          r"write `train \1 { ... }`; a stage sets them: `set n = 3`"),
    Habit("import norm.*", r"^ import .*‸\*", "A017", "an import names what it takes", IMPORT),
    Habit("import norm.RMSNorm, norm.LayerScale", r"^ import .*‸,", "A017", "an import takes names of one file", IMPORT),
    Habit("import \"norm.arch\"", r"^ import ‸[\"'{]", "A017", "an import is a path with dots", IMPORT),
    Habit("import norm.{RMSNorm LayerScale}", r"(\w+) ‸(\w+)", "A018", "a comma is missing",
          r"write `,` between `\1` and `\2`", "COMMA RBRACE AS !_NL"),
    Habit("import norm::RMSNorm", r"^ import .*‸[/:]", "A017", "an import is a path with dots", IMPORT),
    Habit("import ..norm.RMSNorm", r"^ import \.‸\.", "A017", "an import begins with one dot, or none", IMPORT),
    Habit("include \"norm.arch\"", r"^ (include|use|using|require|load) ‸[\"\w]", "A020", r"`\1` takes nothing from a file", IMPORT, "$END"),
    Habit("DIM: int = 8", r"^ (\w+) ‸: \w+(?:\[[^\]]*\])? =", "A018", "a definition has no declared type", r"write `\1 = ...`", "$END EQUAL"),
    Habit("---", r"^---‸", "A007", "a file needs no separators", "delete the line"),
    Habit("\"model\": 3", r"^ \"(\w+)\" ‸:", "A018", "this looks like JSON", "a file holds items: `model M { in x: float[B]; out y = x }`"),
    Habit("model: M", r"^ \w+ ‸:", "A018", "a file holds items, and no keys", "write `model M { in x: float[B]; out y = x }`", "$END EQUAL"),
    Habit("train M { tune all }", r"^ ‸(tune|from|tasks|losses|weight|set|options)\b", "A018", "clauses stand in a stage",
          r"write `stage name { \1 ... }`", "STAGE"),
    Habit("train M { stage a, b { tune all } }", r"^ stage \w+ ‸(?:,|->|\()", "A018", "a stage has one name, and braces of its own",
          "write `stage a { ... }` for each; what it starts from is `from`", "LBRACE"),
    Habit("train M { stage \"a\" { tune all } }", r"^ ‸stage [\"\d]", "A018", "a stage has a plain name", "write `stage name { ... }`", "STAGE"),
    Habit("train M { freeze f }", r"^ ‸(freeze|in|out|loss|task)\b", "A018", r"`\1` is no part of a `train`", "write it in the model",
          "STAGE !VALUE"),
    Habit("train M { lr = 3 }", r"^ ‸(\w+) =", "A018", "a `train` holds stages", r"write `stage name { options { \1 = ... } }`", "STAGE"),
    Habit("train M { stage a { tune [f] } }", r"^ ‸(tune|tasks|losses) [\[({]", "A018", "what a clause names stands without brackets",
          r"write `\1 a, b`", "TUNE"),
    Habit("train M { stage a { tune f g } }", r"^ (tune|losses|tasks) \S+ ‸(?!rest|but|without|minus)(\w+)", "A018", "a comma is missing",
          r"write `,` before `\2`", "_NL"),
    Habit("train M { stage a { tune all but f } }", r"^ tune all ‸(?:but|without|minus)\b", "A018", "what is left out stands after `except`",
          "write `tune all except a`", "_NL"),
    Habit("train M { stage a { tune f rest in eval } }", r"^ tune .*\w ‸rest\b", "A018", "a comma is missing", "write `tune a, rest in eval`"),
    Habit("train M { stage a { tune f, rest eval } }", r"^ tune .*, rest ‸", "A018", "what isn't tuned runs in eval by `rest in eval`",
          "write `tune a, rest in eval`"),
    Habit("train M { stage a { tune f; rest in eval } }", r"^ ‸rest in eval", "A018", "`rest in eval` is a part of `tune`",
          "write `tune a, rest in eval`"),
    Habit("train M { stage a { tune f; if true { tune g } } }", r"^ ‸(if|for|repeat)\b", "A018", r"a stage has no `\1`",
          "write a stage for each case", "TUNE"),
    Habit("train M { stage a { tune f; weight l * 0.5 } }", r"^ weight (\S+) .*‸$|^ weight (\S+) .*‸[;}]", "A018", "a weight is given with `=`",
          "write `weight a.main = 0.5`", "EQUAL"),
    Habit("train M { stage a { tune f; emit y } }", r"^ emit (\w+) ‸", "A018", "what is emitted has a name, and an output",
          r"write `emit \1 = a.logits`",
          "EQUAL"),
    Habit("train M { stage { tune all } }", r"^ ‸stage {", "A018", "a name is missing after `stage`", "write `stage name { ... }`", "STAGE"),
    Habit("train M { first { tune all } }", r"^ ‸(\w+) {", "A018", "a `train` holds stages", r"write `stage \1 { ... }`", "STAGE"),
    Habit("train M { stage a { tune: all } }", r"^ ‸(tune|tasks|losses|from|weight|set|emit|use) [:=]", "A018", "a clause begins with its word alone",
          r"write `\1 ...`"),
    Habit("train M { stage a { options: { lr = 3 } } }", r"^ ‸options\b", "A018", "options stand in braces", "write `options { lr = ... }`", "TUNE"),
    Habit("train M { stage a { weight a.main: 0.5 } }", r"^ weight\b.*‸:", "A018", "a weight is given with `=`", "write `weight a.main = 0.5`"),
    Habit("train M { stage a { tune f; use s.soft = soft } }", r"^ use \w+ ‸\. (\w+)", "A018", "a stage uses a target by its name alone",
          r"write `use \1 = stage.output`"),
    Habit("preset p for M { dim: 3 }", r"^ (\w+) ‸:", "A018", "a setting is given with `=`", r"write `\1 = ...`", "EQUAL !COMMA"),
    Habit("train M { stage a { freeze tower } }", r"^ ‸freeze\b", "A018", "what a stage doesn't tune is frozen in it",
          "leave it out, or write `freeze X` in the model to freeze it for good", "TUNE"),
    Habit("train M { stage a { train all } }", r"^ ‸(train|learn|fit|unfreeze)\b", "A018", r"`\1` is no clause of a stage", "write `tune`", "TUNE"),
    Habit("weights w for M { a <- \"b\" }", r"^ weights \w+ for \w+ ‸{", "A018", "a weights map says where its tensors are",
          "write `from \"model.safetensors\"` before `{`"),
    Habit("weights w from \"x\" { }", r"^ (weights|preset|golden) (\w+) ‸(?:from|of|{)", "A018", r"a `\1` says for which model it is",
          r"write `\1 \2 for MODEL`"),
    Habit("weights w for M from 'x' { }", r"‸from '", "A007", "strings stand between double quotes, not '", 'write `"..."`'),
    Habit(WEIGHTS.format("drop x"), r"^ drop ‸(\w+)", "A018", "a name of the file stands in quotes", r'write `drop "\1"`'),
    Habit(WEIGHTS.format("if true { a <- \"b\" }"), r"^ ‸if\b", "A018", "a weights map has no `if`",
          "leave it out: a rule for what other arguments make selects nothing", "DROP"),
    Habit(WEIGHTS.format("for i in 0..3 { a <- \"b\" }"), r"^ ‸(?:for|repeat)\b", "A018", "the loop of a rule stands behind it",
          r'write `a[i] <- "b.{i}" for i in layers`', "DROP"),
    Habit(WEIGHTS.format("\"b\" -> a"), r"^ \"[^\"]*\" ‸->", "A018", "the model's path stands left", "write `path <- \"name\"`"),
    Habit(WEIGHTS.format("a = \"b\""), r"‸(?:=|->|:|=>)", "A018", "what fills a path is written with `<-`", "write `path <- \"name\"`", "LEFT_ARROW"),
    Habit(WEIGHTS.format("a <= \"b\""), r"<=.*‸", "A018", "what fills a path is written with `<-`", "write `path <- \"name\"`", "LEFT_ARROW"),
    Habit("golden g for M { out y -> \"y\" }", r"^ ‸out (\w+)", "A018", "a `golden` names values", r'write `value \1 -> "name"`', "VALUE"),
    Habit("extern block S(n: int) { }", r"^ extern block .*‸{", "A018", "an `extern` says what it wraps",
          "write `from \"package.module:Class\"` before `{`"),
    Habit("extern S(n: int) from \"a:B\" { }", r"^ extern ‸", "A018", "an `extern` is a block or a function", "write `extern block` or `extern fn`"),
    Habit("extern fn f(x: float[B]) from \"a:b\"", r"^ extern fn .*‸(?:from|:)", "A018", "an `extern fn` says what it returns",
          "write `-> float[B]`, the type of its result, before `from`", "RIGHT_ARROW"),
)  # fmt: skip
"""Mistakes among the items of a file and in their headers; each text is a whole file."""

STATEMENTS: Final = (
    Habit("h = 3  // three of them", r"//.*[A-Za-z]\w* ‸[A-Za-z]", *COMMENT),
    Habit("h = 3 /* three */", r"/\*+ ‸", *COMMENT),
    Habit("-- three of them", r"^ --.*‸\w", *COMMENT),
    Habit("% three of them", r"^ ‸%", *COMMENT),
    Habit("<!-- three -->", r"^ ‸<!", *COMMENT),
    Habit("'''three'''", r"‸'''", "A007", "strings stand between double quotes, not '''", 'write `"""..."""`'),
    Habit("h = f\"{x}\"", r"\b([fFrRbBuU])‸\"", "A007", "a string has no prefix", "delete `\\1`; in a weights map `{i}` is filled in as it stands"),
    Habit("h = 0x1F", r"‸0[xXbBoO]\w", "A015", "a number is written in decimal", "write for instance `31` for `0x1F`"),
    Habit("h = 1e", r"‸\d[\d.]*[eE](?!\w)", "A015", "a number needs digits after its `e`", "write for instance `1e5`"),
    Habit("h = 1_", r"‸(\d[\d_]*)_(?!\w)", "A015", "a number ends in a digit", r"write `\1`"),
    Habit("h = 2x", r"‸(\d+)([A-Za-z]\w*)", "A015", r"`\1\2` is neither a number nor a name", r"a product is `\1 * \2`; a name begins with a letter"),
    Habit("h <- f(x)", r"^ (\w+) ‸<-", "A006", "a value is given with `=`, not `<-`", r"write `\1 = ...`"),
    Habit("h -> f(x)", r"^ (\w+) ‸->", "A006", "a value is given with `=`, not `->`", r"write `\1 = ...`"),
    Habit("h := f(x)", r"‸:=|:‸=", "A006", "a value is given with `=`, not `:=`", "write `=`"),
    Habit("out y: = h", r"^ out (\w+): ‸=", "A006", "no `:` stands before `=`", r"write `out \1 = ...`"),
    Habit("h === x", r"(==|!=)‸=", "A006", r"`\1=` is not in the language", r"write `\1`"),
    Habit("h = a <> b", r"<‸>", "A006", "`<>` is not in the language", "write `!=`"),
    Habit("h = a =< b", r"‸=<", "A006", "`=<` is not in the language", "write `<=`"),
    Habit("h = a is none", r"‸is\b", "A006", "`is` is not in the language", "write `==` or `!=`; whether an input is there is `given(x)`"),
    Habit("h = f(x, dim: -1)", r"[(,] (\w+): ‸", "A018", "an argument is given with `=`", r"write `\1 = ...`", "NAME !LBRACE !NUMBER"),
    Habit("f = Linear(in: 4, out: 4)", r"(\w+)\((?:[^()]*, )?‸(in|for|if) :", "A018", r"an argument is given with `=`, and none is called `\2`",
          r"write `\1(...)`; `archloom explain \1` says what it takes"),
    Habit("h = x -> f", r"= .*‸->", "A007", "a chain of calls is not written with `->`", "write `f(x)`, or `Sequential(f, g)(x)`"),
    Habit("h = x <- q", r"= .*‸<-", "A007", "`<-` fills tensors, in a weights map", "a comparison with a negative number is `a < -b`"),
    Habit("h = x =! q", r"= .*‸=!", "A006", "`=!` is not in the language", "write `!=`"),
    Habit("h = (g = x)", r"\(\w+ ‸=", "A018", "a name is given a value in a statement of its own", "write `g = ...` on the line above",
          "RPAR !EQUAL"),
    Habit("= x", r"^ ‸=", "A018", "a name is missing before `=`", "write `h = ...`"),
    Habit("loss a += x", r"^ loss (\w+) ‸[-+*/]", "A029", "a loss is said once", r"write a sum: `loss \1 = ... + ...`"),
    Habit("assert x ignore q", r"^ assert .*‸(ignore|ignored|not|depends|use|used)\b", "A018", "a claim about paths is `ignores` or `uses`",
          "write `assert y ignores x`", "_NL"),
    Habit("if a { h = x } else h = y", r"} else\b ‸(\w+)|} ‸else \w+ =", "A009", "the body of `else` stands in braces", "write `else { ... }`"),
    Habit("f = Linear(4, 4), g = Linear(4, 4)", r"^ \w+ = .*, (\w+) ‸=(?!=)", "A018", "two statements stand on one line",
          r"write `;` before `\1` in place of the comma", "_NL"),
    Habit("out a = f(x), b = g(x)", r"^ (out|loss) \w+ = .*, (\w+) ‸=(?!=)", "A018", "two statements stand on one line",
          r"write `;` and `\1` before `\2` in place of the comma", "_NL"),
    Habit("if a { h = x } catch { h = y }", r"‸(catch|except|finally|rescue)\b", "A023", r"`\1` is not in the language",
          "leave it out: nothing is raised here"),
    Habit("with torch.no_grad() { h = x }", r"^ ‸with (?:torch\.)?(?:no_grad|inference_mode|enable_grad|autocast)|^ with ‸torch", "A023",
          "`with` doesn't open a statement", "write `h = detach(...)`; `freeze` is for what is never trained"),
    Habit("in z: float[B, 4]?", r"^ in .*\]‸\?", "A018", "an input that may be left out has a condition", "write `in x: float[B] if given(x)`"),
    Habit("in z: float[B, ?]", r"^ (?:in|target|state|draw) .*[\[,] ‸\?", "A018", "each size has a name", "write one with a capital: `float[B, S]`"),
    Habit("in z: torch.float32[B]", r": (?:torch|np|numpy|jnp|tf) ‸\.", "A018", "a type is no Python",
          "write `float[B]`, or `float32[B]` where it must be exact"),
    Habit("in z: float[B][4]", r"^ (?:in|target|state|draw) .*\] ‸\[", "A018", "one pair of brackets holds the shape", "write `float[B, 4]`"),
    Habit("h = x => x + 1", r"= \(?[\w,\s]+\)? ‸=>", *FUNCTION),
    Habit("h = |x| x + 1", r"[=(,] ‸\|", *FUNCTION),
    Habit("h = fn(x) { x }", r"\b(?:fn|function)\(.*\) ‸{", *FUNCTION),
    Habit("h = x |> f", r"\|‸>", "A007", "`|>` is not in the language", "write `f(x)`, or `Sequential(f, g)(x)`"),
    Habit("h = x >> f", r"([<>])‸\1", "A007", r"`\1\1` is not in the language", "a chain is `Sequential(f, g)`, a power of two `2 ** n`"),
    Habit("h = f::g(x)", r"‸::", "A007", "`::` is not in the language", "a part is reached by a dot: `a.b`"),
    Habit("h = &x", r"[=(,] ‸&", "A007", "a value has no address", "leave out `&`"),
    Habit("@torch.no_grad()", r"^ ‸@", "A023", "there are no decorators", "leave it out: `freeze`, `detach` and `training` say what is not trained"),
    Habit("raise Wrong(3)", r"^ (raise|throw) ‸", "A023", r"`\1` is not in the language", "what a caller must ensure is `require c`"),
    Habit("del h", r"^ (del|global|nonlocal|export) ‸\w", "A023", r"`\1` is not in the language", "leave it out"),
    Habit("print h", r"^ (print|echo|puts) ‸", "A023", r"`\1` is not in the language", "what is wanted is an `out`"),
    Habit("h = new Linear(3, 3)", r"\b(new|await|yield|ref|copy) ‸\w", "A023", r"`\1` is not in the language", "leave it out"),
    Habit("const k = 3", r"^ const (\w+) ‸=", "A023", "every value is constant", r"write `\1 = ...`"),
    Habit("float h = f(x)", r"^ (?:float|double|int|bool|str|string|auto|val|[Tt]ensor|final|static|mut) ‸(\w+) =(?!=)", "A018",
          "only its name stands before the `=` of a value", r"write `\1 = ...`"),
    Habit("import norm.RMSNorm", r"^ import ‸[\w.]", "A018", "an import stands at the top of the file", "move it out of the braces", "!$END"),
    Habit("fn f(a: float[B]) { out b = a }", r"^ (fn|block|model|train|weights|extern|preset|golden) ‸[A-Za-z_]", "A018",
          r"a `\1` stands at the top of the file", "move it out of the braces", "!$END"),
    Habit("for t in tasks do h = x", r"^ (?:for|repeat|if|else).* ‸(do|then|begin|loop)\b", *BRACES),
    Habit("if x { h = x }\n else: h = y", r"‸[^\n]*else(:)", *BRACES),
    Habit("if x { h = x } elseif y { h = y }", r"‸(elseif|elsif)\b", "A023", r"`\1` is not in the language", "write `else if ... { }`"),
    Habit("for t in {a, b}:\n  h = x", r"}‸(:) (?:#.*)?$", *BRACES),
    Habit("for (t in tasks) { h = x }", r"^ (for|repeat) \(\w+ ‸in\b", "A018", "the header of a loop has no parentheses",
          r"write `\1 t in s { ... }`"),
    Habit("for (int i = 0; i < 3; i++) { h = x }", r"^ for \(\w+ ‸\w+ =|^ for \(\w+ ‸=", "A030", "a loop runs over a set",
          "write `for i in 0..n { ... }`"),
    Habit("for i in 0...3 { h = x }", r"(\w+) (?:\.‸\.\.|‸\.\.\.) (\w+)", *RANGE),
    Habit("for i in 0:3 { h = x }", r"^ (?:for|repeat)\b.*?(\w+) ‸: (\w+) [{c]", *RANGE),
    Habit("for i in 1 to 3 { h = x }", r"(\w+) ‸to\b (\w+)", *RANGE),
    Habit("for i = 0..3 { h = x }", r"^ (for|repeat|index) (\w+) ‸(?:=|of|from|<-|:)", "A018", "what a loop runs over stands after `in`",
          r"write `\1 \2 in ...`", "IN"),
    Habit("for t, u in a, b { h = x }", r"^ for\b.*\bin\b.*‸,", "A018", "a loop runs over one set",
          "write a loop in the loop, or read both families by one member: `a[t] + b[t]`"),
    Habit("foreach t in tasks { h = x }", r"^ (foreach|forEach|forall|each) ‸\w", "A018", r"`\1` is not in the language",
          "write `for t in s { ... }`"),
    Habit("repeat 3 { x = f(x) }", r"^ repeat ‸[\d(]", "A018", "a `repeat` names its step", "write `repeat i in 0..n carry x { ... }`"),
    Habit("repeat i in 0..3 carry (a, b) { a = b }", r"\bcarry ‸\(", "A018", "carried names stand without parentheses", "write `carry a, b`"),
    Habit("repeat i in 0..3 carry { }", r"\bcarry ‸{", "A018", "nothing stands after `carry`",
          "write the names that a step hands to the next, or leave `carry` out"),
    Habit("repeat i in 0..3, carry x { x = f(x) }", r"‸, carry\b", "A018", "no comma stands before `carry`", "delete it"),
    Habit("repeat i in 0..3 { carry x; x = f(x) }", r"^ carry ‸\w", "A018", "`carry` stands in the header of its loop",
          "write `repeat i in s carry x { ... }`"),
    Habit("repeat i in 0..3 with x { x = f(x) }", r"^ repeat\b.*‸(with|carrying|using|and)\b", "A018", r"`\1` carries nothing", "write `carry`"),
    Habit("do { h = x }", r"^ (do|forever) ‸{", "A030", r"`\1` is not in the language",
          "repeat a known number of times: `repeat i in 0..n carry x { ... }`"),
    Habit("unless a { h = x }", r"^ (unless|until) ‸", "A018", r"`\1` is not in the language", "write `if not c { ... }`"),
    Habit("switch a { }", r"^ (switch|case|when) ‸", "A030", r"`\1` is not in the language", CHOICE),
    Habit("assert a == b, \"differ\"", r"^ (?:assert|require)\b.*‸,", "A018", "a claim has no text",
          "leave it out: the error shows the claim itself"),
    Habit("h = x if a", r"\bif\b.*‸(?:$|[),\]};#])", "A018", "a choice has an `else`",
          "write `a if c else b`; a statement is chosen by `if c { ... }`", "ELSE"),
    Habit("h = f(x) for x in s", r"=.*‸for\b", "A018", "a comprehension stands in brackets", "write `[e for i in s]`, or `sum(e for i in s)`"),
    Habit("h = f(x) as y", r"‸as (\w+)", "A018", "a value is named in front", r"write `\1 = ...`", "BINARY"),
    Habit("a = b = c", r"^ (\w+) = ([\w.]+) ‸=", "A018", "a statement has one `=`", r"write `\2 = ...; \1 = \2`"),
    Habit("h = f{x}", r"= .*\w‸{", "A018", "arguments stand in parentheses", "write `f(x)`"),
    Habit("h = f(x,, y)", r",\s*‸,", "A018", "two commas stand in a row", "delete one, or write what is missing between them"),
    Habit("h = f(, x)", r"[(\[{]\s*‸,|^ ‸,", "A018", "a comma stands before anything", "delete it"),
    Habit("h = f(dim = )", r"(\w+) = ‸[),\]]", "A018", r"the argument `\1` has no value", r"write `\1 = ...`, or leave it out"),
    Habit("h = {a = 1, b = 2}", r"(?:^|,) (\w+) ‸=", "A018", "a map is written with `:`", r"write `{\1: ...}`", "COLON RBRACE COMMA"),
    Habit("out y: f(x)", r"^ out (\w+): (?!float|int|bool|bfloat|complex)[a-z]\w* ‸\(", "A006", "a result is given with `=`, not `:`",
          r"write `out \1 = ...`"),
    Habit("loss fit: mean(x)", r"^ loss (\w+) ‸:", "A006", "a loss is given with `=`, not `:`", r"write `loss \1 = ...`"),
    Habit("loss fit(weight = 2) = mean(x)", r"^ loss (\w+) ‸\(", "A018", "a loss has no arguments", r"its weight is a factor: `loss \1 = 0.5 * ...`"),
    Habit("in x: (B, 4)", r"^ (?:in|target|draw|state)\b.*: ‸[({]", "A018", "a type begins with what it holds",
          "write `float[B, dim]`, `int[B]` or `bool[B]`"),
    Habit("in x: float(B, 4)", r"^ (?:in|target|draw|state|out)\b.*: (\w+) ‸[(<{]", "A018", "a shape stands in square brackets",
          r"write `\1[B, dim]`"),
    Habit("in x: float[B] = 3", r"^ (in|target)\b.*:.*‸=", "A018", r"an `\1` has no value here",
          "an input that may be left out is `in x: float[B] if given(x)`; a number is a parameter"),
    Habit("in (x: float[B])", r"^ (in|target|draw) ‸\(", "A018", "no parentheses stand around a declaration", r"write `\1 x: float[B, dim]`"),
    Habit("in float[B, 4] x", r"^ (in|target) (?:float|int|bool)\[.*‸", "A018", "the type of an input stands behind its name",
          r"write `\1 x: float[B, dim]`"),
    Habit("inputs: x", r"^ (?:in|inputs?) ‸[:{]", "A018", "an input is declared by `in`", INPUT),
    Habit("outputs { y }", r"^ (?:out|outputs?|returns?) ‸[:{]", "A018", "a result is given by `out`", "write `out y = e`, a line for each"),
    Habit("target: int[B]", r"^ (?:target|targets|labels?) ‸[:{]", "A018", "a target is declared by `target`", "write `target y: int[B]`"),
    Habit("freeze: tower", r"^ (freeze|tie|require|assert|update|index|task) ‸:", "A018", r"no `:` stands after `\1`", r"write `\1 ...`"),
    Habit("freeze tower = true", r"^ freeze (\S+) ‸=", "A018", "what is frozen has no value", r"write `freeze \1`"),
    Habit("unfreeze tower", r"^ (unfreeze|thaw|detach|train|tune) ‸\w", "A018", r"`\1` is not a statement of a block",
          "what is trained stands in a stage: `train M { stage a { tune x } }`"),
    Habit("task \"a\" { }", r"^ (\w+) ‸\"(\w+)\"", "A018", "names stand without quotes", r"write `\1 \2`"),
    Habit("task { }", r"^ (task|entry) ‸{", "A018", r"a name is missing after `\1`", r"write `\1 name { ... }`"),
    Habit("task a, b { }", r"^ task \w+ ‸,", "A018", "each task has braces of its own", "write `for t in {a, b} { task t { ... } }`"),
    Habit("task a(x) { }", r"^ task \w+ ‸\(", "A018", "a task has no parameters", "leave them out: the names around it are known in it"),
    Habit("tie a.weight = b.weight", r"^ tie (\S+) ‸=? (\S+)", "A018", "what is tied stands apart by a comma", r"write `tie \1, \2`"),
    Habit("draw e: float[B] = normal(0, 1)", r"^ draw (\w+):.*‸=", "A018", "what is drawn is written with `~`",
          r"write `draw \1: float[B] ~ normal(0, 1)`"),
    Habit("state k = empty", r"^ state (\w+) ‸=", "A018", "a `state` needs a type", r"write `state \1: float[B, P, dim] = empty`"),
    Habit("state k: float[B, P]", r"^ state .*‸$", "A018", "a `state` says what it begins with", "write `= empty` behind it", "EQUAL"),
    Habit("update total += e", r"^ update (\w+) ‸[-+*/]", "A029", "`update` says the whole new value", r"write `update \1 = \1 + ...`"),
    Habit("update total", r"^ update (\w+) ‸$", "A018", "`update` needs a value", r"write `update \1 = ...`"),
    Habit("index layers in 0..3", r"^ index (\w+) ‸(?:in\b|:|of\b)", "A018", "an index set is given with `=`", r"write `index \1 = ...`"),
    Habit("h = a mod b", r"\w ‸(mod|rem)\b", "A018", r"`\1` is not in the language", "the rest of a division is `a % b`", "BINARY"),
    Habit("h = a div b", r"\w ‸div\b", "A018", "`div` is not in the language", "a whole quotient is `a // b`", "BINARY"),
    Habit("h = a not b", r"‸not\b", "A018", "`not` stands before one value", "write `a and not b`, or `a not in b`", "BINARY"),
)  # fmt: skip
"""Mistakes in statements and expressions; each text stands in the braces of a model."""

LAST: Final = (
    Habit("if a h = x", r"(?:^|\belse ) (if|for|repeat|model|block|fn|task|entry|stage|train)\b[^{}]* ‸[A-Za-z]", "A009",
          r"the body of `\1` stands in braces", "write `{ ... }` around it", "LBRACE"),
    Habit("h = f(a b)", r"([\w.]+|\"[^\"]*\") ‸(\w+|\")", "A018", "a comma or an operator is missing", r"write `,` between `\1` and `\2`",
          "COMMA BINARY !_NL"),
    Habit("h = 0.5 mean(x)", r"(?:= |[-+*/(,] )(\d[\w.]*) ‸(\w+)\(", "A018", "a product has an operator", r"write `\1 * \2(...)`"),
    Habit("h = 3 y = 4", r"\S ‸(\w+)\b(?: =(?!=)|\s+\w|\()", "A018", "two statements stand on one line", r"write `;` or a new line before `\1`",
          "_NL"),
    Habit("if a { b = 1 }, c = 3", r"‸,", "A018", "a comma ends nothing here", "write `;` or a new line in its place", "_NL"),
)  # fmt: skip
"""What is said where neither a row nor a rule of `explain.py` knows better; texts as those above."""

FIRST: Final = (*ITEMS, *STATEMENTS)
