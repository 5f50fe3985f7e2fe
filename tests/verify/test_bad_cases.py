"""What `archloom verify` says of cases and clauses that don't fit, on the spec of docs/verify.md."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import archloom
from archloom.compiler.cli import run
from archloom.dsl.diagnostics import Failure

from .net_reference import SPEC, changed, failures

ROOT = Path(archloom.__file__).parent


def test_keys_that_no_clause_reads_are_told_beside_an_error(case: Path, tmp_path: Path) -> None:
    """Where the text has it, as a model of other sizes, and where the case has it."""
    told = "`golden authors` does not read {} of the configuration"
    spec = SPEC.replace("  param depth = config.num_layers\n", "")
    with pytest.raises(Failure) as caught:
        archloom.verify(spec, case)  # which has fewer layers
    assert [d.code for d in caught.value.diagnostics] == ["A653", "A664"]
    assert caught.value.diagnostics[-1].message == told.format("`num_layers`, `seed`")
    wide = changed(case, tmp_path / "wide", "config", lambda config: config.update(extra=1))
    with pytest.raises(Failure) as caught:
        archloom.verify(SPEC.replace("classes: int = 10) {", "classes: int = 10) {\n  require classes > 3"), wide)
    assert [(d.code, d.message) for d in caught.value.diagnostics] == [
        ("A701", "`classes > 3` does not hold"),
        ("A664", told.format("`seed`, `extra`")),
    ]


def test_limits_of_a_spec_are_the_callers(case: Path) -> None:
    with pytest.raises(Failure) as caught:
        archloom.verify(SPEC, case, limits={"operations": 1})
    assert [d.code for d in caught.value.diagnostics][:1] == ["A815"]


def test_what_a_clause_asserts_of_a_configuration(case: Path, tmp_path: Path) -> None:
    """Those of the clause that it starts from, too; all that is wrong is said at once."""
    spec = SPEC.replace("  param dim =", '  assert config.seed == 0 and config.module == "all"\n  assert not config.tied\n  param dim =')
    spec += "golden again for Net { from authors; assert config.num_layers < 2 }\n"
    tied = changed(case, tmp_path / "tied", "config", lambda config: config.update(tied=True, seed=3))
    report = archloom.verify(spec, changed(case, tmp_path / "free", "config", lambda config: config.update(tied=False)), golden="authors")
    assert report.ok and report.unread == ()
    with pytest.raises(Failure) as caught:
        archloom.verify(spec.replace("param dim =", "param dims ="), tied, golden="again")
    assert [(d.code, d.message, d.help) for d in caught.value.diagnostics] == [
        ("A620", "`Net` has no parameter `dims`", "did you mean `dim`?"),
        (
            "A663",
            '`golden again` is not for this case: `config.seed == 0 and config.module == "all"` does not hold',
            '`seed` is 3; `module` is "all"',
        ),
        ("A663", "`golden again` is not for this case: `not config.tied` does not hold", "`tied` is true"),
        ("A663", "`golden again` is not for this case: `config.num_layers < 2` does not hold", "`num_layers` is 2"),
    ]


def test_a_map_with_an_error_is_no_unknown_map(case: Path) -> None:
    spec = SPEC.replace('from "model.safetensors" {', 'from "model.safetensors" complete {').replace('  head <- "classifier"\n', "")
    spec = spec.replace("golden authors for Net {", "golden authors for Net {\n  weights official")
    assert failures(spec, case) == [("A603", "no rule of `official` fills `head.weight`, `head.bias`")]


def test_a_case_of_another_system_names_all_that_it_lacks(case: Path, tmp_path: Path) -> None:
    def rename(config: dict[str, Any]) -> None:
        config["width"], config["depth"] = config.pop("hidden_size"), config.pop("num_layers")

    assert failures(SPEC, changed(case, tmp_path / "other", "config", rename)) == [
        ("A104", "the map has no key `hidden_size`"),
        ("A104", "the map has no key `num_layers`"),
    ]


def test_weights_that_are_missing_misshapen_or_left_over_are_listed_at_once(case: Path, tmp_path: Path) -> None:
    def damage(tensors: dict[str, Tensor]) -> None:
        tensors["extra"] = tensors.pop("blocks.0.fc.bias")
        tensors["classifier.weight"] = tensors["classifier.weight"].T.contiguous()

    found = failures(SPEC, changed(case, tmp_path / "damaged", "weights", damage))
    assert [code for code, _ in found] == ["A653", "A654", "A655"]


def test_what_no_rule_fills_is_an_error(case: Path) -> None:
    spec = SPEC.replace('  head <- "classifier"\n', '  drop "classifier.**"\n')
    assert failures(spec, case) == [("A661", "no rule fills `head.weight`, `head.bias`")]


def test_keys_within_keys_are_read_and_told(case: Path, tmp_path: Path) -> None:
    def nest(config: dict[str, Any]) -> None:
        config["sizes"] = {"hidden": config.pop("hidden_size"), "eps": 1e-5}
        config["notes"] = {"a": 1, "b": 2}

    report = archloom.verify(SPEC.replace("config.hidden_size", "config.sizes.hidden"), changed(case, tmp_path / "nested", "config", nest))
    assert report.ok and report.unread == ("seed", "sizes.eps", "notes")


def test_inputs_that_nothing_reads_are_told(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = changed(case, tmp_path / "more", "inputs", lambda inputs: inputs.update(weights=inputs["features"].clone()))
    report = archloom.verify(SPEC, more)
    assert report.ok and report.idle == ("weights",)
    assert archloom.verify(SPEC, case).idle == ()
    (tmp_path / "net.arch").write_text(SPEC)
    assert run(["verify", str(tmp_path / "net.arch"), "--against", str(more)]) == 0
    assert capsys.readouterr().out.endswith("read by no clause: seed\n\ninputs that nothing reads: weights\n")


def test_inputs_that_are_missing(case: Path) -> None:
    assert failures(SPEC.replace('  in x <- "features"\n', ""), case) == [("A661", "nothing is given for the input `x`")]
    assert failures(SPEC.replace('"features"', '"feature"'), case) == [("A661", "the case has no input `feature`, for `x`")]


def test_a_file_without_a_clause_or_with_several(case: Path) -> None:
    head, clause = SPEC[: SPEC.index("golden")], SPEC[SPEC.index("golden") :]
    assert failures(head, case) == [("A660", "`<text>` has no `golden`")]
    other = clause.replace("golden authors", "golden others")
    assert failures(SPEC + other, case) == [("A660", "several `golden`s of `<text>` fit the case: `authors`, `others`")]
    assert archloom.verify(SPEC + other, case, golden="others").golden == "others"
    assert archloom.verify(SPEC + other.replace('"features"', '"pixels"'), case).golden == "authors"
    hosted = [
        (clause if name == "authors" else other).replace(" {", ' {\n  host "scalearn"', 1).replace('"features"', '"pixels"')
        for name in ("authors", "others")
    ]
    assert failures(head + "\n".join(part.replace('"labels"', '"marks"') for part in hosted), case) == [
        ("A660", "no `golden` of `<text>` fits the case: it stores no such inputs")
    ]
    assert failures(SPEC, case, golden="author") == [("A660", "`<text>` has no `golden author`")]


def test_values_of_a_module_called_twice(case: Path) -> None:
    spec = SPEC.replace("  head = Linear", "  again = layer[0](x)\n  head = Linear").replace("logits = head(x)", "logits = head(again)")
    assert failures(spec, case) == [("A661", "`layer.0.h` is no single value: `layer.0` is called 2 times in `Net`")]


def test_an_unknown_host(case: Path) -> None:
    [(code, message)] = failures(SPEC.replace("golden authors for Net {", 'golden authors for Net {\n  host "nobody"'), case)
    assert (code, message) == ("A661", "there is no host `nobody`")


def test_hosts_move_data_alone() -> None:
    """They are in one file, which has no matrix product and no part of a network."""
    tree = ast.parse((ROOT / "compiler" / "golden" / "hosts.py").read_text())
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
    }
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names}
    assert not names & {"nn", "functional", "F", "matmul", "mm", "bmm", "einsum", "linear", "tensordot", "addmm", "baddbmm", "softmax", "embedding"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.MatMult)]


def test_a_folder_that_is_no_case(case: Path, tmp_path: Path) -> None:
    assert failures(SPEC, tmp_path / "nowhere") == [("A662", f"there is no folder `{tmp_path / 'nowhere'}`")]
    assert [code for code, _ in failures(SPEC, tmp_path)] == ["A662", "A650", "A650", "A650"]
    broken = changed(case, tmp_path / "broken", "config", lambda config: None)
    (broken / "config.json").write_text("[1, 2")
    assert failures(SPEC, broken)[0][0] == "A662"
