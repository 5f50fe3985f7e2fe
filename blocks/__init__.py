"""The library: typed primitive operations in Python without torch, and `.arch` files over them."""
