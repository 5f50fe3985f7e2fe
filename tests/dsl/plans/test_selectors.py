"""Selectors on trees made by hand: against a matcher that looks at one path at a time, by laws, and what a miss says."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import assume, given
from hypothesis import strategies as st

from archloom.dsl.holdings import Holding
from archloom.dsl.inspector import Owned
from archloom.dsl.members import member_text
from archloom.dsl.selection import Tree, matches, select
from archloom.dsl.selectors import Between, Deep, Either, Every, Exactly, Except, Item, Miss, OfKind, Path, Selector, Variable, Word
from archloom.dsl.source import NOWHERE
from archloom.dsl.types import SetAxis

Part = tuple[str, tuple[object, ...]]


def owned(*parts: Part, kinds: tuple[str, ...] = (), tasks: tuple[str, ...] = (), sets: tuple[tuple[SetAxis, ...], ...] = ()) -> Owned:
    path = ".".join(word for name, members in parts for word in (name, *map(member_text, members)))
    return Owned(path, parts, (2, 3), False, kinds, tasks, sets)


def listing(entries: Iterable[Owned]) -> Tree:
    return Tree(Holding.of(entries))


def word(name: str | None, *items: Item) -> Word:
    return Word(name, NOWHERE, items)


def path(*parts: Word | Deep) -> Path:
    return Path(parts, NOWHERE)


def is_(*values: object) -> Exactly:
    return Exactly(values, NOWHERE)


FORK = listing(
    [
        owned(("embed", ()), ("weight", ()), kinds=("Embedding",)),
        *(
            owned(("lm", ()), ("trunk", (i,)), (w, ()), ("weight", ()), kinds=("Lm", "Layer", k))
            for i in range(3)
            for w, k in (("q", "Linear"), ("norm", "Norm"))
        ),
        *(owned(("lm", ()), ("fork", (t, i)), ("q", ()), ("weight", ()), kinds=("Lm", "Layer", "Linear")) for t in ("see", "draw") for i in (3, 4)),
        owned(("head", ()), ("weight", ()), kinds=("Linear",), tasks=("draw",)),
    ]
)


def paths(selector: Selector, tree: Tree = FORK) -> list[str]:
    found = select(selector, tree)
    assert not isinstance(found, Miss), found
    return [tree.entries[n].path for n in sorted(found)]


def test_a_module_selects_everything_below_it() -> None:
    assert paths(path(word("lm"), word("trunk"))) == [f"lm.trunk.{i}.{w}.weight" for i in range(3) for w in ("q", "norm")]


def test_members_are_chosen_by_position_in_the_brackets() -> None:
    assert paths(path(word("lm"), word("fork", is_("draw")))) == ["lm.fork.draw.3.q.weight", "lm.fork.draw.4.q.weight"]
    assert paths(path(word("lm"), word("fork", Every(NOWHERE), is_(4)))) == ["lm.fork.see.4.q.weight", "lm.fork.draw.4.q.weight"]


def test_ranges_and_negative_numbers_count_by_member() -> None:
    assert paths(path(word("lm"), word("trunk", Between(1, None, False, NOWHERE)), word("q"))) == ["lm.trunk.1.q.weight", "lm.trunk.2.q.weight"]
    assert paths(path(word("lm"), word("trunk", Between(0, 1, True, NOWHERE)), word("q"))) == ["lm.trunk.0.q.weight", "lm.trunk.1.q.weight"]
    assert paths(path(word("lm"), word("trunk", is_(-1)), word("q"))) == ["lm.trunk.2.q.weight"]


def test_any_path_holds_a_member_at_any_depth() -> None:
    assert paths(path(word("lm"), Deep(NOWHERE, (is_("see"),)))) == ["lm.fork.see.3.q.weight", "lm.fork.see.4.q.weight"]
    assert paths(path(Deep(NOWHERE, (is_(3),)), word("q"))) == ["lm.fork.see.3.q.weight", "lm.fork.draw.3.q.weight"]


def test_a_literal_word_is_the_member_of_that_name_first() -> None:
    item = Exactly(("draw",), NOWHERE, literal="see")
    assert paths(path(word("lm"), word("fork", item, is_(3)))) == ["lm.fork.see.3.q.weight"]


def test_kinds_select_at_or_below() -> None:
    kind = (("Norm", NOWHERE),)
    assert paths(OfKind(path(Deep(NOWHERE)), kind, NOWHERE)) == [f"lm.trunk.{i}.norm.weight" for i in range(3)]
    assert paths(OfKind(path(word("lm"), word("trunk", is_(1))), kind, NOWHERE)) == ["lm.trunk.1.norm.weight"]
    assert isinstance(select(OfKind(path(word("lm"), word("fork")), (("Lm", NOWHERE),), NOWHERE), FORK), Miss), (
        "a kind further up is not in the selection"
    )


def test_a_task_selects_what_was_born_in_it() -> None:
    assert paths(path(word("draw"))) == ["head.weight"]
    assert paths(path(word("draw"), word("head"))) == ["head.weight"]
    assert isinstance(select(path(word("draw"), word("embed")), FORK), Miss)


def test_a_module_of_a_tasks_name_comes_first() -> None:
    tree = listing([owned(("draw", ()), ("weight", ())), owned(("head", ()), ("weight", ()), tasks=("draw",))])
    assert paths(path(word("draw")), tree) == ["draw.weight"]


def test_numbers_of_two_sets_are_different_members() -> None:
    chains, layers = SetAxis("chains", tuple(range(2))), SetAxis("0..depth", tuple(range(2)))
    entries = [owned(("layer", (i,)), ("part", (c,)), ("weight", ()), sets=((layers,), (chains,), ())) for i in range(2) for c in range(2)]
    item = Exactly((1,), NOWHERE, set=chains)
    assert paths(path(Deep(NOWHERE, (item,))), listing(entries)) == ["layer.0.part.1.weight", "layer.1.part.1.weight"]


def test_tied_parameters_are_one() -> None:
    tree = listing([owned(("a", ()), ("weight", ())), owned(("b", ()), ("weight", ())), owned(("c", ()), ("weight", ()))])
    tree.unite("a.weight", "b.weight")
    assert select(path(word("b")), tree) == select(path(word("a")), tree)
    assert paths(Except(path(), path(word("b")), NOWHERE), tree) == ["c.weight"]
    assert tree.spread([0]) == [0, 1]
    assert tree.covers([0]) == ["a", "b"]


def test_variables_are_bound_and_captures_kept() -> None:
    found = matches(path(word("lm"), word("fork", Variable("t", NOWHERE), Variable("i", NOWHERE)), word(None)), FORK)
    assert not isinstance(found, Miss)
    assert [({k: v[0] for k, v in m.bindings.items()}, m.captures) for m in found] == [
        ({"t": t, "i": i}, ("q",)) for t in ("see", "draw") for i in (3, 4)
    ]


def test_one_variable_twice_means_one_member() -> None:
    tree = listing([owned(("grid", (i, j)), ("weight", ())) for i in range(3) for j in range(3)])
    i = Variable("i", NOWHERE)
    found = matches(path(word("grid", i, i)), tree)
    assert not isinstance(found, Miss)
    assert [m.branch.path for m in found] == ["grid.0.0", "grid.1.1", "grid.2.2"]


# ------------------------------------------------------------------------------------------- against one path at a time

names = st.sampled_from(["a", "b", "c"])
named = names.flatmap(lambda name: st.tuples(st.just(name), st.tuples(*[st.integers(0, 2)] * "abc".index(name))))
"""`a` is no family, `b` has one index, `c` two: a name is one thing at one place."""


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Draw tensors at random paths; no tensor is also a module."""
    chosen: dict[str, Owned] = {}
    for parts in draw(st.lists(st.lists(named, min_size=1, max_size=3), min_size=1, max_size=8)):
        entry = owned(*parts, ("w", ()))
        chosen.setdefault(entry.path, entry)
    return listing(chosen.values())


items = st.one_of(
    st.just(Every(NOWHERE)),
    st.integers(0, 2).map(lambda v: Exactly((v,), NOWHERE)),
)
selector_parts = st.lists(
    st.one_of(
        st.builds(Word, st.one_of(names, st.none(), st.just("w")), st.just(NOWHERE), st.lists(items, max_size=2).map(tuple)),
        st.just(Deep(NOWHERE)),
        items.map(lambda item: Deep(NOWHERE, (item,))),
    ),
    min_size=1,
    max_size=4,
).map(lambda parts: Path(tuple(parts), NOWHERE))


def reference(parts: tuple[object, ...], entry: tuple[Part, ...]) -> bool:
    """Match a selector's parts against the start of one path, by trying everything."""
    if not parts:
        return True
    first, rest = parts[0], parts[1:]
    if isinstance(first, Deep):
        if first.items:
            return any(
                _holds(first.items, m) and any(reference(rest, entry[k:]) for k in range(i + 1, len(entry) + 1)) for i, (_, m) in enumerate(entry)
            )
        return any(reference(rest, entry[k:]) for k in range(len(entry) + 1))
    if not entry or not isinstance(first, Word):
        return False
    name, own = entry[0]
    fits = len(own) >= len(first.items) and all(_fits(i, m) for i, m in zip(first.items, own, strict=False))
    return (first.name is None or first.name == name) and fits and reference(rest, entry[1:])


def _fits(item: Item, member: object) -> bool:
    return isinstance(item, Every) or (isinstance(item, Exactly) and member in item.values)


def _holds(wanted: tuple[Item, ...], own: tuple[object, ...]) -> bool:
    return any(all(_fits(i, m) for i, m in zip(wanted, own[k:], strict=False)) for k in range(len(own) - len(wanted) + 1))


@given(trees(), selector_parts)
def test_the_tree_finds_what_a_look_at_each_path_finds(tree: Tree, selector: Path) -> None:
    wanted = frozenset(n for n, entry in enumerate(tree.entries) if reference(selector.parts, entry.parts))
    found = select(selector, tree)
    assert (frozenset() if isinstance(found, Miss) else found) == wanted
    assert not isinstance(found, frozenset) or found, "a selection is never empty"


@given(trees(), selector_parts, selector_parts)
def test_alternatives_and_except_are_union_and_difference(tree: Tree, one: Path, other: Path) -> None:
    left, right = select(one, tree), select(other, tree)
    assume(not isinstance(left, Miss) and not isinstance(right, Miss))
    assert isinstance(left, frozenset) and isinstance(right, frozenset)
    assert select(Either((one, other), NOWHERE), tree) == left | right
    difference = select(Except(one, other, NOWHERE), tree)
    assert (frozenset() if isinstance(difference, Miss) else difference) == left - right


@given(trees(), st.data())
def test_covering_paths_name_just_what_is_selected(tree: Tree, data: st.DataObject) -> None:
    chosen = data.draw(st.frozensets(st.integers(0, len(tree.entries) - 1)))
    cover = tree.covers(chosen)
    below = {n for n, entry in enumerate(tree.entries) for p in cover if entry.path == p or entry.path.startswith(f"{p}.")}
    assert below == set(chosen)
    assert not any(a != b and b.startswith(f"{a}.") for a in cover for b in cover), "no path lies below another"
