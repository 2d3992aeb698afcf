"""Data sets: a loader for split interaction files and a generator with a known best ranking."""

from ._generator import make_interactions
from ._npz import load_npz

__all__ = ["load_npz", "make_interactions"]
