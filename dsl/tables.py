"""Writes `grammar.json`, the LALR tables of `grammar.lark`: run `python -m archloom.dsl.tables` after a change of the grammar."""

from __future__ import annotations

import json
import sys
from collections import deque
from typing import Any

from .parse.engine import STARTS, TABLES, build, serialize

Json = dict[str, Any]


def tables() -> str:
    """Return the tables as JSON text.  Raises Lark's errors on any conflict; needs `interegular`."""
    return json.dumps(canonical(serialize(build(STARTS))), separators=(",", ":"), sort_keys=True) + "\n"


def canonical(written: Json) -> Json:
    """Number rules, tokens and states in an order that the grammar alone decides (Lark's own comes from hashes of strings)."""
    data, memo = written["data"], written["memo"]
    table = data["parser"]["parser"]
    rank = ranks(memo)
    token_names: dict[int, str] = table["tokens"]
    order = {name: at for at, name in enumerate(sorted(token_names.values()))}
    place = numbering(table, token_names)
    states = {
        place[state]: {order[token_names[token]]: action(entry, rank, place) for token, entry in sorted(actions.items())}
        for state, actions in table["states"].items()
    }
    ends = {name: place[state] for name, state in table["end_states"].items()}
    starts = {name: place[state] for name, state in table["start_states"].items()}
    data["parser"]["parser"] = {
        **table, "tokens": {at: name for name, at in order.items()}, "states": states, "start_states": starts, "end_states": ends,
    }  # fmt: skip
    data["rules"] = references(data["rules"], rank)
    configuration = data["parser"]["lexer_conf"]
    configuration["terminals"] = references(configuration["terminals"], rank)
    configuration["ignore"] = sorted(configuration["ignore"])
    data["parser"]["parser_conf"]["rules"] = references(data["parser"]["parser_conf"]["rules"], rank)
    return {"data": data, "memo": {rank[old]: memo[old] for old in memo}}


def ranks(memo: dict[int, Any]) -> dict[int, int]:
    """Return the new number of each memoised rule and terminal."""
    ordered = sorted(memo, key=lambda old: json.dumps(memo[old], sort_keys=True))
    return {old: new for new, old in enumerate(ordered)}


def numbering(table: Json, token_names: dict[int, str]) -> dict[int, int]:
    """Return the new number of each state: breadth first from the starts, along tokens in alphabetical order."""
    place: dict[int, int] = {}
    waiting = deque(table["start_states"][name] for name in sorted(table["start_states"]))
    while waiting:
        state = waiting.popleft()
        if state in place:
            continue
        place[state] = len(place)
        moves = sorted((token_names[token], entry[1]) for token, entry in table["states"][state].items() if entry[0] == 0)
        waiting.extend(target for _, target in moves)
    return place


def action(entry: list[Any], rank: dict[int, int], place: dict[int, int]) -> list[Any]:
    """Return a shift or a reduction in the new numbers."""
    kind, argument = entry
    return [0, place[argument]] if kind == 0 else [1, {"@": rank[argument["@"]]}]


def references(listed: list[Json], rank: dict[int, int]) -> list[Json]:
    """Return references to memoised objects, sorted, in the new numbers."""
    return [{"@": at} for at in sorted(rank[reference["@"]] for reference in listed)]


def main() -> int:
    """Write the tables and say so."""
    text = tables()
    TABLES.write_text(text, encoding="utf-8")
    print(f"wrote {TABLES.name} ({len(text) // 1024} KiB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
