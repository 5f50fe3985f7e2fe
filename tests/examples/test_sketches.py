"""The sketches are run: each is checked, compiled small, and trained for a step, plainly and in every stage of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.check import check_text
from archloom.compiler.claims import open_claims
from archloom.compiler.runtime.claims import check_claims
from archloom.compiler.runtime.compiling import compile_program
from archloom.compiler.runtime.extern import Extern
from archloom.compiler.sources import read_source
from archloom.compiler.summary import summarise
from archloom.dsl.diagnostics import Severity
from archloom.dsl.source import Source

from .sketch_sizes import FOLDER, RESERVED, TINY, UNTRAINED, sketch
from .training import step

CODES = {"A901", "A902"}


PRESETS = [
    (path.stem, name, model)
    for path in sorted(FOLDER.glob("*.arch"))
    for name, model in re.findall(r"^preset (\w+) for (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
]


def repeated(model: Any, dims: Mapping[str, int]) -> None:
    """Require that what a call draws is what is listed, and that given again it makes the call again."""
    inputs, before = model.example_inputs(**dims), {path: value.clone() for path, value in model.state_dict().items()}
    with torch.no_grad(), model.draws() as drawn:
        first = model(**inputs).loss
    assert {path: len(values) for path, values in drawn.items()} == {path: len(types) for path, types in model.draw_names().items()}
    model.load_state_dict(before)
    with torch.no_grad(), model.draws(drawn):
        assert torch.equal(model(**inputs).loss, first)
    model.load_state_dict(before)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", TINY)
def test_sketch_trains(name: str) -> None:
    tiny = TINY[name]
    torch.manual_seed(0)
    program = sketch(name)
    model = compile_program(program, extern=tiny.extern).train()
    reached, moved = step(model, model.example_inputs(**tiny.dims))
    parameters = {path: p for path, p in model.named_parameters()}
    assert parameters.keys() - reached == {path for path, p in parameters.items() if path.startswith(tiny.beyond) or not p.requires_grad}
    unread = tuple(path for path, _ in summarise(program, {}).unread)
    assert not [path for path in reached if path.startswith(unread)]
    assert moved & parameters.keys() <= reached and moved & reached
    repeated(model, tiny.dims)
    for stage in program.stages:
        chosen = model.stage(stage)
        tuned = {path for path, p in parameters.items() if p.requires_grad}
        assert tuned and sum(p.numel() for p in chosen.parameters()) == sum(parameters[path].numel() for path in tuned)
        reached, moved = step(model, model.example_inputs(**tiny.dims))
        assert reached and reached <= tuned, stage
        assert moved & reached and moved <= {*tuned, *chosen.plan.tuned}, stage


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, tiny in TINY.items() if tiny.beyond])
def test_an_audit_finds_what_no_loss_reaches(name: str) -> None:
    tiny = TINY[name]
    torch.manual_seed(0)
    model = compile_program(sketch(name), extern=tiny.extern)
    found = archloom.audit(model, model.example_inputs(**tiny.dims), steps=1)
    unreached = {path for finding in found.findings if "exactly zero" not in finding.message for path in finding.paths}
    assert unreached == {path for path, p in model.named_parameters() if path.startswith(tiny.beyond) and p.requires_grad}
    assert set(found.inputs.values()) == {"changes the results"}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("name", "preset", "model"), PRESETS)
def test_published_counts_hold(name: str, preset: str, model: str) -> None:
    program = load_program(FOLDER / f"{name}.arch", preset=preset, model=model)  # a count that does not hold is an error
    assert (program.name, program.preset) == (model, preset)


def test_what_a_sketch_claims_of_parts_holds() -> None:
    program = sketch("fit")
    assert len(check_claims(program, Extern(None, torch.float64))) == len(open_claims(program)) == 3


@pytest.mark.parametrize("name", RESERVED)
def test_only_a_reserved_construct_stops_the_others(name: str) -> None:
    waiting = RESERVED[name]
    source = read_source(FOLDER / f"{name}.arch")
    assert isinstance(source, Source)
    result = check_text(source, waiting.params, text=False)
    found = [d for d in result.diagnostics if d.severity is Severity.ERROR or d.code in CODES]
    assert {d.code for d in found} <= CODES
    assert [" ".join(d.span.text.split())[: len(text)] for d, text in zip(found, waiting.stops, strict=True)] == list(waiting.stops)


@pytest.mark.parametrize("name", UNTRAINED)
def test_sketch_without_a_loss_runs(name: str) -> None:
    tiny = UNTRAINED[name]
    model = compile_program(sketch(name), extern=tiny.extern)
    found = pytree.tree_leaves(model(**model.example_inputs(**tiny.dims)))
    assert found and all(torch.isfinite(value).all() for value in found)


def test_every_sketch_is_trained_or_says_what_stops_it() -> None:
    assert sorted([*TINY, *RESERVED, *UNTRAINED]) == sorted(path.stem for path in FOLDER.glob("*.arch"))
    assert len(TINY) >= 45


def test_the_list_of_the_sketches_says_how_each_one_stands() -> None:
    rows = [line.strip("| ").split(" | ") for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    states = {name.strip("`"): state.split()[0].strip(":;") for name, _, state in rows}
    assert states == {**dict.fromkeys(TINY, "trains"), **dict.fromkeys(RESERVED, "waits"), **dict.fromkeys(UNTRAINED, "runs")}
