"""Colours, for light and for dark, as style sheet variables."""

from __future__ import annotations

FONT = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"

LIGHT = {
    "back": "#ffffff", "ink": "#1f2328", "dim": "#59636e", "line": "#6e7781", "box": "#f6f8fa", "edge": "#8c959f",
    "frame": "#f6f8fa", "rim": "#c8d1da", "cold": "#0a5fb4", "memory": "#fff5d6", "still": "#c0cad4", "side": "#b4bcc5",
}  # fmt: skip
DARK = {
    "back": "#0d1117", "ink": "#e6edf3", "dim": "#9198a1", "line": "#7d8590", "box": "#1b222c", "edge": "#6e7681",
    "frame": "#141a22", "rim": "#3d444d", "cold": "#79b8ff", "memory": "#3a3113", "still": "#4d5a68", "side": "#4c555f",
}  # fmt: skip
TASKS = (
    ("#c2410c", "#fff1e8", "#ff9d66", "#33200f"),
    ("#1d6fb8", "#e9f3fc", "#6cb6ff", "#11263b"),
    ("#1a7f4b", "#e8f6ee", "#5fd08f", "#11291c"),
    ("#8a3ffc", "#f3ebff", "#c297ff", "#261a3d"),
    ("#b8860b", "#fdf5dc", "#e3b341", "#30280d"),
    ("#bf3989", "#fdebf5", "#f778ba", "#341a2b"),
    ("#0f7f86", "#e3f6f7", "#56d4dd", "#0d292b"),
    ("#5b6b1f", "#f2f6df", "#b5cc5c", "#22280f"),
)
"""For each task: stroke and fill on light, stroke and fill on dark; more tasks than these begin anew."""


def style_sheet(theme: str, tasks: int, root: str) -> str:
    """Return the style sheet of a picture; `theme` is light, dark or auto, `root` the selector of the picture itself."""
    light, dark = _variables(LIGHT, tasks, 0), _variables(DARK, tasks, 2)
    first = f"{root} {{ {dark if theme == 'dark' else light} }}"
    media = f"@media (prefers-color-scheme: dark) {{ {root} {{ {dark} }} }}" if theme == "auto" else ""
    rules = [
        f"text {{ font-family: {FONT}; fill: var(--ink) }}",
        ".name, .frame, .model { font-weight: 600 }",
        ".op { font-weight: 400 }",
        ".kind, .type { fill: var(--dim) }",
        ".count { fill: var(--dim) }",
        ".back { fill: var(--back) }",
        ".box { fill: var(--box); stroke: var(--edge); stroke-width: 1.2 }",
        ".group { fill: var(--frame); stroke: var(--rim); stroke-width: 1.2 }",
        ".memory { fill: var(--memory); stroke: var(--edge); stroke-width: 1.2; stroke-dasharray: 5 3 }",
        ".gap { fill: none; stroke: var(--edge); stroke-width: 1.2; stroke-dasharray: 2 4 }",
        ".given { fill: var(--back); stroke: var(--edge); stroke-width: 1.2 }",
        ".wire { fill: none; stroke: var(--line); stroke-width: 1.3 }",
        ".lane { stroke-dasharray: 5 3 }",
        ".wire.side { stroke: var(--side); stroke-width: 1 }",
        ".head { fill: var(--line) }",
        ".head.side { fill: var(--side) }",
        ".still { stroke: var(--still); stroke-width: 1; fill: none }",
        ".flake { stroke: var(--cold); stroke-width: 1.3; stroke-linecap: round; fill: none }",
        ".off { opacity: 0.4 }",
        *(f".t{n} {{ fill: var(--fill{n}); stroke: var(--task{n}) }}" for n in range(min(tasks, len(TASKS)))),
        *(f"text.w{n} {{ fill: var(--task{n}) }}" for n in range(min(tasks, len(TASKS)))),
    ]
    scoped = [f"{root} {rule}".replace(", .", f", {root} .") for rule in rules]
    return "\n".join(filter(None, [first, media, *scoped]))


def _variables(colours: dict[str, str], tasks: int, at: int) -> str:
    named = dict(colours)
    for number, colour in enumerate(TASKS[:tasks]):
        named[f"task{number}"], named[f"fill{number}"] = colour[at], colour[at + 1]
    return "; ".join(f"--{name}: {value}" for name, value in named.items())
