"""From syntax trees to typed bodies: names, static arithmetic, loops and families, calls, shapes."""
