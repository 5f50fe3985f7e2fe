"""`archloom visualize`: another name of `draw`."""

from __future__ import annotations

import copy

from .draw import command as draw

command = copy.copy(draw)
command.short_help = "The same as draw."
