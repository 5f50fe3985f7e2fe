"""Stages: what is trained and frozen, tasks and losses, settings, emitted values; and every error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .specs import CHAINS, FORKED, GATED, TIED, found, inside, program, stages


def first(selectors: str, spec: str = FORKED, extra: str = "") -> list[str]:
    """Return what one stage tunes."""
    return list(program(spec + stages(f"stage only {{ tune {selectors}; {extra} }}")).stages["only"].tuned)


# -------------------------------------------------------------------------------------------------------- selectors

HEAD = ["head.weight", "head.bias"]


@pytest.mark.parametrize(
    ("selectors", "count"),
    [
        ("all", 36),
        ("head", 2),
        ("understand.head", 2),
        ("lm.trunk", 10),
        ("lm.trunk[*]", 10),
        ("lm.trunk[0]", 5),
        ("lm.trunk[-1]", 5),
        ("lm.trunk[..1]", 5),
        ("lm.trunk[shared - 1..]", 5),
        ("lm.fork", 20),
        ("lm.fork[understand]", 10),
        ("lm.fork[tasks]", 20),
        ("lm.fork[tasks except {generate}]", 10),
        ("lm.fork[.., 2]", 10),
        ("lm.fork[*, depth - 1].up", 4),
        ("lm.**[generate]", 11),
        ("lm.**[generate].norm", 2),
        ("**.norm", 6),
        ("lm.*[generate]", 11),
        ("lm.trunk[*].{up, down}.weight", 4),
        ("{head, embed}", 3),
        ("**: RMSNorm", 8),
        ("lm.fork: Linear", 16),
        ("**: RMSNorm | Embedding", 9),
        ("all except lm", 4),
        ("all except **: Linear", 9),
        ("lm.trunk except **.bias", 6),
        ("(lm.trunk except **.bias): Linear", 4),
        ("head, embed", 3),
    ],
)
def test_selectors_in_a_stage(selectors: str, count: int) -> None:
    assert len(first(selectors)) == count


def test_what_a_stage_trains_and_what_stands_still_are_all_there_is() -> None:
    plan = program(FORKED + stages("stage only { tune lm.**[generate], head }")).stages["only"]
    everything = set(first("all"))
    assert set(plan.tuned) | set(plan.frozen) == everything
    assert not set(plan.tuned) & set(plan.frozen)
    assert plan.selected == (("lm.**[generate]", 11, 584), ("head", 2, 27))


@given(st.lists(st.sampled_from(["lm.trunk[0]", "lm.trunk", "embed", "head", "lm.last", "**: Linear"]), min_size=1, max_size=3), st.booleans())
def test_what_is_frozen_for_good_is_never_trained(selectors: list[str], tied: bool) -> None:
    text = inside(TIED if tied else FORKED, "freeze lm.trunk[0], embed") + stages(f"stage only {{ tune {', '.join(selectors)}, lm.fork }}")
    trained = {path for plan in _stages_or_none(text) for path in plan}
    frozen = {"embed.weight", *({"lm_head.weight"} if tied else ())}
    assert not any(path in frozen or path.startswith("lm.trunk.0.") for path in trained)


def _stages_or_none(text: str) -> list[tuple[str, ...]]:
    codes = {code for code, _, _ in found(text)}
    if "A513" in codes:
        return []
    return [plan.tuned for plan in program(text).stages.values()]


def test_a_name_that_stands_for_another_module_selects_that_one() -> None:
    text = CHAINS + "train Chains { stage s { tune scale }; stage t { tune scale[1] }; stage u { tune layer[1] } }"
    plans = program(text).stages
    assert plans["s"].tuned == plans["t"].tuned == ("one.weight", "one.bias")
    assert len(plans["u"].tuned) == 4


def test_a_member_of_one_set_is_no_member_of_another_with_the_same_numbers() -> None:
    plan = program(CHAINS + "train Chains { stage s { tune **[chains[1..]] } }").stages["s"]
    assert set(plan.tuned) == {"omega.1", *(f"layer.{i}.part.1.{w}" for i in (0, 1) for w in ("weight", "bias"))}


def test_a_tied_parameter_is_trained_under_both_names() -> None:
    assert first("lm_head", TIED) == ["embed.weight", "lm_head.weight"]
    assert not {"embed.weight", "lm_head.weight"} & set(first("all except embed", TIED))


def test_freezing_keeps_modules_as_paths() -> None:
    body = program(inside(FORKED, "freeze lm.trunk, lm.fork[generate], head.bias")).eval
    assert [freeze.path for freeze in body.frozen] == ["lm.trunk.0", "lm.trunk.1", "lm.fork.generate.2", "lm.fork.generate.3", "head.bias"]


def test_a_block_freezes_its_own_parts_wherever_it_is_used() -> None:
    text = inside(FORKED, "freeze fork[generate]", block=True) + stages("stage only { tune all }")
    assert not any(path.startswith("lm.fork.generate") for path in program(text).stages["only"].tuned)


# ------------------------------------------------------------------------------------------------- tasks and losses


def losses(text: str) -> dict[str, float]:
    return dict(program(GATED + f"train Pair {{ stage only {{ {text} }} }}").stages["only"].losses)


BALANCE = {f"gate.{i}.balance": 1.0 for i in range(3)}
MAIN = {"a.main": 1.0, "b.main": 1.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tune all", {**BALANCE, **MAIN, "side.balance": 1.0}),
        ("tune all; tasks b", {**BALANCE, "b.main": 1.0}),
        ("tune side; tasks c", {**BALANCE, "side.balance": 1.0}),
        ("tune all; tasks tasks", {**BALANCE, **MAIN}),
        ("tune all; losses main", MAIN),
        ("tune all; losses a.main", {"a.main": 1.0}),
        ("tune all; losses a", {"a.main": 1.0}),
        ("tune gate; losses **.balance", {**BALANCE, "side.balance": 1.0}),
        ("tune gate; losses gate[1..].balance", {k: v for k, v in BALANCE.items() if k != "gate.0.balance"}),
        ("tune gate; losses gate[-1].balance, b.main", {"gate.2.balance": 1.0, "b.main": 1.0}),
        ("tune all; losses main; weight main = 0.5; weight a.main = 4", {"a.main": 2.0, "b.main": 0.5}),
        ("tune all; losses main; weight main = weight_of", {"a.main": 2.0, "b.main": 0.5}),
        ("tune all; tasks b; weight **.balance = 0", {**dict.fromkeys(BALANCE, 0.0), "b.main": 1.0}),
    ],
)
def test_losses_of_a_stage(text: str, expected: dict[str, float]) -> None:
    assert losses(text) == expected


def test_tasks_are_kept_in_order() -> None:
    plans = program(GATED + "train Pair { stage s { tune all }; stage t { tune all; tasks b, a } }").stages
    assert (plans["s"].tasks, plans["t"].tasks) == (("a", "b", "c"), ("b", "a"))


# ------------------------------------------------------------------------------------------------ set, emit and use

STEPS = """train Pair {
  stage one { tune all; emit soft = a.logits }
  stage two { from one; tune head[a], adapter; set alpha = 0.3, extra = true; use soft; losses main, kd; weight kd = 2 }
}
"""


def test_a_stage_elaborates_the_model_anew() -> None:
    made = program(GATED + STEPS)
    plan = made.stages["two"]
    assert plan.settings == {"alpha": 0.3, "extra": True}
    assert plan.tuned == ("adapter.weight", "adapter.bias", "head.a.weight", "head.a.bias")
    assert plan.losses == {**MAIN, "c.kd": 2.0}
    assert set(made.variants) == {"two"}
    assert any(declared.name == "soft" for declared in made.variants["two"].eval.inputs)
    assert not any(declared.name == "soft" for declared in made.eval.inputs), "the model itself stays as it is"


def test_a_part_that_a_stage_lacks_stands_still() -> None:
    text = GATED.replace("extra: bool = false", "extra: bool = true") + "train Pair { stage s { tune head; set extra = false } }"
    plan = program(text).stages["s"]
    assert {"adapter.weight", "adapter.bias"} <= set(plan.frozen)


def test_defaults_follow_what_a_stage_sets() -> None:
    text = FORKED.replace("shared: int = 2", "shared: int = depth // 2") + stages("stage deep { tune all; set depth = 6 }")
    tuned = program(text).stages["deep"].tuned
    assert "lm.trunk.2.up.weight" in tuned and "lm.fork.generate.5.up.weight" in tuned


def test_emitted_values_reach_the_target_of_their_name() -> None:
    plans = program(GATED + STEPS).stages
    assert plans["one"].emits == {"soft": "a.logits"}
    assert plans["two"].uses == {"c.soft": "one.soft"}
    renamed = GATED + STEPS.replace("emit soft", "emit label").replace("use soft", "use soft = one.label")
    assert program(renamed).stages["two"].uses == {"c.soft": "one.label"}


def test_options_are_kept_for_the_caller() -> None:
    text = FORKED + stages(
        "stage s { tune all; options { lr = 1e-4; steps = 10 * depth; schedule = cosine(0.03); by = adamw; betas = [0.9, 0.95] } }"
    )
    options = program(text).stages["s"].options
    assert options == {"lr": 1e-4, "steps": 40, "schedule": "cosine(0.03)", "by": "adamw", "betas": [0.9, 0.95]}


def test_rest_in_eval_and_sources() -> None:
    text = (
        FORKED
        + '\nweights start for Two from "x" { embed <- "e" }\n'
        + stages('stage s { from start, "more.safetensors"; tune head, rest in eval }\nstage t { from s; tune all }')
    )
    plans = program(text).stages
    assert (plans["s"].rest_in_eval, plans["s"].sources) == (True, ("start", "more.safetensors"))
    assert (plans["t"].rest_in_eval, plans["t"].sources) == (False, ("s",))


# ----------------------------------------------------------------------------------------------------------- errors

ERRORS = [
    ("tune lm.frok", "A510", "`lm.frok` matches nothing: there is no `frok` in `lm`", "did you mean `fork`?"),
    ("tune lm.fork[undrestand]", "A510", "`lm.fork[undrestand]` matches nothing: `fork` has no member `undrestand`", "did you mean `understand`?"),
    ("tune lm.fork[understand, 7]", "A510", "`lm.fork[understand, 7]` matches nothing: `fork` has no member `7`", "its members are `2`, `3`"),
    ("tune lm.trunk[1..5]", "A510", "`lm.trunk[1..5]` matches nothing: `trunk` has no member `5`", "its members are `0`, `1`"),
    ("tune lm.trunk[2..1]", "A510", "`lm.trunk[2..1]` matches nothing: the range `2..1` runs backwards", "write the earlier member first"),
    ("tune lm.trunk[1..1]", "A510", "`lm.trunk[1..1]` matches nothing: the range `1..1` of `trunk` is empty", "its members are `0`, `1`"),
    ("tune lm.trunk[0, 1]", "A510", "`lm.trunk[0, 1]` matches nothing: `trunk` has 1 index, not 2", "leave the last one out"),
    (
        "tune lm.generate",
        "A510",
        "`lm.generate` matches nothing: there is no `generate` in `lm`",
        "`generate` is a member of `fork`, `last`: write `fork[generate]`",
    ),
    (
        "tune lm.trunk.weight",
        "A510",
        "`lm.trunk.weight` matches nothing: there is no `weight` in `trunk`",
        "there is one further down: write `**.weight`",
    ),
    ("tune embed.weight.x", "A510", "`embed.weight.x` matches nothing: there is no `x` in `embed.weight`", "nothing lies below it: it is a tensor"),
    ("tune embed[2]", "A510", "`embed[2]` matches nothing: `embed` is no family", "write `embed` alone"),
    ("tune lm.up", "A510", "`lm.up` matches nothing: there is no `up` in `lm`", "there is one further down: write `**.up`"),
    ("tune **[drow]", "A510", "`**[drow]` matches nothing: no path holds the member `drow`", "name the family: `lm.fork[generate]`"),
    ("tune **: Linaer", "A510", "the model holds no `Linaer`", "did you mean `Linear`?"),
    ("tune **: Conv2d", "A510", "the model holds no `Conv2d`", "it is made of `Embedding`, `Linear`, `Forked`, `Layer`, `RMSNorm`"),
    ("tune lm.last: Linear", "A510", "`lm.last: Linear` matches nothing: there is no `Linear` in it", "select by name, or from further up"),
    (
        "tune head except head",
        "A510",
        "`head except head` matches nothing: `except` takes away all of it",
        "leave the `except` out, or make it smaller",
    ),
    ("tune generate", "A510", "`generate` matches nothing: no parameter is made in the task `generate`", "name the module"),
    ("tune understand.embed", "A510", "`understand.embed` matches nothing: the task `understand` has no `embed`", "it has `head`"),
    ("tune lm.{trunk, frok}", "A510", "`lm.{trunk, frok}` matches nothing: there is no `frok` in `lm`", "did you mean `fork`?"),
    ("tune 3 + 4", "A525", "`3 + 4` is no selector", "a selector is a path, such as `lm.fork[generate]`, `layers[*].attn.{q, v}` or `**.norm`"),
    ("tune lm.trunk[:2]", "A525", "`:2` slices tensors, and a selector takes whole parameters", "cut a family by member: `layers[2..4]`"),
    ("tune lm.trunk[true]", "A525", "`true` is `true`, no member of a family", "an index is a member, a range of members or an index set"),
    ("tasks generate", "A523", "the stage `s` trains nothing", "write `tune all`, or name what it trains"),
    ("tune all; tasks generte", "A514", "there is no task `generte`", "did you mean `generate`?"),
    ("tune all; losses txt", "A515", "`txt` matches nothing: there is no `txt`", "did you mean `text`?"),
    ("tune all; losses generate.text", "A515", "`generate.text` matches nothing: the task `generate` has no `text`", "it has `image`"),
    (
        "tune all; tasks generate; losses text",
        "A515",
        "the loss `understand.text` belongs to the task `understand`, which the stage `s` leaves out",
        "add `understand` to the stage's `tasks`, or leave the loss out",
    ),
    ("tune all; tasks generate; weight text = 2", "A515", "no active loss of the stage `s` matches `text`", "the active losses are `generate.image`"),
    ('tune all; weight text = "a"', "A522", '`"a"` is no weight', "a weight is a number, or a map from tasks to numbers"),
    ("tune all; weight text = {generate: 2}", "A522", "the map has no weight for the task `understand`", "its keys are `generate`"),
    (
        "from strat; tune all",
        "A517",
        "there is no weights map or earlier stage `strat`",
        "write `weights strat for Two from ...`, or name an earlier stage",
    ),
    ("from later; tune all", "A517", "the stage `later` comes after `s`", "start from an earlier stage, or change their order"),
    ("from s; tune all", "A517", "the stage `s` can't start from itself", "name an earlier stage or a weights map"),
    ("from 3; tune all", "A517", "`3` is no place to start from", "name a weights map, an earlier stage, or a file in quotes"),
    ("tune all; set dpth = 3", "A201", "`Two` takes no `dpth`", "did you mean `depth`?"),
    (
        "tune all; set dim = 16",
        "A520",
        "with what the stage `s` sets, `embed.weight` has the shape [100, 16], not [100, 8] (and 34 more)",
        "a stage may switch parts on and off; one parameter keeps its shape in all stages",
    ),
    ("tune all; set depth = 5, depth = 6", "A521", "`depth` is set twice in the stage `s`", "keep one of them"),
    ("tune all; emit soft = understand.logts", "A518", "`understand.logts` is no output of the model", "did you mean `understand.logits`?"),
    ("tune all; emit soft = 3", "A518", "`3` is no output", "emit an output by its path: `emit soft = answer.logits`"),
    ("tune all; use labels", "A519", "no earlier stage emits `labels`", "write `emit labels = ...` in an earlier stage"),
    ("tune all; use mark", "A519", "the model has no target `mark` in the stage `s`", "its targets are `understand.labels`, `generate.next`"),
    ("tune all; use labels = mark", "A519", "`before.mark` is `float[B, 3]`, the target `labels` `int[B]`", "their types must be equal"),
    ("tune all; options { lr = 1; lr = 2 }", "A521", "the option `lr` is given twice in the stage `s`", "keep one of them"),
]


@pytest.mark.parametrize(("text", "code", "message", "help_"), ERRORS, ids=[e[0] for e in ERRORS])
def test_errors_of_a_stage(text: str, code: str, message: str, help_: str) -> None:
    spec = FORKED + stages(f"stage before {{ tune all; emit mark = understand.logits }}\nstage s {{ {text} }}\nstage later {{ tune all }}")
    assert found(spec) == [(code, message, help_)]


def test_training_what_is_frozen_for_good() -> None:
    spec = inside(TIED, "freeze embed, lm_head") + stages("stage s { tune lm_head }")
    assert found(spec) == [("A513", "all that `lm_head` selects is frozen for good", "leave it out, or take the `freeze` away")]


def test_training_what_no_loss_reaches_is_a_warning() -> None:
    spec = FORKED + stages("stage s { tune lm.fork[understand]; tasks generate }\nstage all { tune all }")
    assert found(spec) == [
        ("A516", "no loss of this stage depends on `lm.fork[understand]`: it gets no gradient", "the active losses are `generate.image`"),
    ]
    assert program(spec).stages["s"].tuned


def test_stages_have_different_names() -> None:
    assert found(FORKED + stages("stage s { tune all }\nstage s { tune head }")) == [
        ("A521", "the stage `s` is declared twice", "rename one of them")
    ]


@pytest.mark.parametrize(
    "text", ["for k in 0..3 { stage k { tune all } }", "stage k for k in 0..3 { tune all }", "repeat k in 0..3 { stage s { tune all } }"]
)
def test_stages_made_by_a_loop_are_reserved(text: str) -> None:
    assert found(FORKED + stages(text)) == [("A901", "stages made by a loop are reserved and not available yet", "write the stages one by one")]


@pytest.mark.parametrize(
    ("word", "rest"),
    [("train", "{ stage s { tune all } }"), ("preset", "{ dim = 3 }"), ("golden", '{ host "f" }'), ("weights", 'from "x" { embed <- "e" }')],
)
def test_plans_for_a_model_that_is_not_there(word: str, rest: str) -> None:
    named = f"{word} Tow {rest}" if word == "train" else f"{word} x for Tow {rest}"
    assert found(f"{FORKED}\n{named}") == [("A526", f"this `{word}` is for a model `Tow`, which is not in this file", "did you mean `Two`?")]


def test_all_errors_of_a_stage_come_in_one_run() -> None:
    spec = FORKED + stages("stage s { from nowhere; tune lm.frok, hed; tasks understnd; emit x = y }")
    assert [code for code, _, _ in found(spec)] == ["A514", "A510", "A510", "A518", "A517"]


@pytest.mark.parametrize(
    ("statement", "message", "help_"),
    [
        (
            "tie lm.trunk[0].up, embed.weight",
            "`lm.trunk[0].up` is 2 tensors, not one",
            "tie them one by one: `lm.trunk.0.up.weight`, `lm.trunk.0.up.bias`",
        ),
        (
            "tie lm.trunk[0].up.weight, embed.weight",
            "`lm.trunk.0.up.weight` has the shape [16, 8], `embed.weight` [100, 8]: they can't be one parameter",
            "tied parameters have the same shape",
        ),
        ("tie embed.weight, embed.weight", "`embed.weight` is tied to itself", "name two parameters"),
    ],
)
def test_errors_of_tie(statement: str, message: str, help_: str) -> None:
    assert found(inside(FORKED, statement)) == [("A630", message, help_)]


def test_renames_are_concrete_pairs() -> None:
    text = inside(FORKED, "renamed table -> embed\n  renamed lm.deep[i, t] -> lm.fork[t, i]")
    assert program(text).renamed == (
        ("table", "embed"),
        ("lm.deep.2.understand", "lm.fork.understand.2"),
        ("lm.deep.3.understand", "lm.fork.understand.3"),
        ("lm.deep.2.generate", "lm.fork.generate.2"),
        ("lm.deep.3.generate", "lm.fork.generate.3"),
    )


@pytest.mark.parametrize(
    ("statement", "message", "help_"),
    [
        ("renamed lm_head -> embed", "`lm_head` is still a path of the model", "the old name stands first: `renamed old -> new`"),
        ("renamed old -> embd", "`embd` matches nothing: there is no `embd`", "did you mean `embed`?"),
        ("renamed old[j] -> lm.trunk[i]", "`j` is no index variable of `lm.trunk[i]`", "index both sides alike: `renamed blocks[j] -> layers[j]`"),
        ("renamed old -> lm.trunk[i]", "`old` is renamed to both `lm.trunk.0` and `lm.trunk.1`", "keep one of them"),
        ("renamed old.* -> embed", "`old.*` is no single path", "name the old path, with the index variables of the new one"),
    ],
)
def test_errors_of_renamed(statement: str, message: str, help_: str) -> None:
    assert found(inside(FORKED, statement)) == [("A631", message, help_)]


def test_a_stage_that_only_emits_trains_nothing() -> None:
    plan = program(GATED + "train Pair { stage label { tasks a; emit soft = a.logits } }").stages["label"]
    assert (plan.tuned, plan.selected, plan.emits) == ((), (), {"soft": "a.logits"})


HANDED = """
model Handed {
  in x: float[B, 3]
  target p, q: float[B, 3]
  f = Linear(3, 3)
  out y = f(x)
  loss l = mse(y, p) + mse(y, q)
}
"""


@pytest.mark.parametrize(
    ("text", "code", "message", "help_"),
    [
        (
            "stage a { tune all; emit q = y }\nstage s { tune all; use p = q }",
            "A519",
            "`a.q` comes in as `q`, which is another input of the model",
            "emit it as `p`, and write `use p`",
        ),
        (
            "stage a { tune all; emit v = y }\nstage b { tune all; emit v = y }\nstage s { tune all; use p = a.v; use q = b.v }",
            "A519",
            "`a.v` and `b.v` both come in as `v`",
            "emit them under different names",
        ),
        (
            "stage a { tune all; emit v = y; emit w = y }\nstage s { tune all; use p = v; use p = w }",
            "A521",
            "the stage `s` uses two values for the target `p`",
            "keep one of them",
        ),
    ],
)
def test_what_is_used_has_a_name_of_its_own(text: str, code: str, message: str, help_: str) -> None:
    assert found(f"{HANDED}\ntrain Handed {{ {text} }}") == [(code, message, help_)]


def test_each_clause_of_a_stage_is_judged_by_itself() -> None:
    text = """model M(d: int = 4) { in x: float[B, d]; f = Linear(d, d); y = f(x); out y; loss fit = mean(y) }
train M { stage s { tune g, f; losses k, fit; weight q = 2; tasks t; from p; emit o = z; use u } }
preset a for M { e = 3; d = q }
preset b for M { d = 8; d = 9; assert params() == 3 }
preset c for M { d = 2; assert params() == 5 }
"""
    errors = ["A201 `M` takes no `e`", "A201 `d` is given twice", "A102 `q` is not defined", "A702 `params() == 5` does not hold",
              "A514 there is no task `t`", "A515 `k` matches nothing: there is no `k`", "A515 `q` matches nothing: there is no `q`",
              "A510 `g` matches nothing: there is no `g`", "A519 no earlier stage emits `u`", "A518 `z` is no output of the model",
              "A517 there is no weights map or earlier stage `p`"]  # fmt: skip
    assert [f"{code} {message}" for code, message, _ in found(text)] == errors


def test_a_preset_may_set_a_map_over_a_set_of_its_own() -> None:
    body = "{ index tasks = classes; in x: float[B, 4]; for t in tasks { head = Linear(4, classes[t]); out y = head(x) } }"
    assert found(f"model M(classes: map[tasks, int] = {{a: 2, b: 3}}) {body}\npreset p for M {{ classes = {{c: 4}}; assert params() == 20 }}") == []
