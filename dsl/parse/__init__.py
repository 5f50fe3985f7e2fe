"""Text to syntax tree, step by step: `scan` cuts a file, `engine` runs the tables, the builders make nodes, `explain` words the errors."""
