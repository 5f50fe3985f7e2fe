"""Weights maps: where each tensor comes from, and every error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archloom.dsl.elaborate.rights import impossible
from archloom.dsl.inspector import Owned
from archloom.dsl.plans import WeightMap, WeightSource

from .specs import CHAINS, FORKED, TIED, found, program, weights

NAMES = ("norm.weight", "up.weight", "up.bias", "down.weight", "down.bias")


def read(rules: str, head: str = 'from "checkpoint"', spec: str = FORKED) -> WeightMap:
    return program(spec + weights(rules, head)).weights["start"]


def names(rules: str, head: str = 'from "checkpoint"', spec: str = FORKED) -> dict[str, str]:
    """Return the stored name of each target that has just one."""
    return {rule.target: rule.names[0] for rule in read(rules, head, spec).rules if len(rule.names) == 1}


def steps(right: str, left: str = "embed.weight") -> WeightSource:
    return read(f"{left} <- {right}").rules[0]


# ------------------------------------------------------------------------------------------------------------ rules


def test_a_module_takes_all_tensors_below_it() -> None:
    assert names('lm.trunk[0] <- "model.layers.0"') == {f"lm.trunk.0.{n}": f"model.layers.0.{n}" for n in NAMES}


def test_index_variables_run_over_all_members() -> None:
    made = names('lm.fork[t, i] <- "m.{t}.{i - shared}"')
    assert made == {f"lm.fork.{t}.{i}.{n}": f"m.{t}.{i - 2}.{n}" for t in ("understand", "generate") for i in (2, 3) for n in NAMES}


def test_a_member_is_a_member_and_no_variable() -> None:
    assert set(names('lm.fork[generate, i] <- "m.{i}"')) == {f"lm.fork.generate.{i}.{n}" for i in (2, 3) for n in NAMES}


def test_clauses_restrict_what_a_variable_runs_over() -> None:
    made = names('lm.fork[t, i] <- "a.{i}" for i in 2..3\nlm.fork[t, i] <- "b.{i - 3}" for i in 3..depth')
    assert made["lm.fork.generate.2.up.weight"] == "a.2.up.weight"
    assert made["lm.fork.generate.3.up.weight"] == "b.0.up.weight"


def test_a_clause_without_members_makes_no_rule() -> None:
    assert names('lm.trunk[i] <- "a.{i}" for i in 0..0') == {}


def test_maps_rename_members() -> None:
    rules = 'lm.last[t] <- "{n}.norm" where n = {understand: "u", generate: "g"}'
    assert names(rules) == {"lm.last.understand.weight": "u.norm.weight", "lm.last.generate.weight": "g.norm.weight"}
    assert names(rules.replace("{n}", "{n[t]}")) == names(rules)


def test_an_index_set_is_its_members() -> None:
    made = names('lm.fork[t, 2].norm <- "{tasks}.{t}" for t in tasks')
    assert made == {f"lm.fork.{t}.2.norm.weight": f"understand,generate.{t}.weight" for t in ("understand", "generate")}


def test_wildcards_carry_what_they_stand_for() -> None:
    assert names('lm.** <- "decoder.**"')["lm.fork.generate.2.up.bias"] == "decoder.fork.generate.2.up.bias"
    assert names('** <- "**"') == {target: target for target in names('** <- "**"')}
    assert names('lm.trunk[i].*.weight <- "l.{i}.*.w"') == {
        f"lm.trunk.{i}.{w}.weight": f"l.{i}.{w}.w" for i in (0, 1) for w in ("norm", "up", "down")
    }
    assert names('lm.**[generate] <- "g.**"')["lm.last.generate.weight"] == "g.last.generate.weight"
    assert names('**[chains[1..]] <- "**"', spec=CHAINS.replace("model Chains", "model Two"))["layer.0.part.1.bias"] == "layer.0.part.1.bias"


def test_except_leaves_tensors_to_other_rules() -> None:
    made = names('lm.trunk[i] except **.bias <- "a.{i}"\nlm.trunk[i].{up, down}.bias <- "b.{i}"')
    assert made["lm.trunk.1.up.bias"] == "b.1"
    assert made["lm.trunk.1.up.weight"] == "a.1.up.weight"


def test_a_file_for_each_member() -> None:
    made = read('lm.last[t] <- "norm"', 'from family "adapters/{t}"')
    assert made.sources == ("family:adapters/{t}",)
    assert [(rule.names, rule.file) for rule in made.rules] == [(("norm.weight",), f"adapters/{t}") for t in ("understand", "generate")]


def test_another_model_is_a_source() -> None:
    made = read('embed <- "embed"', "from Two(depth = 6)")
    assert made.sources == ("model:Two(depth = 6)",)
    assert made.rules[0].names == ("embed.weight",)


def test_what_no_rule_hits_is_listed_and_drops_are_kept() -> None:
    made = read('lm <- "lm"\nembed <- "e"\ndrop "rotary.**"')
    assert made.missed == ("lm_head.weight", "head.weight", "head.bias")
    assert made.drops == ("rotary.**",)
    assert not made.complete


def test_a_complete_map_fills_everything() -> None:
    assert read('** <- "**"', 'from "x" complete').missed == ()


def test_tied_parameters_are_filled_once() -> None:
    made = read('embed <- "e"', spec=TIED)
    assert "lm_head.weight" not in made.missed
    assert [rule.target for rule in read('** <- "**"', spec=TIED).rules if rule.target in ("embed.weight", "lm_head.weight")] == ["embed.weight"]


def test_a_second_rule_for_a_tied_parameter_is_a_warning() -> None:
    assert found(TIED + weights('embed <- "a"\nlm_head <- "b"')) == [
        ("A614", "`lm_head.weight` is tied to `embed.weight`, which another rule fills: this rule is not used for it", "leave one of the rules out")
    ]


# ------------------------------------------------------------------------------------------------------- right sides


@pytest.mark.parametrize(
    ("right", "stored", "done"),
    [
        ('"a"[0..100]', ("a",), (("slice", {"items": [[0, 100, None]], "on": 0}),)),
        ('"a"[vocab..2 * vocab, :8]', ("a",), (("slice", {"items": [[100, 200, None], [None, 8, None]], "on": 0}),)),
        ('"a"[3, ..., 0]', ("a",), (("slice", {"items": [3, None, 0], "on": 0}),)),
        ('transpose("a")', ("a",), (("transpose", {"dims": [0, 1], "on": 0}),)),
        ('transpose("a", -1, -2)', ("a",), (("transpose", {"dims": [-1, -2], "on": 0}),)),
        ('rearrange("a", "v (h c) -> v h c"[..])', (), ()),
        ('rearrange("a", "v h c -> v (h c)", h = 2)', ("a",), (("rearrange", {"pattern": "v h c -> v (h c)", "sizes": {"h": 2}, "on": 0}),)),
        ('reshape("a", [vocab, -1])', ("a",), (("reshape", {"shape": [100, -1], "on": 0}),)),
        ('concat("a", "b", dim = 1)', ("a", "b"), (("concat", {"dim": 1}),)),
        (
            'concat(transpose("a"), "b"[:4], dim = 1)',
            ("a", "b"),
            (("transpose", {"dims": [0, 1], "on": 0}), ("slice", {"items": [[None, 4, None]], "on": 1}), ("concat", {"dim": 1})),
        ),
        ("zeros", (), (("init", {"name": "zeros", "arguments": {}}),)),
        ("normal(std = 0.02)", (), (("init", {"name": "normal", "arguments": {"std": 0.02}}),)),
        ("0.5", (), (("init", {"name": "constant", "arguments": {"value": 0.5}}),)),
    ],
)
def test_right_sides(right: str, stored: tuple[str, ...], done: tuple[object, ...]) -> None:
    if "[..]" in right:
        assert found(FORKED + weights(f"embed.weight <- {right}"))[0][0].startswith("A")
        return
    made = steps(right)
    assert (made.names, made.steps) == (stored, done)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_what_is_called_impossible_is_impossible(shape: list[int], data: st.DataObject) -> None:
    """Compare with numpy on tensors that do give the shape: none of their steps may be refused."""
    import numpy

    own = Owned("w", (("w", ()),), tuple(shape), False, (), ())
    stored = numpy.zeros([size + data.draw(st.integers(0, 2)) for size in shape])
    cut = tuple(slice(0, size) for size in shape)
    assert stored[cut].shape == own.shape
    assert impossible(own, [("slice", {"items": [[0, size, None] for size in shape], "on": 0})]) is None
    assert impossible(own, [("reshape", {"shape": [*shape[:-1], -1], "on": 0})]) is None
    wrong = data.draw(st.integers(1, 9).filter(lambda n: n != shape[0]))
    assert impossible(own, [("slice", {"items": [[0, wrong, None]], "on": 0})]) is not None
    assert impossible(own, [("reshape", {"shape": [wrong, *shape[1:]], "on": 0})]) is not None
    assert impossible(own, [("reshape", {"shape": [*shape, 1], "on": 0})]) is not None


# ----------------------------------------------------------------------------------------------------------- errors

ALLOWED = "the right side is a name in quotes, one of `transpose`, `rearrange`, `reshape`, `concat` of names, or an initialiser"
HOLE = "a hole holds an index variable or arithmetic on one: `{i - 1}`"
WILD = "what `*` and `**` stand for on the left is put in for them on the right, in order"

ERRORS = [
    ('embd <- "a"', "A601", "`embd` matches nothing: there is no `embd`", "did you mean `embed`?"),
    ('lm.trunk[i] <- "a.{i}" for i in 0..5', "A601", "`lm.trunk[i]` matches nothing: `trunk` has no member `2`", "its members are `0`, `1`"),
    ('lm.trunk[i, j] <- "a"', "A601", "`lm.trunk[i, j]` matches nothing: `trunk` has 1 index, not 2", "leave the last one out"),
    (
        'lm.trunk[i] <- "a.{i}"\nlm.trunk[0] <- "b"',
        "A602",
        "two rules fill `lm.trunk.0.norm.weight`",
        "a tensor is filled once: narrow one of the rules, as in `lm.trunk[i] except lm.trunk[0]`",
    ),
    ('embed <- "a.{i}" for i in 0..2', "A602", "this rule fills `embed.weight` more than once", "write the variable of its `for` on the left, too"),
    ('embed <- "a.{i}"', "A604", "`{i}`: `i` is not defined", "the left side of this rule has no index variable"),
    ('lm.trunk[i] <- "a.{k}"', "A604", "`{k}`: `k` is not defined", "the index variables of this rule are `i`"),
    ('lm.trunk[i] <- "a.{i +}"', "A604", "`{i +}` can't be read: the line ends in `+`", HOLE),
    ('lm.trunk[i] <- "a.{i / 2}"', "A604", "`{i / 2}` is `1/2`, no text or whole number", HOLE),
    ('lm.trunk[i] <- "a.{i - 1}"', "A604", "`{i - 1}` is -1", "check the arithmetic: names of stored tensors hold no negative numbers"),
    ('lm.** <- "lm"', "A607", "1 `*` or `**` on the left, none in `lm`", WILD),
    ('embed <- "lm.**"', "A607", "no `*` or `**` on the left, 1 in `lm.**`", WILD),
    ('lm.last[t] <- "{n}" where n = 3', "A608", "`n` is no map", 'write `where n = {first: "a", second: "b"}`'),
    ('lm.last[t] <- "{n}" where n = {understand: "u"}', "A608", "the map `n` has nothing for t = generate", "its keys are `understand`"),
    (
        'embed <- "{n}" where n = {understand: "u"}',
        "A608",
        "the map `n` has nothing for this rule: it has no index variable",
        "its keys are `understand`",
    ),
    ('lm.trunk[i].{up, down}.weight <- "{n}" where n = {a: 1}', "A608", "the map `n` has nothing for i = 0", "its keys are `a`"),
    (
        'lm.fork[generat, i] <- "a.{i}"',
        "A613",
        "`generat` is no member here, so it is an index variable that runs over all members",
        "did you mean `generate`? (if it is meant as a variable, use a short name: `t`)",
    ),
    ("embed.weight <- zeross", "A606", "`zeross` is nothing that a tensor can come from", "did you mean `zeros`?"),
    ('embed.weight <- foo("a")', "A606", "`foo` is nothing that a tensor can come from", ALLOWED),
    ('embed.weight <- "a" + "b"', "A606", 'a tensor can\'t come from the string "ab"', ALLOWED),
    ('embed.weight <- concat("a", dim = 0)', "A606", "`concat` joins two stored tensors or more", 'write `concat("a", "b", dim = 0)`'),
    ('embed.weight <- concat("a", concat("b", "c"))', "A606", "a `concat` stands inside another one", "join all parts at once"),
    ('embed.weight <- concat("a", "b", axis = 0)', "A201", "`concat` takes no `axis` here", 'write `concat("a", "b", dim = 0)`'),
    ("embed.weight <- transpose(zeros)", "A606", "`zeros` is an initialiser, no stored tensor", "give the name of a stored tensor in quotes"),
    ('embed.weight <- rearrange("a", "a b")', "A606", "`rearrange` takes a pattern with one `->`", 'write `rearrange("kernel", "c h k -> (h k) c")`'),
    ('embed.weight <- reshape("a", 3)', "A606", "`reshape` takes a list of sizes, not `3`", 'write `reshape("kernel", [heads, -1])`'),
    ('embed.weight <- "a"[:0.5]', "A606", "`0.5` must be a whole number that is known here, not `0.5`", "sizes and positions are whole numbers"),
    (
        'embed.weight <- "a"[:50]',
        "A610",
        "`embed.weight` has the shape [100, 8], but the slice gives 50 entries in dimension 0",
        "check the pattern and the sizes",
    ),
    (
        'head.bias <- transpose("a")',
        "A610",
        "`head.bias` has the shape [3], but a transposed tensor has more dimensions than [3]",
        "check the pattern and the sizes",
    ),
    (
        'embed.weight <- rearrange("a", "a b c -> (a b c)")',
        "A610",
        '`embed.weight` has the shape [100, 8], but the pattern "a b c -> (a b c)" gives 1 dimension',
        "check the pattern and the sizes",
    ),
    (
        'embed.weight <- reshape("a", [-1])',
        "A610",
        "`embed.weight` has the shape [100, 8], but the new shape is [-1]",
        "check the pattern and the sizes",
    ),
    (
        'head.bias <- concat("a", "b", dim = 1)',
        "A610",
        "`head.bias` has the shape [3], but there is no dimension 1",
        "check the pattern and the sizes",
    ),
]


@pytest.mark.parametrize(("rules", "code", "message", "help_"), ERRORS, ids=[e[0] for e in ERRORS])
def test_errors_of_a_rule(rules: str, code: str, message: str, help_: str) -> None:
    assert found(FORKED + weights(rules)) == [(code, message, help_)]


@pytest.mark.parametrize(
    ("head", "rules", "code", "message", "help_"),
    [
        (
            "from 3",
            'embed <- "a"',
            "A609",
            "`3` is no source of weights",
            'write a folder, file or hub name in quotes, `family "adapters/{s}"`, or a model of this file',
        ),
        ("from Tow", 'embed <- "a"', "A609", "`Tow` is no source of weights", "did you mean `Two`?"),
        ('from family "adapters/{t}"', 'lm.trunk[i] <- "a"', "A609", "`{t}`: `t` is not defined", "the index variables of this rule are `i`"),
        ("from Two(dm = 16)", 'embed <- "embed"', "A201", "`Two` takes no `dm`", "did you mean `dim`?"),
        (
            "from Two(vocab = 100, dim = 8, depth = 4, shared = 2, ...)",
            'embed <- "embed"',
            "A201",
            "`...` hands nothing on to `Two`",
            "it stands for the parameters that both models have",
        ),
        ("from Two", 'embed <- "embd"', "A611", "`Two` has no parameter `embd.weight`", "did you mean `embed.weight`?"),
        (
            "from Two(dim = 16)",
            'embed <- "embed"',
            "A610",
            "`embed.weight` has the shape [100, 8], `embed.weight` of `Two(dim = 16)` [100, 16]",
            "cut, reshape or leave it to its initialisation",
        ),
        (
            'from "x" complete',
            'lm <- "lm"\nembed <- "e"',
            "A603",
            "no rule of `start` fills `lm_head.weight`, `head.weight`, `head.bias`",
            "write a rule for them, or leave `complete` out: they keep their initialisation then",
        ),
    ],
)
def test_errors_of_a_map(head: str, rules: str, code: str, message: str, help_: str) -> None:
    assert found(FORKED + weights(rules, head)) == [(code, message, help_)]


def test_a_family_of_files_stands_alone() -> None:
    wrong = ("A609", "a `family` source stands beside another", "write a map for each")
    assert found(FORKED + weights('lm.last[t] <- "norm"', 'from family "adapters/{t}", "base"')) == [wrong]


def test_dots_hand_on_what_both_models_have() -> None:
    rules = weights('lm.fork[t, i] <- "lm.trunk.{i}"', "from Two(shared = depth, ...)")
    made = program(FORKED + rules, params={"dim": 6}).weights["start"]
    assert made.rules[0].names == ("lm.trunk.2.norm.weight",)
    assert {code for code, *_ in found(FORKED + rules.replace(", ...", ""), params={"dim": 6})} == {"A610"}


def test_a_tied_parameter_of_another_model_goes_by_the_name_that_is_saved() -> None:
    made = read('embed.weight <- "lm_head.weight"', "from Two(depth = 6)", TIED)
    assert made.rules[0].names == ("embed.weight",)


def test_maps_have_different_names() -> None:
    spec = FORKED + weights('embed <- "a"') + weights('head <- "b"')
    assert found(spec) == [("A612", "the weights map `start` is declared twice", "rename one of them")]


def test_a_pickle_is_refused_by_its_name() -> None:
    text = (
        FORKED
        + weights('lm.last[t] <- "norm"', 'from family "adapters/{t}.PT"')
        + 'train Two { stage s { from "start.ckpt", "first.bin/"; tune all } }'
    )
    assert [(code, message) for code, message, _ in found(text)] == [
        ("A651", f"`{name}` is a pickle, and weights are read from safetensors only") for name in ("adapters/{t}.PT", "start.ckpt")
    ]


def test_the_loop_of_a_rule_runs_over_members() -> None:
    model = "model M { in x: float[B, 4]; index ls = 0..3; repeat i in ls carry x { layer = Linear(4, 4); x = layer(x) }; out y = x }\n"
    rule = 'weights start for M from "w" {{ layer[i] <- "l.{{i}}" for i in {} }}'
    assert found(model + rule.format("ls[..2]")) == []
    help = "the loop of a rule runs over members: `for i in 0..2`, or over an index set"
    assert found(model + rule.format("layer[..2]")) == [("A208", "can't run over `layer[..2]`: `i` would be a module, no member", help)]
