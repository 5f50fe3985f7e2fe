"""From bodies to torch.fx: one generated function for each body, shared by all its instances."""
