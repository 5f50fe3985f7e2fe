"""Holding a model against reference tensors: `archloom verify`."""
