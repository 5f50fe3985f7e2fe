"""Which weights of a model to quantize, and to what: measured on batches, under a target."""
