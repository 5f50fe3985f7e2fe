"""Pictures of models: a figure is read from a program, laid out and written as SVG, without any system program."""
