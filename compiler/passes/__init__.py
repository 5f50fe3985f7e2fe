"""The passes: one file each, found by lying here."""
