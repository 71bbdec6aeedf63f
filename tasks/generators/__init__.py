"""Versioned, seeded generators of the embedded suite's data, and nothing else: NumPy and the standard library only."""
