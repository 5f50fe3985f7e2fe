"""Primitive operations, one file a theme; each file is found by being here."""
