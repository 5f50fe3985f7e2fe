"""Claims about what depends on what, counts of parameters, presets."""

from __future__ import annotations

import pytest

from archloom.compiler.check import check_text
from archloom.dsl.program import Ref
from archloom.dsl.source import Source

from .specs import FORKED, TIED, found, inside, program

# ------------------------------------------------------------------------------------------------- ignores and uses

TRUE = [
    "assert understand.logits ignores lm.fork[generate]",
    "assert understand.logits ignores lm.**[generate]",
    "assert understand.logits uses lm.fork[understand]",
    "assert understand.logits uses lm.fork[understand, 3].up.weight",
    "assert understand.logits uses ids",
    "assert understand.logits ignores understand.labels",
    "assert understand.text uses understand.labels",
    "assert h ignores head",
    "assert h[generate] ignores h[understand]",
    "assert generate.image ignores understand.logits",
    "assert generate.logits uses embed.weight",
    "for t in tasks { for s in tasks except {t} { assert h[t] ignores lm.fork[s] } }",
    "for t in tasks { assert h[t] uses lm.last[t] }",
    "assert generate.logits[:, 0] ignores understand.labels[:2]",
]


@pytest.mark.parametrize("claim", TRUE)
def test_true_claims(claim: str) -> None:
    assert found(inside(FORKED, claim)) == []


def test_claims_inside_a_block_are_proved_on_its_own_body() -> None:
    true = "for t in tasks { for s in tasks except {t} { assert h[t] ignores fork[s] } }\n  assert h uses trunk\n  assert h[generate] uses x"
    assert found(inside(FORKED, true, block=True)) == []
    wrong = found(inside(FORKED, "assert h[generate] ignores trunk", block=True))
    way = (
        "it reads it by this way: `last.generate(...)`, which reads `fork.generate.3(...)`, which reads `fork.generate.2(...)`, "
        "which reads `trunk.1(...)`"
    )
    assert [(code, message) for code, message, _ in wrong] == [("A703", "`h[generate]` does not ignore `trunk`")]
    assert (wrong[0][2] or "").startswith(way)


FALSE = [
    (
        "assert understand.logits ignores lm.fork[understand]",
        "A703",
        "`understand.logits` does not ignore `lm.fork[understand]`",
        "it reads it by this way: `head(...)`, which reads `mean(...)`, which reads `lm(...).h.understand`",
    ),
    (
        "assert understand.logits ignores ids",
        "A703",
        "`understand.logits` does not ignore `ids`",
        "it reads it by this way: `head(...)`, which reads `mean(...)`, which reads `lm(...).h.understand`, which reads `embed(...)`, "
        "which reads the input `ids`",
    ),
    (
        "assert understand.logits uses lm.fork[generate]",
        "A704",
        "`understand.logits` does not use `lm.fork[generate]`",
        "no path leads from one to the other: check what it is computed from",
    ),
    (
        "assert lm ignores head",
        "A705",
        "`lm` is a module or parameter, not a value",
        "name a value on the left, such as an output: `assert y ignores head`",
    ),
    (
        "assert generate.logits ignores tasks",
        "A705",
        "`tasks` is the index set `tasks`: nothing depends on it",
        "name a value, an input, a module or a parameter",
    ),
    ("assert generate.logits ignores dim", "A705", "`dim` is `8`: nothing depends on it", "name a value, an input, a module or a parameter"),
    ("assert generate.logits ignores lm.frok", "A705", "`lm.frok` matches nothing: there is no `frok` in `lm`", "did you mean `fork`?"),
    ("assert generate.logits ignores depht", "A102", "`depht` is not defined", "did you mean `depth`?"),
    (
        "assert h[generate] + 1 uses ids",
        "A705",
        "`h[generate] + 1` is computed by the claim itself",
        "name a value of the model: bind it first, `y = ...`",
    ),
    (
        "assert generate.logits[:, 0] uses understand.labels[:2]",
        "A704",
        "`generate.logits[:, 0]` does not use `understand.labels[:2]`",
        "no path leads from one to the other: check what it is computed from",
    ),
    (
        "assert generate.logits[:, 3:3] ignores ids",
        "A706",
        "`generate.logits[:, 3:3]` is empty, so nothing can be tested on it",
        "name at least one position",
    ),
    ("assert generate.logits[:, :, :, 0] ignores ids", "A324", "`index`: the index names 4 axes and `x` has 3", "`x` is float[B, S, 100]"),
]


@pytest.mark.parametrize(("claim", "code", "message", "help_"), FALSE, ids=[c[0] for c in FALSE])
def test_false_claims(claim: str, code: str, message: str, help_: str) -> None:
    assert found(inside(FORKED, claim)) == [(code, message, help_)]


def test_a_claim_about_parts_stays_open() -> None:
    claims = (
        "assert generate.logits[:, 0] ignores ids[:, 1:]\n  for t in tasks { assert h[t][:, -1] uses ids }\n  assert h[generate][0] ignores embed"
    )
    made = program(inside(FORKED, claims))
    ids, embed = Ref(made.eval.inputs[0].node), "embed"
    assert [(c.relation, c.value.items, [o.source for o in c.others], c.others[0].items) for c in made.eval.claims] == [
        ("ignores", (slice(None), 0), [ids], (slice(None), slice(1, None))),
        ("uses", (slice(None), -1), [ids], ()),
        ("uses", (slice(None), -1), [ids], ()),
        ("ignores", (0,), [embed], ()),
    ]
    report = check_text(Source("spec.arch", inside(FORKED, claims))).report
    assert [line.split(", line")[0] for line in report if "open" in line] == [
        "  open: generate.logits[:, 0] ignores ids[:, 1:]",
        "  open: h[t][:, -1] uses ids in 2 calls",
        "  open: h[generate][0] ignores embed",
    ]


def test_a_broken_claim_points_at_both_sides() -> None:
    result = check_text(Source("spec.arch", inside(FORKED, "assert understand.logits ignores ids")))
    assert [(label.span.text, label.text) for label in result.diagnostics[0].labels] == [
        ("understand.logits", "this value"),
        ("ids", "depends on this"),
    ]


def test_a_claim_leaves_nothing_in_the_body() -> None:
    plain, claimed = program(FORKED), program(inside(FORKED, "\n".join(TRUE)))
    assert len(claimed.eval.nodes) == len(plain.eval.nodes)


# ----------------------------------------------------------------------------------------------------------- params

LAYER = 8 + (16 * 8 + 16) + (8 * 16 + 8)


@pytest.mark.parametrize(
    ("count", "spec"),
    [
        (f"params() == {2 * 800 + 6 * LAYER + 2 * 8 + 27}", FORKED),
        (f"params() == {800 + 6 * LAYER + 2 * 8 + 27}", TIED),
        ("params(all) == params()", TIED),
        ("params(embed, lm_head) == vocab * dim", TIED),
        ("params(embed, lm_head) == 2 * vocab * dim", FORKED),
        (f"params(lm.fork[generate], lm.last[generate]) == 2 * {LAYER} + dim", FORKED),
        ("params(**: RMSNorm) == 8 * dim", FORKED),
        ("params(lm.trunk except **: Linear) == 2 * dim", FORKED),
    ],
)
def test_counts_hold(count: str, spec: str) -> None:
    assert found(inside(spec, f"assert {count}")) == []


def test_counts_in_loops_and_blocks_are_of_what_stands_there() -> None:
    assert found(inside(FORKED, "for t in tasks { assert params(lm.last[t]) == dim }")) == []
    assert found(inside(FORKED, f"for t in tasks {{ assert params(fork[t]) == 2 * {LAYER} }}", block=True)) == []
    loop = FORKED.replace("      z = fork(z)", f"      z = fork(z)\n      assert params(fork) == {LAYER}")
    assert found(loop) == [], "inside the loop the bare name is this step's member"


def test_a_wrong_count_shows_both_sides() -> None:
    assert found(inside(FORKED, "assert params(embed) == 3")) == [
        ("A702", "`params(embed) == 3` does not hold", "the left side is 800, the right side 3")
    ]
    assert found(inside(FORKED, "assert params(embd) == 3")) == [("A510", "`embd` matches nothing: there is no `embd`", "did you mean `embed`?")]


# ---------------------------------------------------------------------------------------------------------- presets

SMALL = "\npreset small for Two {\n  dim = 4\n  assert params(embed) == 400\n  assert understand.logits ignores lm.fork[generate]\n}\n"


def test_the_facts_of_a_preset_hold_with_it() -> None:
    assert found(FORKED + SMALL, preset="small") == []
    assert program(FORKED + SMALL, preset="small").presets == {"small": {"embed": 400}}


def test_the_facts_of_every_preset_are_asked_where_no_other_arguments_are_given() -> None:
    wrong = [("A702", "`params(embed) == 401` does not hold", "the left side is 400, the right side 401")]
    assert program(FORKED + SMALL).presets == {"small": {"embed": 400}}
    assert found(FORKED + SMALL.replace("400", "401")) == wrong
    assert found(FORKED + SMALL.replace("400", "401"), preset="small") == wrong
    assert found(FORKED + SMALL.replace("400", "401"), params={"dim": 8}) == []


def test_a_parameter_that_the_body_binds_anew_keeps_its_value() -> None:
    text = "model M(n: int = 4) { in x: float[B, 4]; n = n + 1; f = Linear(4, n); out y = f(x); loss l = mean(y) }\n"
    assert found(text + "preset five for M { n = 5; assert params(f) == 30 }\ntrain M { stage s { set n = 4; tune f } }") == []


def test_a_preset_says_which_of_several_models_is_meant() -> None:
    one = "model A(dim: int = 4) { in x: float[B, dim]; out y = x }\nmodel B(wide: int) { in x: float[B, wide]; out y = x }\n"
    result = check_text(Source("spec.arch", one + "preset big for B { wide = 8 }"), preset="big")
    assert result.ok and list(result.programs) == ["B"]


def test_what_fails_with_the_settings_of_a_preset_is_found() -> None:
    spec = "model M(dim: int = 4) { in x: float[B, 4]; f = Linear(dim, 2); out y = f(x) }\npreset wide for M { dim = 8 }"
    [error] = check_text(Source("spec.arch", spec)).diagnostics
    assert (error.code, error.labels[-1].text) == ("A301", "in this use of `preset wide`")


def test_a_model_without_values_is_taken_with_each_preset() -> None:
    spec = "model M(dim: int) { in x: float[B, dim]; f = Linear(dim, 2); out y = f(x) }\npreset a for M { dim = 4 }\npreset b for M { dim = 8 }"
    result = check_text(Source("spec.arch", spec), presets=True)
    assert result.ok and list(result.programs) == ["M, preset a", "M, preset b"]
    assert [line for line in result.report if line.startswith("model")] == [
        "model M, preset a: 10 parameters in 2 tensors",
        "model M, preset b: 18 parameters in 2 tensors",
    ]
    [(code, message, help)] = found(spec)
    assert (code, message) == ("A202", "`M` needs a value for `dim`")
    assert help == "give it a default, `--param dim=...`, or choose a preset: `a`, `b`"


@pytest.mark.parametrize(
    ("text", "code", "message", "help_"),
    [
        ("preset p for Two { dm = 4 }", "A201", "`Two` takes no `dm`", "did you mean `dim`?"),
        ("preset p for Two { dim = 4; dim = 8 }", "A201", "`dim` is given twice", "keep one of them"),
        ("preset p for Two { dim = 4 }\npreset p for Two { dim = 8 }", "A640", "the preset `p` is declared twice", "rename one of them"),
    ],
)
def test_settings_of_every_preset_are_checked(text: str, code: str, message: str, help_: str) -> None:
    assert found(f"{FORKED}\n{text}\n") == [(code, message, help_)]


WORK = """extern block Far from "far.Far" { in x: float[..., 6]; out y: float[..., 6] }
model M(far: bool = false) {
  in x: float[B, S, 4]
  f, g = Linear(4, 6), Linear(6, 6)
  y = f(x)
  if far { away = Far(); y = away(y) }
  out y
  target t: int[B, S]
  loss e = cross_entropy(g(y), t)
}
preset p for M { COUNT }
"""


@pytest.mark.parametrize(
    ("count", "code", "message", "help"),
    [
        ("multiply_adds(B = 2, S = 3) == 7", "A702", "`multiply_adds(B = 2, S = 3) == 7` does not hold", "the left side is 144, the right side 7"),
        ("multiply_adds(B = 2) == 7", "A202", "`multiply_adds` needs a size for `S`", "write `multiply_adds(B = 2, S = 1)`"),
        ("multiply_adds(2) == 7", "A201", "`multiply_adds` takes no `2`", "its sizes are `B`, `S`"),
        ("multiply_adds(B = 2, S = 1, batch = 3) == 7", "A201", "`multiply_adds` takes no `batch`", "its sizes are `B`, `S`"),
        ("multiply_adds(B = 0.5, S = 1) == 7", "A203", "`0.5` is no size", "a size is a whole number"),
    ],
)
def test_wrong_counts_of_work(count: str, code: str, message: str, help: str) -> None:
    result = check_text(Source("m.arch", WORK.replace("COUNT", f"assert {count}")))
    assert [(d.code, d.message, d.help) for d in result.diagnostics] == [(code, message, help)]


def test_work_is_that_of_the_outputs_and_what_is_extern_is_not_known() -> None:
    assert check_text(Source("m.arch", WORK.replace("COUNT", "assert multiply_adds(B = 2, S = 3) == 2 * 3 * 4 * 6"))).diagnostics == ()
    result = check_text(Source("m.arch", WORK.replace("COUNT", "far = true; assert multiply_adds(B = 2, S = 3) > 0")))
    assert [(d.code, d.message) for d in result.diagnostics] == [("A203", "nobody knows what `Far` costs")]


@pytest.mark.parametrize("word", ["params()", "multiply_adds(B = 1)"])
def test_there_is_nothing_to_count_outside_of_models(word: str) -> None:
    result = check_text(Source("m.arch", f"n = {word}\n" + WORK.replace("COUNT", "far = false")))
    assert [(d.code, d.message) for d in result.diagnostics] == [("A203", f"there is nothing here for `{word.split('(')[0]}` to count")]
