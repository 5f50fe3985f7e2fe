"""Each pair of the five founding mechanisms in one small file: it checks, it learns, and both mechanisms still hold what they promise."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import archloom
from archloom.compiler.check import CheckResult, check_text
from archloom.compiler.claims import open_claims
from archloom.compiler.runtime.compiling import compile_program
from archloom.compiler.runtime.outputs import flat
from archloom.dsl.program import Program
from archloom.dsl.source import Source

from ..emit.comparing import compare
from .training import step

FOLDER = Path(__file__).parents[2] / "examples" / "pairs"
MECHANISMS = ("fork", "chains", "fusion", "memory", "scaling")
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.arch"))}
STILL = re.compile(r"(\.key|k_proj)\.bias$|(expert\.\d+|head\.\w+)\.conv\.bias$")
"""What moves nothing: a bias on all keys of a softmax, and a bias that a batch norm takes away."""

SELF = {"fork_chains": "trunk", "fork_fusion": "fusion.layer", "fork_memory": "lm.trunk"}
"""Forks of a trunk that the file itself trains whole, and where its layers lie."""

LEAKS = {
    "fork_chains": ("y[read, c]", "y[read, 1]"),
    "chains_fusion": ("head(masked_mean(h[c],", "head(masked_mean(h[1],"),
    "chains_memory": ("mmoe(h[c],", "mmoe(h[1 if c == 0 else c],"),
    "chains_scaling": ("x[c] = y[c] + scale(adapters(y[c])[*])", "x[c] = y[c] + scale(adapters(y[1])[*])"),
}
"""A slip in each file of chains that lets a chain read a later one of the same width."""

DECODER = """import qwen2.Decoder
model Base {
  in ids: int[B, S] in 0..256
  in mask: bool[B, S]
  model = Decoder(256, 16, depth = 3, heads = 2, kv_heads = 1, ffn = 24)
  out y = model(ids, mask)
}
"""


def of(mechanism: str) -> list[str]:
    return [name for name in FILES if mechanism in name.split("_")]


@cache
def checked(name: str) -> CheckResult:
    return check_text(Source(str(FILES[name]), FILES[name].read_text(encoding="utf-8")))


def program(name: str) -> Program:
    (found,) = checked(name).programs.values()
    return found


@cache
def compiled(name: str) -> Any:
    torch.manual_seed(0)
    return compile_program(program(name), dtype=torch.float64)


def built(name: str) -> Any:
    """Return the model with its default sizes, in float64 and in eval mode; no parameter is zero."""
    torch.manual_seed(0)
    return shaken(copy.deepcopy(compiled(name))).eval()


def shaken(model: Any, path: str = "") -> Any:
    """Add noise to the parameters whose paths hold a pattern."""
    found = [p for name, p in model.named_parameters() if re.search(path, name)]
    assert found, path
    with torch.no_grad():
        for p in found:
            p.add_(0.3 * torch.randn_like(p))
    return model


def batch(model: Any) -> dict[str, Any]:
    """Return inputs of three samples, the last two of which end in padding."""
    given = model.example_inputs(B=3)
    for name, mask in leaves(given, "mask"):
        kept = torch.arange(mask.shape[1])[None] < torch.tensor([mask.shape[1], mask.shape[1] - 1, 2])[:, None]
        given["mask"] = kept if not name else {**given["mask"], name[0]: kept}
    return given


def leaves(given: Mapping[str, Any], name: str) -> list[tuple[tuple[Any, ...], Tensor]]:
    """Return an input's tensors with their members, none where the model has no such input."""
    value = given.get(name)
    return list(flat(value)) if isinstance(value, dict) else [] if value is None else [((), value)]


def answers(model: Any, given: Mapping[str, Any]) -> dict[tuple[Any, ...], Tensor]:
    """Return the outputs by task and name, without targets and without gradient."""
    known = {name: value for name, value in given.items() if name in {"ids", "mask", "image"}}
    with torch.no_grad():
        return dict(flat(model(**known)))


@contextmanager
def moved(model: Any, path: str) -> Generator[None]:
    """Let the parameters at a path be others for a while."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    shaken(model, path)
    yield
    model.load_state_dict(before)


def changed(model: Any, given: Mapping[str, Any], path: str) -> set[tuple[Any, ...]]:
    """Return the outputs that are no longer the same to the last bit with other parameters at a path."""
    before = answers(model, given)
    with moved(model, path):
        return {key for key, value in answers(model, given).items() if not torch.equal(value, before[key])}


def tasks(outputs: set[tuple[Any, ...]]) -> set[Any]:
    return {key[0] for key in outputs}


def test_they_are_the_ten_pairs() -> None:
    assert FILES.keys() == {f"{one}_{other}" for one, other in combinations(MECHANISMS, 2)}
    rows = re.findall(r"^\| `(\w+)\.arch` \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == list(FILES)


def test_each_checks_without_torch_and_without_a_word() -> None:
    code = "import sys; from archloom.compiler.cli import run; bad = run(['check', *sys.argv[1:]]); sys.exit(bad or 'torch' in sys.modules)"
    checked = subprocess.run([sys.executable, "-c", code, *map(str, FILES.values())], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", FILES)
def test_each_says_what_it_combines_and_trains_it(name: str) -> None:
    assert checked(name).diagnostics == ()
    assert program(name).stages and not open_claims(program(name))  # each claim is proved
    assert len(set(re.findall(r"arXiv (\d{4}\.\d{5})", FILES[name].read_text(encoding="utf-8").split('"""')[1]))) >= 2


@pytest.mark.parametrize("name", FILES)
def test_each_learns_in_whole_and_in_every_stage(name: str) -> None:
    model = built(name).train()
    parameters = dict(model.named_parameters())
    given = batch(model)
    model(**given).loss.backward()
    still = {path for path, p in parameters.items() if p.grad is None or p.grad.abs().max() < 1e-12}
    assert {path for path in still if not STILL.search(path)} == set()
    model.zero_grad(set_to_none=True)
    reached, went = step(model, given)
    assert reached == parameters.keys()
    for stage in program(name).stages:
        chosen = model.stage(stage)
        tuned = {path for path, p in parameters.items() if p.requires_grad}
        assert tuned and sum(p.numel() for p in chosen.parameters()) == sum(parameters[path].numel() for path in tuned)
        reached, went = step(model, {key: value for key, value in given.items()})
        assert reached == tuned, stage
        assert {path for path in went & parameters.keys() if not STILL.search(path)} == {path for path in tuned if not STILL.search(path)}, stage


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_its_emitted_file_is_the_same_model(name: str) -> None:
    compare(FILES[name])


@pytest.mark.parametrize("name", of("fork"))
def test_a_branch_is_its_task_s_alone(name: str) -> None:
    model = built(name)
    given = batch(model)
    every = answers(model, given).keys()
    for task in sorted(tasks({*every})):
        assert changed(model, given, rf"\bfork\.{task}\.") == {key for key in every if key[0] == task}
    assert changed(model, given, r"trunk\.|fusion\.layer\.") == every


@pytest.mark.slow
@pytest.mark.parametrize("name", SELF)
def test_branches_start_as_copies_of_one_trunk(name: str) -> None:
    depth = program(name).arguments["depth"]
    base: Any = archloom.compile(FILES[name], {"shared": depth})
    model: Any = archloom.compile(FILES[name], weights=base)
    state, whole = dict(model.named_parameters()), base.state_dict()
    forked = {path: re.fullmatch(r"(?:.*\.)?fork\.(\w+)\.(\d+)\.(.+)", path) for path in state}
    shift = program(name).arguments["shared"] if name == "fork_fusion" else 0  # there a branch counts its layers anew
    copies = {path: f"{SELF[name]}.{int(match[2]) + shift}.{match[3]}" for path, match in forked.items() if match}
    assert copies
    for path, source in copies.items():
        assert torch.equal(state[path], whole[source]), path
    assert len({id(p) for p in state.values()}) == len(state)  # copies, not ties
    unforked = {path for path in state if path not in copies} & whole.keys()
    assert all(torch.equal(state[path], whole[path]) for path in unforked)
    if name != "fork_memory":  # which remembers beside the branches
        given = batch(model)
        expected = answers(base.eval(), given)
        for key, value in answers(model.eval(), given).items():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_without_its_sources_a_scaled_fork_is_the_decoder_it_comes_from(tmp_path: Path) -> None:
    base: Any = archloom.compile(DECODER)
    base.save_weights(tmp_path)
    model: Any = archloom.compile(FILES["fork_scaling"], weights={"start": tmp_path}).eval()
    for path, value in model.named_parameters():
        if path.endswith("omega"):
            value.data.zero_()
    given = batch(model)
    rows: list[Tensor] = []
    model.lm_head.register_forward_pre_hook(lambda module, args: rows.append(args[0]))
    answers(model, given)
    with torch.no_grad():
        torch.testing.assert_close(rows[0], base.eval()(ids=given["ids"], mask=given["mask"]).y, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", of("chains"))
def test_a_chain_is_unmoved_by_later_ones(name: str) -> None:
    model = built(name)
    given = batch(model)
    every = answers(model, given).keys()
    chains = range(len(program(name).arguments["ratio"]))
    assert {key[-1] for key in every} == {*chains}
    for c in chains:
        assert changed(model, given, rf"^embed\.{c}\.") == {key for key in every if key[-1] >= c}


@pytest.mark.slow
@pytest.mark.parametrize("name", of("chains"))
def test_the_first_chain_is_a_whole_smaller_model(name: str) -> None:
    model, sizes = built(name), program(name).arguments
    share = sizes["ratio"][0]
    narrow = {key: sizes[key] * share // sum(sizes["ratio"]) for key in ("dim", "heads", "ffn")}
    small: Any = archloom.compile(FILES[name], {"ratio": [share], **narrow}, dtype=torch.float64).eval()
    whole = model.state_dict()
    small.load_state_dict({path: whole[path] for path in small.state_dict()})
    given = batch(model)
    expected = answers(model, given)
    for key, value in answers(small, given).items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "slip"), LEAKS.items(), ids=LEAKS)
def test_a_chain_that_reads_a_later_one_is_an_error(name: str, slip: tuple[str, str]) -> None:
    text = FILES[name].read_text(encoding="utf-8")
    assert text.count(slip[0]) == 1
    found = check_text(Source(name, text.replace(*slip)))
    assert {d.code for d in found.diagnostics} == {"A703"}


@pytest.mark.parametrize("name", of("fusion"))
def test_texts_of_two_lengths_are_read_together_without_their_padding(name: str) -> None:
    model = built(name)
    given = batch(model)
    ids, mask = given["ids"], given["mask"]
    assert len({value.shape[1] for value in ids.values()}) == 2

    def seen(new: Mapping[str, Tensor], kept: Mapping[str, Tensor] = mask) -> dict[Any, Tensor]:
        found = answers(model, {"ids": new, "mask": kept})
        return {key: value[kept[key[-1]]] if key[-1] in kept else value for key, value in found.items()}

    before = seen(ids)
    for text, other in (("tgt", "src"), ("src", "tgt")):
        padding = torch.where(mask[text], ids[text], (ids[text] + 7) % 256)
        assert not torch.equal(padding, ids[text])
        assert all(torch.equal(value, before[key]) for key, value in seen({**ids, text: padding}).items())
        first = torch.cat([(ids[text][:, :1] + 7) % 256, ids[text][:, 1:]], dim=1)
        found = seen({**ids, text: first})
        assert not any(torch.equal(value, before[key]) for key, value in found.items()), (text, other)
        longer = {**ids, text: torch.nn.functional.pad(ids[text], (0, 2), value=9)}
        found = seen(longer, {**mask, text: torch.nn.functional.pad(mask[text], (0, 2))})
        for key, value in found.items():
            torch.testing.assert_close(value, before[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", [pytest.param("add", marks=pytest.mark.slow), "replace"])
@pytest.mark.parametrize("name", of("memory"))
def test_a_memory_is_carried_read_and_written_for_its_task(name: str, rule: str) -> None:
    torch.manual_seed(0)
    model = shaken(archloom.compile(FILES[name], {"rule": rule}, dtype=torch.float64)).eval()
    given = batch(model)
    every = answers(model, given).keys()
    readers = {"edge"} if name == "memory_scaling" else set[str]()
    remembering = tasks({*every}) - readers
    first = min(int(path.split(".")[1]) for path, _ in model.named_parameters() if path.startswith("mmoe."))
    for task in remembering:
        own = {key for key in every if key[0] in {task, *readers}}
        assert changed(model, given, rf"^start\.{task}$") == own  # with `replace` by what is read alone
        assert changed(model, given, rf"^mmoe\.{first}\.gates\.{task}\.") == own
        if rule == "add":
            assert changed(model, given, rf"^mmoe\.{first}\.writes\.{task}\.") == own
    assert changed(model, given, rf"^mmoe\.{first}\.expert\.0\.") == every


@pytest.mark.parametrize("name", of("scaling"))
def test_only_scales_and_the_new_head_move(name: str) -> None:
    model = built(name).train()
    model.stage("transfer")
    _, went = step(model, batch(model))
    heads = "head.edge." if name == "memory_scaling" else ("head.", "lm_head.")
    learned = {path for path in model.state_dict() if path.startswith(heads) or path.endswith("omega")}
    assert went | {path for path in learned if STILL.search(path)} == learned


@pytest.mark.parametrize("name", of("scaling"))
def test_a_source_counts_as_much_as_its_scales_say(name: str) -> None:
    model = built(name)
    given = batch(model)
    every = answers(model, given).keys()
    pattern = r"(?:^start|\.gates|\.writes)\.{0}\b" if name == "memory_scaling" else r"\.adapter\.{0}\."
    members = list(dict.fromkeys(found for path, _ in model.named_parameters() for found in re.findall(pattern.format(r"(\w+)"), path)))
    readers = {key for key in every if key[0] == "edge"} if name == "memory_scaling" else {*every}
    assert all(changed(model, given, pattern.format(s)) >= readers for s in members)
    for path, value in model.named_parameters():
        if path.endswith("omega"):
            assert value.shape[0] == len(members)
            value.data[1] = 0.0
    assert [changed(model, given, pattern.format(s)) >= readers for s in members] == [True, False, True]
    assert not changed(model, given, pattern.format(members[1])) & readers


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fork_scaling", "chains_scaling", "fusion_scaling"])
def test_each_source_comes_from_a_file_of_its_own(name: str, tmp_path: Path) -> None:
    model: Any = archloom.compile(FILES[name])
    place = re.compile(r"^(.*\.)adapter\.(\w+)\.((?:down|up)\..*)$")
    files: dict[str, dict[str, Tensor]] = {}
    for path, value in model.state_dict().items():
        if match := place.match(path):
            layer = ".".join(re.findall(r"\b\d+\b", match[1]))
            tensors = files.setdefault(match[2], {})
            tensors[f"layers.{layer}.{match[3]}"] = torch.full_like(value, list(files).index(match[2]))
    for source, tensors in files.items():
        folder = tmp_path / "adapters" / source
        folder.mkdir(parents=True)
        save_file(tensors, folder / "adapter.safetensors")
    model = archloom.compile(FILES[name], weights={"adapters": tmp_path})
    loaded = [(match[2], value) for path, value in model.state_dict().items() if (match := place.match(path))]
    assert len(files) == 3 and loaded
    assert all((value == list(files).index(source)).all() for source, value in loaded)
