"""The language: text to tree, tree to meaning. Knows neither torch nor networkx."""
