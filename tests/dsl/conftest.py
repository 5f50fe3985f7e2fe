"""What tests of the elaborator share."""

from __future__ import annotations

from typing import Any

import pytest

from archloom.dsl.elaborate import kept, verdicts
from archloom.dsl.elaborate.context import Context
from archloom.dsl.parse import again


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Forget all that a process keeps of elaborations; return a list that grows by the name of each item that is elaborated."""
    names: list[str] = []
    enter = Context.enter

    def told(self: Context, name: str, item: Any) -> None:
        names.append(name)
        enter(self, name, item)

    monkeypatch.setattr(Context, "enter", told)
    monkeypatch.setattr(kept, "_kept", {})
    monkeypatch.setattr(verdicts, "_kept", {})
    monkeypatch.setattr(again, "_kept", {})
    return names
