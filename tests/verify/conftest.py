"""What of the verified systems belongs to the quick suite: each stored case once, compiled, in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .net_reference import make

HERE = Path(__file__).parent
TOOL = ("test_tool.py", "test_bad_cases.py")


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the case of the spec of docs/verify.md."""
    return make(tmp_path_factory.mktemp("cases") / "one")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the rest as slow."""
    for item in items:
        if item.path.parent == HERE and item.path.name not in TOOL:
            call: Any = getattr(item, "callspec", None)
            chosen = call.params if call is not None else {}
            if chosen.get("dtype") != "float64" or chosen.get("source"):
                item.add_marker(pytest.mark.slow)
