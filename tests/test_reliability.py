"""The trials of benchmarks/reliability.py, a moment each; its options make them take hours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "reliability.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="processes are killed as on POSIX"),
    pytest.mark.skipif(not SCRIPT.exists(), reason="benchmarks are not installed"),
]


@pytest.mark.parametrize(
    ("trial", "options", "least"),
    [
        ("kills", ["--n", "5"], 5),
        ("files", ["--minutes", "0.25"], 100),
        ("threads", ["--minutes", "0.2"], 50),
        ("soak", ["--minutes", "0.1"], 50),
    ],
)
def test_a_trial_without_a_failure(tmp_path, trial, options, least):
    command = [sys.executable, str(SCRIPT), trial, *options, "--json", str(tmp_path / "found")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    (row,) = json.loads((tmp_path / "found").read_text()).values()
    assert row["failures"] == 0 and row["cases"] >= least
    assert row.get("globals as before", True)
    assert row.get("went on", 1) > 0
