"""What Python sees: the compiled model, its inputs and outputs, stages, weights."""
