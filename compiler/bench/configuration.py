"""What is compared: passes, how the model is run, and what it computes in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...dsl.diagnostics import closest
from ...dsl.record import record
from ..optimize.interface import Keeps
from ..optimize.pipelines import PIPELINES, pipeline
from ..optimize.registry import split

MODES = ("eager", "compile")
INT8, QUANTIZE = "int8", "quantize"
"""Linears in whole numbers of 8 bits, by the pass `quantize` behind the others, and the rest in float32."""
DTYPES = ("float32", "bfloat16", INT8, "float16", "float64")
SHORT = {"fp32": "float32", "f32": "float32", "bf16": "bfloat16", "fp16": "float16", "half": "float16", "f16": "float16", "fp64": "float64"}
"""What floats are called elsewhere: suggested, not taken."""
USUAL = ("none", "default", "max")
"""The pipelines that are compared where none is asked for."""
USUAL_DTYPES = ("float32", "bfloat16", INT8)


@record
class Configuration:
    """One way of running a model."""

    passes: str
    mode: str = "eager"
    dtype: str = "float32"

    @property
    def built(self) -> tuple[str, str]:
        """The passes that run, and the dtype of the floats."""
        return (f"{self.passes}, {QUANTIZE}", "float32") if self.dtype == INT8 else (self.passes, self.dtype)

    def __str__(self) -> str:
        return f"{self.passes} {self.mode} {self.dtype}"


REFERENCE = Configuration("none")
"""What the errors of all are measured against."""


def configurations(passes: Sequence[str], modes: Sequence[str], dtypes: Sequence[str]) -> tuple[Configuration, ...]:
    """Return every combination, what is said twice once; those that differ in their passes alone stand together."""
    found = (Configuration(each, mode, dtype) for dtype in dtypes for mode in modes for each in passes)
    return tuple(dict.fromkeys(found))


def pipelines(asked: Sequence[str], train: bool) -> tuple[str, ...]:
    """Return the lists of passes that texts ask for: several pipelines in one text, `none,default`, are one list each, any other text is one.

    Where nothing is asked, the usual ones that can be trained, if that is asked.  Raises ValueError for a pass, a pipeline or an option
    that there isn't, for `none` in a list of passes, and for passes that keep evaluation alone where the model is to be trained.
    """
    found = list(dict.fromkeys(each for text in asked for each in _lists(text)))
    evaluating = [each for each in found or USUAL if any(one.keeps is Keeps.EVALUATION for one in pipeline(each))]
    if not found:
        return tuple(each for each in USUAL if not train or each not in evaluating)
    if train and evaluating:
        there = ", ".join(f"`{each}`" for each in USUAL if all(one.keeps is Keeps.TRAINING for one in pipeline(each)))
        raise ValueError(f"`{evaluating[0]}` keeps numbers in evaluation alone, and can't be trained: {there} keep training")
    return tuple(found)


def _lists(text: str) -> Iterator[str]:
    names = split(text)
    if all(name in PIPELINES for name in names):
        yield from names
        return
    if "none" in names:
        raise ValueError(f"`none` with passes beside it adds nothing to `{text}`: ask for both, one after the other, to compare them")
    pipeline(text)
    yield text


def chosen(what: str, asked: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """Return the names in texts such as `eager,compile`, each once; ValueError with a suggestion for one that there isn't."""
    found = tuple(dict.fromkeys(name.strip() for text in asked for name in text.split(",")))
    for name in found:
        if name not in there:
            near = closest(name, there) or SHORT.get(name)
            meant = f", did you mean `{near}`" if near in there else ""
            raise ValueError(f"there is no {what} `{name}`{meant}: there are {', '.join(there)}")
    return found


def dtypes(asked: Sequence[str], train: bool) -> tuple[str, ...]:
    """Return the dtypes in texts such as `float32,int8`, or the usual ones; ValueError for one that there isn't, and for `int8` in training."""
    found = chosen("dtype", asked, DTYPES)
    if train and INT8 in found:
        raise ValueError(f"`{INT8}` is for evaluation, and can't be trained: take {', '.join(name for name in DTYPES if name != INT8)}")
    return found or tuple(name for name in USUAL_DTYPES if not train or name != INT8)
