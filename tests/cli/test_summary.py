"""`archloom summary`: what it prints, and its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archloom.compiler.cli import run

TWO = """\
model Two(dim: int = 8, depth: int = 3, vocab: int = 100) {
  in ids: int[B, S] in 0..vocab
  embed = Embedding(vocab, dim)
  h = embed(ids)
  repeat i in 0..depth carry h {
    layer = Linear(dim, dim)
    h = gelu(layer(h))
  }
  lm_head = Linear(dim, vocab, bias = false)
  tie embed.weight, lm_head.weight
  task words {
    target next: int[B, S] in 0..vocab
    out logits = lm_head(h)
    loss text = cross_entropy(logits, next)
  }
  task mood {
    target label: int[B] in 0..3
    mood_head = Linear(dim, 3)
    out score = mood_head(mean(h, dim = 1))
    loss error = cross_entropy(score, label)
  }
}

train Two {
  stage heads {
    tune mood_head
    tasks mood
  }
  stage all {
    tune all except embed
  }
}
"""


@pytest.fixture
def two(tmp_path: Path) -> str:
    path = tmp_path / "two.arch"
    path.write_text(TWO)
    return str(path)


def test_the_whole_table(two: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", two, "--size", "B=2", "--size", "S=5"]) == 0
    assert (
        capsys.readouterr().out
        == """\
Two: 1,043 parameters in 9 tensors

path       parameters   share
embed             800  76.7 %
layer.*           216  20.7 %
lm_head           800  76.7 %
mood_head          27   2.6 %

task   reaches  it alone  multiply-adds  activations
words    1,016         0         9.92 k      6.1 KiB
mood     1,043        27         1.97 k      2.3 KiB

stage  trained  frozen  tasks
heads       27   1,016  mood
all        243     800  words, mood

one evaluation: 9.97 k multiply-adds, 6.2 KiB of activations
"""
    )


def test_without_sizes_it_says_which_are_missing(two: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", two, "--size", "B=2"]) == 0
    assert capsys.readouterr().out.endswith("\ncost: add --size S=... for multiply-adds and activation memory\n")


def test_json_is_keyed_by_path(two: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", two, "--json", "--param", "depth=1", "--size", "B=1", "--size", "S=1"]) == 0
    document = json.loads(capsys.readouterr().out)["Two"]
    assert document["parameters"] == 899
    assert document["paths"]["layer.0.weight"] == {"shape": [8, 8], "dtype": "float", "size": 64}
    assert document["paths"]["lm_head.weight"]["tied_to"] == "embed.weight"
    assert document["tasks"]["mood"] == {"parameters": 899, "alone": 27, "multiply_adds": 64 + 24, "activation_bytes": 4 * (8 + 8 + 8 + 8 + 3)}
    assert document["stages"]["heads"] == {"trained": 27, "frozen": 872, "tasks": ["mood"], "losses": {"mood.error": 1.0}}
    assert document["sizes"] == ["B", "S"]


DEAD = """\
block Pair(dim: int) {
  in x: float[B, dim]
  left, right = Linear(dim, dim), Linear(dim, dim)
  out a = left(x)
  out b = right(x)
}

model Dead(depth: int = 3) {
  in x: float[B, 4]
  count = Buffer([], init = zeros)
  moved = Linear(4, 1)
  update count = count + mean(moved(x))
  judge, spare = Linear(4, 4), Sequential(Linear(4, 4), relu, Linear(4, 4))
  unused = spare(x)
  repeat i in 0..depth carry x {
    pair = Pair(4)
    both = pair(x)
    x = both.a
  }
  entry peek { out first = both[0].b }
  out y = x
  loss far = mean(judge(x))
}
"""


def test_what_nothing_reads_is_named_by_whole_modules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry reads one of the right halves, a loss the judge, and a buffer that moves what it moves by."""
    path = tmp_path / "dead.arch"
    path.write_text(DEAD)
    assert run(["summary", str(path)]) == 0
    assert (
        """
read by no output or loss  parameters
spare                              40
pair.1.right                       20
pair.2.right                       20
"""
        in capsys.readouterr().out
    )
    assert run(["summary", str(path), "--json", "--param", "depth=1"]) == 0
    assert json.loads(capsys.readouterr().out)["Dead"]["unread"] == {"spare": 40}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--size", "Q=2"], 1, "error: there is no open size `Q`; it has B, S"),
        (["--size", "B=two"], 2, "error: Invalid value for '--size': the size of `B` is a whole number, not `two`"),
        (["--depth", "0"], 2, "error: Invalid value for '--depth'"),
        (["--param", "dim=oops"], 1, "error[A"),
        (["--param", "dims=3"], 1, "did you mean `dim`?"),
        (["--preset", "paper"], 1, "error[A"),
        (["--model", "Three"], 1, "error[A"),
    ],
)
def test_what_is_refused(two: str, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", two, *arguments]) == code
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


def test_a_file_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "blocks.arch").write_text("block Id {\n  in x: float[B]\n  out y = x\n}\n")
    assert run(["summary", str(tmp_path / "blocks.arch")]) == 1
    assert "there is no model in" in capsys.readouterr().err


def test_what_the_file_counts_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.arch"
    path.write_text(TWO + "\npreset wide for Two { dim = 16; assert params(layer[0], mood_head) == 323 and params() == 2467 }\n")
    for choice in [], ["--preset", "wide"]:
        assert run(["summary", str(path), *choice]) == 0
        assert (
            "counted in preset wide  parameters\nlayer[0], mood_head            323\nall                          2,467\n" in capsys.readouterr().out
        )
        assert run(["summary", str(path), *choice, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["Two"]["presets"] == {"wide": {"layer[0], mood_head": 323, "": 2467}}


def test_what_is_extern_is_named_where_cost_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "soft.arch"
    path.write_text(
        'extern fn soft(x: float[B, 4]) -> float[B, 4] from "host:soft"\nmodel M { in x: float[B, 4]; f = Linear(4, 4); out y = soft(f(x)) }'
    )
    assert run(["summary", str(path), "--size", "B=2"]) == 0
    assert capsys.readouterr().out.endswith("one evaluation: 32 multiply-adds, 32 B of activations, without `soft`, of unknown cost\n")
    assert run(["summary", str(path), "--size", "B=2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["M"]["unknown"] == ["soft"]
