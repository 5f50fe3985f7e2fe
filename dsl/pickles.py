"""Weights that are never read: pickles, known by their names."""

from __future__ import annotations

from .diagnostics import Diagnostic
from .source import Span

SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Of files that `torch.save` and `pickle` write."""


def is_pickle(name: str) -> bool:
    """Tell whether a file, or the index of a file's shards, holds a pickle by its name; a folder's may end in a slash.

    >>> is_pickle("pytorch_model.bin.index.json"), is_pickle("model.safetensors"), is_pickle("step.pt/")
    (True, False, False)
    """
    return name.lower().removesuffix(".index.json").endswith(SUFFIXES)


def refusal(name: str, span: Span) -> Diagnostic:
    """Return the error of reading a pickle."""
    help = "loading a pickle runs whatever code is in it: convert it once with `safetensors`, on a machine where that may happen"
    return Diagnostic("A651", f"`{name}` is a pickle, and weights are read from safetensors only", span, help=help)
