"""A program as one Python file that imports torch alone."""
