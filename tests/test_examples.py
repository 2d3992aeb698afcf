"""The examples run to their end, and draw."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parent.parent / "examples"
GALLERY = sorted(FOLDER.glob("plot_*.py"))

# What examples print that says that their point holds.
SAYS = {
    "plot_01_time": "by hand give the same lists: True",
    "plot_02_evaluation": "best guidance scale by cross-validation",
    "plot_03_explanations": "score = unconditional + guidance scale * lift",
}
# Options of those that also run by hand, and the pictures that these leave.
LEAVES = {
    "plot_01_time": (["--plot", "time.png"], ["time.png"]),
    "plot_02_evaluation": (
        ["--folder", "."],
        ["guidance_users.png", "guidance_folds.png", "training.png", "activity.png"],
    ),
}


def test_gallery_is_numbered_and_large_enough():
    numbers = [int(path.stem.split("_")[1]) for path in GALLERY]
    assert len(GALLERY) >= 10
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_gallery_pages_have_a_title(path):
    title, underline, blank, *text = ast.get_docstring(ast.parse(path.read_text())).splitlines()
    assert underline == "=" * len(underline) and len(underline) >= len(title)
    assert not blank and text


@pytest.mark.slow
@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_gallery_draws(path, tmp_path, monkeypatch, capsys):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    monkeypatch.chdir(tmp_path)
    options, pictures = LEAVES.get(path.stem, ([], []))
    monkeypatch.setattr(sys, "argv", [str(path), *options])
    runpy.run_path(path, run_name="__main__")
    figures = [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")
    assert figures
    assert all(any(ax.has_data() for ax in figure.axes) for figure in figures)
    assert all((tmp_path / picture).stat().st_size > 5_000 for picture in pictures)
    assert SAYS.get(path.stem, "") in capsys.readouterr().out


@pytest.mark.slow
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
