"""The formatter keeps comments, blank lines and tabs that are put between any two tokens where the language takes them."""

from __future__ import annotations

from random import Random

import pytest

from archloom.dsl.format.text import format_text
from archloom.dsl.format.tokens import tokens
from archloom.dsl.parser import parse
from archloom.dsl.source import Source

from .spec_generator import Generator
from .test_format import FILES, bare, check

COMMENTS = ("# why", "#{ tight", "# a, b) ;", "#")
MOST = 2500
"""Characters of an item that is tried."""


def meaning(text: str) -> object:
    file = parse(Source("test.arch", text))
    return None if file.diagnostics else tuple(bare(item.tree) for item in file.items)


def commented(text: str, random: Random) -> str:
    """Return a text with a few comments, line ends and tabs between tokens."""
    places = [token.start for token in tokens(text)]
    for at in sorted(random.sample(places, min(len(places), random.choice((1, 1, 2, 3)))), reverse=True):
        comment = f"{random.choice(('  ', '', chr(10), chr(10) * 3, chr(9)))}{random.choice(COMMENTS)}\n"
        text = text[:at] + random.choice((comment, comment, comment, "\t", "\n\n")) + text[at:]
    return text


def tried(texts: list[str], times: int, random: Random) -> int:
    """Check texts with comments where their meaning is what it was; return how many these were."""
    kept = 0
    for text in texts:
        wanted = meaning(text)
        for _ in range(times):
            other = commented(text, random)
            if meaning(other) == wanted:
                check(other)
                kept += 1
    return kept


def items(text: str) -> list[str]:
    return [item.span.text + "\n" for item in parse(Source("test.arch", text)).items if len(item.span.text) < MOST]


def test_comments_in_the_files() -> None:
    random = Random(7)
    texts = [text for path in FILES for text in items(path.read_text(encoding="utf-8"))]
    assert tried(random.sample(texts, 25), 2, random) > 20


def test_comments_in_generated_specs() -> None:
    random = Random(11)
    assert tried([text for seed in range(2) for text in items(Generator(seed).spec(1)[0])], 2, random) > 5


@pytest.mark.slow
def test_comments_everywhere() -> None:
    random = Random(13)
    texts = [text for path in FILES for text in items(path.read_text(encoding="utf-8"))]
    texts += [text for seed in range(100, 130) for text in items(Generator(seed).spec(6)[0])]
    assert tried(texts, 1, random) > 300


@pytest.mark.parametrize("comma", ["", ","])
def test_a_remark_below_the_last_item_stays_there(comma: str) -> None:
    text = f"model M(\n  a: int = 4,\n  b: int = 3{comma}  # three\n  # c: int = 2\n) {{\n  in x: float[B, a + b]\n  out y = x\n}}\n"
    assert format_text(text) == text
