"""Measuring a model in several configurations side by side."""
