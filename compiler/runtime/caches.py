"""Caches by the words of their paths; an emitted file carries along what it calls."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def nested(states: dict[str, Tensor]) -> dict[str, Any]:
    """Return caches as the modules have them: `{"layer": {"0": {"k": ...}}}` for `{"layer.0.k": ...}`."""
    root: dict[str, Any] = {}
    for path, value in states.items():
        *above, last = path.split(".")
        level = root
        for word in above:
            level = level.setdefault(word, {})
        level[last] = value
    return root


def flattened(caches: dict[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """Return the caches of modules by their paths, which is what `nested` takes."""
    found: dict[str, Tensor] = {}
    for word, value in caches.items():
        if isinstance(value, Tensor):
            found[prefix + word] = value
        else:
            found |= flattened(value, f"{prefix}{word}.")
    return found
