"""Facts about any module that is trained, from real steps: what its losses reach, what moves, what is fed in vain."""
