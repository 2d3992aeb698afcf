"""Benchmark files, which are not part of the project; they may lie in a folder beside it."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_file(name):
    path = SHARED_DATA / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"benchmark file {name}.npz is not beside the project")
    return path
