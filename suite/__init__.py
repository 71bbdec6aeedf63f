"""Hallmark: score compressed or trained models into verifiable records."""

__version__ = "0.1.0"
