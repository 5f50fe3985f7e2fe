"""What `bench` is made of: rounds in turn, quartiles, errors, bytes, ceilings, configurations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.bench import ceilings, timing
from archloom.compiler.bench.configuration import (
    DTYPES,
    INT8,
    MODES,
    REFERENCE,
    Configuration,
    chosen,
    configurations,
    dtypes,
    pipelines,
)
from archloom.compiler.bench.difference import largest
from archloom.compiler.bench.machine import computing_with, describe, device_of
from archloom.compiler.bench.memory import kept, peak, weights
from archloom.compiler.bench.run import REASON, reason
from archloom.compiler.bench.subject import Subject, Task
from archloom.compiler.bench.timing import Batch, Spread, batch, ratio, rounds, spread
from archloom.compiler.bench.traffic import traffic
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.summary import summarise

CPU = torch.device("cpu")
TEXT = """
model M(dim: int = 8) {
  in x: float[B, dim]
  for t in {kind, size} {
    task t {
      head = Linear(dim, 3)
      target label: int[B] in 0..3
      out logits = head(relu(x))
      loss error = cross_entropy(logits, label)
    }
  }
  entry last { in past: float[B, P, dim]; out y = past[:, -1] + x }
}
"""


# --------------------------------------------------------------------------------------------------------------- timing


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_is_timed_once_a_round_and_before_every_other_as_often_as_behind(count: int) -> None:
    order: list[int] = []

    def timer(number: int) -> Callable[[], float]:
        return lambda: order.append(number) or float(number)

    found = list(rounds([timer(number) for number in range(count)], 2 * count))
    assert found == [[float(number) for number in range(count)]] * (2 * count)
    by_round = [order[start : start + count] for start in range(0, len(order), count)]
    assert all(sorted(each) == list(range(count)) for each in by_round)
    for a, b in permutations(range(count), 2):
        assert sum(each.index(a) < each.index(b) for each in by_round) == count


def test_quartiles_and_ratios() -> None:
    assert spread([2.0]) == Spread(2.0, 2.0, 2.0)
    assert spread([4.0, 1.0, 3.0]) == Spread(3.0, 1.0, 4.0)
    found = ratio([1.0, 4.0, 9.0], [1.0, 2.0, 3.0])
    assert found == Spread(2.0, 1.0, 3.0)


def test_what_is_fast_is_called_several_times_for_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def seconds(call: Callable[[], object]) -> float:
        before = len(calls)
        call()
        return 0.001 * (len(calls) - before)

    monkeypatch.setattr(timing, "seconds", seconds)
    found = batch(lambda: calls.append(0))
    assert (len(calls), found.calls) == (3, 6)
    assert found() == pytest.approx(0.001) and len(calls) == 9
    assert Batch(lambda: calls.append(0), 1)() == pytest.approx(0.001)


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("ours", "reference", "error"),
    [
        ({"y": [1.0, 2.0]}, {"y": [1.0, 2.0]}, 0.0),
        ({"y": [1.0, 2.0], "z": [0.5]}, {"y": [1.0, 4.0], "z": [0.5]}, 0.5),
        ({"y": [0.25]}, {"y": [0.0]}, 0.25),
        ({"y": [float("nan"), float("-inf")]}, {"y": [float("nan"), float("-inf")]}, 0.0),
        ({"y": [float("nan")]}, {"y": [1.0]}, float("inf")),
        ({"y": [1, 2, 3, 4]}, {"y": [1, 2, 3, 5]}, 0.25),
        ({"y": [True]}, {"y": [False]}, 1.0),
        ({"y": [1.0, 2.0]}, {"y": [1.0]}, float("inf")),
        ({"y": [1.0]}, {"z": [1.0]}, float("inf")),
        ({"y": [1.0]}, {"y": [2.0], "z": [1.0]}, 0.5),
        ({"y": []}, {"y": []}, 0.0),
        ({"gradients.a": [1e-9], "gradients.b": [1.0]}, {"gradients.a": [2e-9], "gradients.b": [1.0]}, 1e-9),
    ],
)
def test_errors_are_relative_to_the_largest_entry(ours: dict[str, Any], reference: dict[str, Any], error: float) -> None:
    found = largest({name: torch.tensor(value) for name, value in ours.items()}, {name: torch.tensor(value) for name, value in reference.items()})
    assert found == pytest.approx(error)


# ---------------------------------------------------------------------------------------------------------------- bytes

A = torch.zeros(100)
TABLE = torch.zeros(1000, 4)


@pytest.mark.parametrize(
    ("call", "moved"),
    [
        (lambda: A + A, 3 * 400),
        (lambda: A.reshape(10, 10).mT, 0),
        (lambda: A[:1].expand(50) + A[:50], 4 + 200 + 200),
        (lambda: torch.nn.functional.embedding(torch.tensor([1, 2]), TABLE), 32 + 16 + 32),
        (lambda: A.double(), 400 + 800),
    ],
    ids=["read and written", "views", "expanded", "picked", "cast"],
)
def test_bytes_that_operations_move(call: Callable[[], Tensor], moved: int) -> None:
    assert traffic(call) == moved


def test_the_most_that_a_call_holds_at_one_time() -> None:
    x = torch.zeros(1 << 16)
    assert x.nbytes <= peak(lambda: x + 1, CPU) < x.nbytes + 1000
    assert 2 * x.nbytes <= peak(lambda: (x + 1) * 2, CPU) < 2 * x.nbytes + 1000
    assert 2 * x.nbytes <= peak(lambda: ((x + 1) * 2).exp(), CPU) < 2 * x.nbytes + 1000
    assert peak(lambda: x.reshape(256, 256), CPU) < 1000


def test_weights_are_counted_once_and_what_passes_keep_apart() -> None:
    text = "model M { in x: float[B, 4]; a, b = Linear(4, 2), Linear(4, 3); k = Parameter([4]); out y = a(x); out z = b(x); out w = x * exp(k) }"
    plain, packed, folded = (archloom.compile(text, optimize=passes).eval() for passes in ("none", "default", "max"))
    size = 4 * (2 * 4 + 2 + 3 * 4 + 3 + 4)
    for model in (plain, packed, folded):
        with torch.no_grad():
            model(x=torch.zeros(1, 4))
        assert weights(model) == size
    assert (kept(plain), kept(packed), kept(folded)) == (0, 0, 16)


def test_ceilings_are_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "LARGEST", 256)
    monkeypatch.setattr(ceilings, "TRIAD", 1 << 10)
    products = {dtype: ceilings.gemm(dtype, CPU) for dtype in ("float32", "bfloat16", INT8)}
    product, convolution = 2 * 256**3, 2 * 64 * 64 * 9 * 64 * 64
    assert {dtype: [probe.amount for probe in found] for dtype, found in products.items()} == {
        "float32": [product, convolution], "bfloat16": [product, convolution], INT8: [product, product],
    }  # fmt: skip
    assert all(probe.call() is not None for found in products.values() for probe in found)
    assert ceilings.triad(CPU).amount == 3 * 4 * 1024
    assert ceilings.rate(products[INT8], [[2.0, 9.0, 1.0], [0.5, 1.0, 1.0]]) == 4 * 256**3


# --------------------------------------------------------------------------------------------------------- what is asked


@pytest.mark.parametrize(
    ("asked", "train", "found"),
    [
        ([], False, ("none", "default", "max")),
        ([], True, ("none", "default")),
        (["none,default"], False, ("none", "default")),
        (["none", "cse, pack", "none"], True, ("none", "cse, pack")),
        (["default, fold_parameters(growth = 2)"], False, ("default, fold_parameters(growth = 2)",)),
    ],
)
def test_lists_of_passes(asked: Sequence[str], train: bool, found: tuple[str, ...]) -> None:
    assert pipelines(asked, train) == found


@pytest.mark.parametrize(
    ("asked", "train", "says"),
    [
        (["defualt"], False, "there is no pipeline `defualt`, did you mean `default`: there are none, "),
        (["cse,pakc"], False, "there is no pass `pakc`, did you mean `pack`: there are "),
        (["none,cse"], False, "`none` with passes beside it adds nothing to `none,cse`: ask for both, one after the other, to compare them"),
        (["none,max"], True, "`max` keeps numbers in evaluation alone, and can't be trained: `none`, `default` keep training"),
    ],
)
def test_passes_that_cannot_be_compared(asked: Sequence[str], train: bool, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        pipelines(asked, train)
    assert str(raised.value).startswith(says)


def test_every_combination_is_one_configuration() -> None:
    found = configurations(("none", "max"), chosen("mode", ["eager,compile", "eager"], MODES), chosen("dtype", ["float32"], DTYPES))
    assert list(map(str, found)) == ["none eager float32", "max eager float32", "none compile float32", "max compile float32"]
    assert configurations(("none", "none"), ("eager",), ("float64",)) == (Configuration("none", "eager", "float64"),)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("egaer", "there is no mode `egaer`, did you mean `eager`: there are eager, compile"),
        ("fast", "there is no mode `fast`: there are eager, compile"),
        ("", "there is no mode ``: there are eager, compile"),
    ],
)
def test_names_that_there_are_not(name: str, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        chosen("mode", [f"eager,{name}"], MODES)
    assert str(raised.value) == says


def test_the_short_names_of_dtypes_are_suggestions() -> None:
    for short, meant in (("fp32", "float32"), ("bf16", "bfloat16"), ("half", "float16")):
        with pytest.raises(ValueError, match=f"did you mean `{meant}`"):
            chosen("dtype", [short], DTYPES)


def test_whole_numbers_are_not_trained() -> None:
    assert dtypes([], False) == ("float32", "bfloat16", INT8) and dtypes([], True) == ("float32", "bfloat16")
    assert dtypes(["int8,float64"], False) == (INT8, "float64")
    with pytest.raises(ValueError, match="`int8` is for evaluation, and can't be trained: take float32, bfloat16, float16, float64"):
        dtypes([INT8], True)


@pytest.mark.parametrize("name", ["meta", "gpu", "cuda:99", "mps"])
def test_devices_that_cannot_be_measured_on(name: str) -> None:
    with pytest.raises(ValueError, match=rf"`{name}`"):
        device_of(name)


def test_threads_are_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    with computing_with(before + 1):
        assert describe(CPU).threads == before + 1
    assert torch.get_num_threads() == before


# -------------------------------------------------------------------------------------------------------------- subjects


def test_a_subject_evaluates_without_targets_and_trains_with_them() -> None:
    program = load_program(TEXT)
    evaluated, trained = (Subject(Task(program, sizes={"B": 5}, train=train), REFERENCE) for train in (False, True))
    assert set(evaluated.inputs) == {"x"} and set(trained.inputs) == {"x", "label"}
    assert evaluated.sizes() == trained.sizes() == {"B": 5}
    assert set(evaluated.values(evaluated.eager())) == {"kind.logits", "size.logits"}
    found = trained.values(trained.eager())
    assert {name for name in found if name.startswith("gradients.")} == {f"gradients.{name}" for name in trained.state}
    assert found["loss"] == found["losses.kind.error"] + found["losses.size.error"]
    expense = summarise(program, {"B": 5}).expense
    assert expense is not None and evaluated.expense() == expense


def test_subjects_compute_with_the_same_parameters_and_inputs() -> None:
    task = Task(load_program(TEXT), sizes={"B": 2})
    first = Subject(task, REFERENCE)
    other = Subject(task, Configuration("max", dtype="bfloat16"), first.state)
    assert other.inputs["x"].dtype is torch.bfloat16
    assert 0 < largest(other.values(other.eager()), first.values(first.eager())) < 0.02


def test_given_inputs_and_tasks_and_entries() -> None:
    program, x = load_program(TEXT), torch.full((3, 8), 2.0, dtype=torch.float64)
    cut = optimize(program, "none", tasks=["kind"]).program
    subject = Subject(Task(cut, sizes={"B": 3}, given={"x": x}), REFERENCE)
    assert torch.equal(subject.inputs["x"], x.float())
    assert set(subject.values(subject.eager())) == {"kind.logits"}
    whole, entry = (Subject(Task(program, entry=name, sizes=sizes), REFERENCE) for name, sizes in ((None, {}), ("last", {"P": 7})))
    assert 2 * subject.expense().multiply_adds / 3 == whole.expense().multiply_adds / whole.sizes()["B"]
    assert entry.sizes()["P"] == 7 and set(entry.values(entry.eager())) == {"y"}


def test_a_quantized_subject_has_let_go_of_its_floats() -> None:
    dim = 128
    task = Task(load_program(f"model M {{ in x: float[B, {dim}]; f = Linear({dim}, {dim}); out y = f(x) }}"), sizes={"B": 3})
    first = Subject(task, REFERENCE)
    for passes in ("none", "default", "max"):
        other = Subject(task, Configuration(passes, dtype=INT8), first.state)
        assert 0 < largest(other.values(other.eager()), first.values(first.eager())) < 0.02
        assert weights(other.model) == dim * dim + 4 * dim + 4 * dim, "whole numbers, their steps, the bias"
        assert kept(other.model) == dim * dim, "in the order of torch's operator, and as they are saved, since the weights were asked for"
        other.eager()()
        assert kept(other.model) == 0, "in the order of torch's operator alone"
        assert dim * dim < traffic(other.eager()) < 2 * dim * dim < traffic(first.eager())
        assert other.expense().multiply_adds == first.expense().multiply_adds == 3 * dim * dim


def test_nothing_to_train_is_an_error() -> None:
    subject = Subject(Task(load_program("model M { in x: float[B, 2]; out y = x + 1 }"), train=True), REFERENCE)
    with pytest.raises(ValueError, match="there is nothing to train: no output or loss depends on a parameter that isn't frozen"):
        subject.eager()()


def test_a_reason_is_a_line() -> None:
    assert reason(RuntimeError("no kernel\nfor this\n\nset VERBOSE=1")) == "no kernel for this"
    assert reason(RuntimeError()) == "RuntimeError"
    assert len(reason(RuntimeError("x" * 1000))) == REASON
