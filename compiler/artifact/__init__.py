"""Compiled models as folders: weights as safetensors, and a manifest that says what made them."""
