"""The formatter: one layout for every file, with the meaning and every comment kept."""

from .layout import WIDTH
from .text import format_source

__all__ = ["WIDTH", "format_source"]
