"""Texts about which `check` and the oracle once disagreed, with what both say of them now."""

from __future__ import annotations

import pytest

from archloom.compiler.check import check_text
from archloom.dsl.source import Source

from .oracle import Wrong, run_model
from .plans import judge_plans, plans_of
from .reading import read


def checked(text: str) -> str:
    """Return the first error of `check`, `runs` where there is none."""
    errors = [d for d in check_text(Source("spec.arch", text)).diagnostics if d.severity.value == "error"]
    return f"{errors[0].code} {errors[0].message}" if errors else "runs"


def run(text: str, **sizes: int) -> str:
    """Return what is wrong in a run of the model `M` in both modes, or what the oracle is in doubt about; `runs` where it runs."""
    source, doubts = Source("spec.arch", text), set[str]()
    try:
        file, plans = read(source), plans_of(source, "M")
        for training in (True, False):
            ran, body, frame = run_model(file, "M", sizes or {"B": 3}, training, {})
            judge_plans(plans, body, frame, file, {}, None)
            doubts |= ran.doubts
    except Wrong as wrong:
        return wrong.reason
    return next(iter(doubts), "runs")


STRETCH = "model M {{ index one = {{a}}; index two = {{b, c}}; in x: float[B, one]; in w: float[B, {}]; out y = x * w }}"
LENGTHS = """model M(n: int = 9) {{
  index texts = {{a, b}}
  in x[l in texts]: float[B, T[l]]
  {}
  e = Parameter([n])
  for l in texts {{ y = x[l] + e[:T[l]] }}
  out z = y[*]
}}"""
TAPS = "block Taps(n: int) { in x: float[B, 4]; repeat i in 0..n carry x { f = Linear(4, 4); x = f(x); out tap = x }; out y = x }\n"
ENTRY = """block Memory {{
  in x: float[B, S, 8]
  state seen: float[B, P, 8] = empty
  seen = append(seen, x, dim = 1)
  out y = x + mean(seen, dim = 1, keepdim = true)
}}
model M {{
  in x: float[B, S, 8]
  memory = Memory()
  y = memory(x)
  out y
  entry decode {{ {} }}
}}"""
TEXTS = [
    ("model M { in x: float[1, 4]; n = BatchNorm1d(4); freeze n; out y = n(x) }", "runs", "runs"),
    ("model M { in x: float[1, 4]; n = BatchNorm1d(4); out y = n(x) }",
     "A303 `n` can't run in training: each channel of `x` needs more than one value, as their variance is taken",
     "a batch norm of one value in training"),
    (STRETCH.format("1"), "runs", "runs"),
    (STRETCH.format("4"),
     "A301 `mul`: axis -1 of `a` and `b`, `[B, one]` and `[B, 4]`: the index set `one` is not `4`: it has one member, and never stretches",
     "an axis over a set of one member stretches"),
    (STRETCH.format("two"), "A301 `mul`: axis -1 of `a` and `b`, `[B, one]` and `[B, two]`: `one` and `two` are different index sets",
     "an axis over a set of one member stretches"),
    ("model M { in x: float[B, 4]; for i in 0..1 { h = x }; out y = stack(h[*], dim = 1) + zeros([B, 3, 4]) }",
     "A301 `add`: axis -2 of `a` and `b`, `[B, 0..1, 4]` and `[B, 3, 4]`: the index set `0..1` is not `3`: it has one member, and never stretches",
     "an axis over a set of one member stretches"),
    (LENGTHS.format("require all(T[l] <= n and T[l] > 1 for l in texts)"), "runs", "runs"),
    (LENGTHS.format("require all([T[l] <= n for l in texts if l != b])"), "runs", "runs"),
    (LENGTHS.format("require all(k < n for k in 0..12)"), "A701 `k < n` does not hold", "a fact doesn't hold"),
    (LENGTHS.format("assert all(T[l] <= n for l in texts)"), "A702 `T[l] <= n` is not proved", "runs"),
    (TAPS + "model M { in x: float[B, 4]; taps = Taps(0); r = taps(x); out y = r.y; out seen = r.tap[*] }", "runs", "runs"),
    (TAPS + "model M { in x: float[B, 4]; taps = Taps(0); r = taps(x); out y = r.tap[0] }",
     "A407 `0` is no member of `0..n`", "0 is no member of ()"),
    (TAPS + "model M { in x: float[B, 4]; taps = Taps(0); out y = taps(x) }",
     "A504 `y` can't be an output: it is a record of several results", "y can't be an output"),
    ("model M(n: int = 0) { in x: float[B, 4]; for i in 0..n { out y = x } }", "A502 `M` has no `out`", "nothing comes out"),
    ("model M(n: int = 0) { in x: float[B, 4]; out y = x; task a { for i in 0..n { out z = x } } }",
     "A502 the task `a` has neither an output nor a loss", "the task a gives nothing"),
    ("model M { in x: float[B, 4]; for i in 0..3 { h = x }; out y = h[1 < 2] }", "A407 `1 < 2` is no member of `0..3`",
     "True is no member of (0, 1, 2)"),
    ("model M { in x: float[B, 4]; for i in {true, 2} { h = x }; out y = h[2] }",
     "A408 an index set holds names, numbers or tuples of them, not `true`", "True is no member"),
    ("model M { in x: float[B, S]; out y = zeros([B, -S]) + mean(x) }",
     "A303 `zeros`: axis 1 of the result: `-S` is less than `0`, fails at S = 2", "a negative size in [3, -6]"),
    ("model M { in x: float[B, 4]; out y = expand(x, [-3, B, 4]) }", "A303 `expand`: axis 0 of the result: `-3` is less than `0`",
     "a negative size"),
    ("fn twice(x: float[1 * B]) { out y = 2.0 * x }\nmodel M { in x: float[B]; out y = twice(x) }", "runs", "runs"),
    ("fn less(x: float[N + 1], z: float[N]) { out y = x[1:] - z }\nmodel M { in x: float[S]; out y = less(x, x[1:]) }", "runs", "runs"),
    ("model M { in x: float[B, 4]; f = Linear(4, 4); out y = f(x) }\ntrain M { stage s { tune f; weight ** = 2 } }",
     "A515 `**` matches nothing: there is no loss", "a selector matches nothing"),
    (ENTRY.format("in x: float[B, 1, 8]; out next = y[:, 0]"), "runs", "runs"),
    (ENTRY.format("in x: float[B, 1, 7]; out next = y"),
     "A301 axis 2 of `x` of `Memory` (`float[B, 1, 8]`, given `float[B, 1, 7]`): `7` is not `8`", "x: 8 and 7"),
    (ENTRY.format("in x: float[B, 1, 8]; out next = y[:, 3]"), "A303 `index`: axis 1 of `x`, read at 3: `1` is less than `4`", "position 3 of 1"),
    (ENTRY.format("in x: float[B, 1, 8]; next = y"), "A502 the entry `decode` has no `out`", "the entry decode gives nothing"),
    ("model M { in x: float[B, 4]; repeat i in 0..2 carry x { f = Linear(4, 4); x = f(x) }; out y = x }\n"
     "weights start for M from \"w\" { f[i] except f <- \"b.{i}\" }",
     "A601 `f[i] except f` fills nothing: `except` takes away all of it", "except takes away all"),
]  # fmt: skip


SIGNAL = """model M {{
  in x: float[B, 4]
  for t in {{nli, qa}} {{ task t {{ f = Linear(4, 2); target label: int[B] in 0..2; out logits = f(x); loss main = cross_entropy(logits, label) }} }}
}}
train M {{ stage s {{ tune f; emit soft = {}.logits }} }}"""
TIED = """block Pair {
  in ids: int[B, S] in 0..9
  embed = Embedding(9, 4)
  head = Linear(4, 9, bias = false)
  tie embed.weight, head.weight
  out y = head(embed(ids))
}
model M { in ids: int[B, S] in 0..9; pair = Pair(); out y = pair(ids) + pair(ids); loss text = mean(y) }
train M { stage s { tune pair.SELECTED } }"""
TASK = """model M { in x: float[B, 4]; task arg { f = Linear(4, 2); out y = f(x); loss main = mean(y) } }
train M { stage s { tune SELECTED } }"""
PATCHES = "model M {{ in x: float[B, 6, 8]; out y = rearrange({}) }}"
MODES = (
    "model M {{ in x: float[B, 4]; far, near = Linear(4, 4), Linear(4, 4); if {} {{ out y = far(x) }} else {{ out y = near(x) }} }}\n"
    'weights w for M from "x.safetensors" {{ far <- "far"; near <- "near" }}'
)
LATE = """block Late(n: int) {{ in x: float[B, S]; require S > n; out y = x }}
model M {{ in x: float[B, S]; late = Late(4); places = Parameter([{}]); out y = late(x) + places[:S] }}"""
DEEP = """block Ad(Kind: block) {{ in x: float[B, 4]; up = Kind(4, 4); y = up(x); out y; loss small = mean(square(y)) }}
model M(n: int = 0, wide: bool = false) {{
  in x: float[B, 4]
  repeat i in 0..n carry x {{ ad = Ad(Linear); x = ad(x) }}
  if wide {{ side = Sequential(Conv1d(4, 4, 1), relu) }}
  more[i in 0..n] = Ad(Linear)
  for i in 0..n {{ z = more[i](x) }}
  head = Linear(4, 4)
  out y = head(x)
  loss main = mean(y)
  loss small = sum(losses({})[*])
}}
train M {{ stage s {{ tune {}, head; losses {}, main }} }}"""
KEYS = "model M {{ in x: float[B, 4]; classes = {}; task b {{ f = Linear(4, classes[{}]); out y = f(x) }} }}"
SHARED = """block Own {{ in x: float[B, 4]; f = Linear(4, 4); y = f(x); out y; loss small = mean(square(y)) }}
model M {{
  in x: float[B, 4]
  one, two = Own(), Own()
  p, q = one(x), two(x)
  task a {{ out y = p; loss main = mean(y) }}
  task b {{ out y = q; loss main = mean(y) }}
}}
train M {{ stage s {{ tune one; tasks a; weight {} = 0.5 }} }}"""
NO_KEY = "A408 the keys of a map are names, numbers, truths or tuples of them, not"
MORE = [
    (DEEP.format("**.small", "**.up", "**.small"), "runs", "runs"),
    (DEEP.format("ad[*].small", "**.up.weight", "ad"), "runs", "runs"),
    (DEEP.format("ad", "**: Ad", "all"), "runs", "runs"),
    (DEEP.format("ad", "**: Conv1d", "all"), "runs", "runs"),
    (DEEP.format("**.smal", "all", "all"), "A508 `**.smal` matches nothing: there is no `smal`", "a selector matches nothing"),
    (DEEP.format("ad", "**.un", "all"), "A510 `**.un` matches nothing: there is no `un`", "a selector matches nothing"),
    (DEEP.format("ad", "**.small", "all"), "A510 `**.small` matches nothing: there is no `small`", "a selector matches nothing"),
    (DEEP.format("ad", "**: Add", "all"), "A510 the model holds no `Add`", "no such kind"),
    (
        DEEP.replace("int = 0", "int = 2").format("**.up", "all", "all"),
        "A508 `**.up` matches nothing: there is no `up`",
        "a selector matches nothing",
    ),
    (DEEP.replace("int = 0", "int = 2").format("ad[1].small", "ad[0].up", "ad, small"), "runs", "runs"),
    ("model M { in x: float[B, S, 64]; in w: float[3, 64]; s = int8_scale(w); out y = int8_linear(x, int8_quantize(w, s), s) }", "runs", "runs"),
    ("model M { in x: float[B, S, 64]; in w: float[3, 64]; s = int4_scale(w, 32); out y = int4_linear(x, int4_quantize(w, s), s) }", "runs", "runs"),
    (
        "model M { in x: float[B, 4]; in w: float[3, 4]; out y = int8_linear(x, w, int8_scale(w)) }",
        "A305 `int8_linear`: `weight` is `float`, and must be int8",
        "weight is torch.float64",
    ),
    (
        "model M { in x: float[B, 4]; task a { out z: int[B]; out y = x } }",
        "A504 the output `z` is declared by its type alone, as only those of an `extern block` are",
        "only an extern block declares what comes out",
    ),
    (SIGNAL.format("nli"), "runs", "runs"),
    (SIGNAL.format("li"), "A518 `li.logits` is no output of the model", "no output is emitted"),
    (TIED.replace("SELECTED", "head: Linear"), "runs", "runs"),
    (TIED.replace("SELECTED", "embed: Linear"), "A510 `pair.embed: Linear` matches nothing: there is no `Linear` in it", "nothing of that kind"),
    (TASK.replace("SELECTED", "arg"), "runs", "runs"),
    (TASK.replace("SELECTED", "arg[0]"), "A510 `arg[0]` matches nothing: there is no `arg`", "a selector matches nothing"),
    (PATCHES.format('x = x, "b (h w) c -> b c h w", h = 2'), "runs", "runs"),
    (PATCHES.format('x, "b (x w) c -> b c x w", x = 2'), "runs", "runs"),
    (PATCHES.format('x, "b (h w) c -> b c h w", h = 2, h = 3'), "A201 `h` is given twice", "h is given twice"),
    (LATE.format(8), "runs", "runs"),
    ("model M { in x: complex[B]; out y = -x; out z = square(x) }", "runs", "runs"),
    (
        "model M { in x: float[B, 4]; f = Linear(4, 4); out y = f(x); loss fit = mean(y); loss push = 0.0 }\n"
        "train M { stage s { tune f; losses fit, push; weight push = 2 } }",
        "runs",
        "runs",
    ),
    (MODES.format("training"), "runs", "runs"),
    (MODES.format("not training"), "runs", "runs"),
    (SHARED.format("one.small"), "runs", "runs"),
    (SHARED.format("two.small"), "A515 no active loss of the stage `s` matches `two.small`", "no active loss is weighed"),
    (KEYS.format("{a: 2}", "b"), "A407 the map has no key `b`, a task", "the map has no key a Frame"),
    (KEYS.format("{a: 2}", "classes"), "A407 the map has no key `classes`, a map", "the map has no key {'a': 2}"),
    (KEYS.format("{(1, 2): 2}", "[1, 2]"), "runs", "runs"),
    (KEYS.format("{[x]: 2}", "1"), f"{NO_KEY} a list", "is no key"),
    (
        KEYS.format("{2 * x: 2 for i in 0..1}", "1"),
        f"{NO_KEY} a tensor `float[B, 4]`",
        "is no key",
    ),
    (LATE.format(4), "A309 no sizes meet both `S <= 4` and `S >= 5`", "a slice ends at 6 of 4"),
]


@pytest.mark.parametrize(("text", "said", "found"), [*TEXTS, *MORE])
def test_check_and_the_oracle_agree(text: str, said: str, found: str) -> None:
    assert (checked(text), run(text)) == (said, found)
