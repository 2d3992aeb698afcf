#!/usr/bin/env bash
# LensKit 2025.8.1: the precision of an empty list is NaN, recall and nDCG of the same list are 0.
# `list_metrics(fill_missing=False)` shows the NaN, `list_metrics()` and `list_summary()` count it as
# 0; so a mean of the former differs from the summary. Precision alone divides by the length of the
# list: one hit in a list of one is 1.0, whatever n is.
# Seen: "precision: [1.0, nan]", "recall: [1.0, 0.0]", "mean of the lists: 1.0", "summary: 0.5".
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q lenskit==2025.8.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from lenskit.data import ItemList, ItemListCollection
from lenskit.metrics import Precision, Recall, RunAnalysis

holdout = {"ann": ItemList(["tea"]), "bob": ItemList(["oat"])}
lists = {"ann": ItemList(["tea"], ordered=True), "bob": ItemList([], ordered=True)}
result = RunAnalysis(Precision(n=10), Recall(n=10)).measure(
    ItemListCollection.from_dict(lists, key="user_id"),
    ItemListCollection.from_dict(holdout, key="user_id"),
)
each = result.list_metrics(fill_missing=False)
precision, recall = each["Precision@10"], each["Recall@10"]
mean, summary = precision.mean(), result.list_summary()["mean"]["Precision@10"]
print("precision:", precision.tolist())
print("recall:", recall.tolist())
print("mean of the lists:", mean)
print("summary:", summary)
nan = precision.isna().tolist() == [False, True]
sys.exit(not (nan and recall.tolist() == [1.0, 0.0] and mean == 1.0 and summary == 0.5))
PYTHON
