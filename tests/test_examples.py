"""The examples run to their end, and leave their pictures."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = {
    "plot_01_time.py": (["--plot", "time.png"], ["time.png"], "by hand give the same lists: True"),
    "plot_02_evaluation.py": (
        [],
        ["guidance_users.png", "guidance_folds.png", "training.png", "activity.png"],
        "best guidance scale by cross-validation",
    ),
}


def test_all_are_known():
    assert {path.name for path in FOLDER.glob("plot_*.py")} == set(EXAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_runs(name, tmp_path):
    arguments, pictures, says = EXAMPLES[name]
    run = subprocess.run(
        [sys.executable, FOLDER / name, *arguments],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert says in run.stdout
    assert all((tmp_path / picture).stat().st_size > 5_000 for picture in pictures)


@pytest.mark.parametrize("name", ["lists.csv", "lists.parquet"])
def test_csv_to_recommendations(name, tmp_path):
    arguments = ["--users", "200", "--max-epochs", "1", "-k", "3", "--output", name]
    run = subprocess.run(
        [sys.executable, FOLDER / "csv_to_recommendations.py", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    read = pd.read_csv if name.endswith("csv") else pd.read_parquet
    lists, events = read(tmp_path / name), pd.read_csv(tmp_path / "events.csv")
    assert list(lists) == ["user", "rank", "item", "score"] and len(lists) == 600
    assert set(lists["user"]) == set(events["user"])
    seen = set(zip(events["user"], events["item"], strict=True))
    assert not seen & set(zip(lists["user"], lists["item"], strict=True))
