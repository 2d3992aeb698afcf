#!/usr/bin/env bash
# RecTools 0.19.0: with the defaults of `LastNSplitter` an interaction may be in neither part. Users
# with no more than n interactions give all of them to test and are then removed from it as unseen
# (`filter_cold_users`), and so are items that no train row has (`filter_cold_items`).
# Seen, of six interactions with n=1: "train: ann-tea ann-jam bob-rye", "test: bob-jam", "neither:
# ann-oat eve-jam". Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q rectools==0.19.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from rectools.dataset import Interactions
from rectools.model_selection import LastNSplitter

names = ["ann-tea", "ann-jam", "ann-oat", "bob-rye", "bob-jam", "eve-jam"]
users, items = zip(*(name.split("-") for name in names))
frame = pd.DataFrame(
    {
        "user_id": pd.factorize(pd.Series(users))[0],
        "item_id": pd.factorize(pd.Series(items))[0],
        "weight": 1,
        "datetime": pd.date_range("2024-01-01", periods=len(names)),
    }
)
train, test, _ = next(iter(LastNSplitter(1).split(Interactions(frame))))
parts = {
    "train": [names[row] for row in train],
    "test": [names[row] for row in test],
    "neither": [name for row, name in enumerate(names) if row not in {*train, *test}],
}
for part, found in parts.items():
    print(f"{part}:", *found)
sys.exit(parts["test"] != ["bob-jam"] or parts["neither"] != ["ann-oat", "eve-jam"])
PYTHON
