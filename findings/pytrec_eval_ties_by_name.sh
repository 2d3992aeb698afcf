#!/usr/bin/env bash
# pytrec-eval-terrier 0.5.11: a run with NumPy float32 scores is refused ("Unable to extract query/object
# scores"), float64 ones are taken. Equal scores are ordered by the name of the document, descending and
# as text, whatever the order in which the run gives them: a list that is in the right order but has ties
# gets other numbers.
# Seen: "float32: TypeError", "float64: 1.0", "tied, first in the run: 0.5", "tied, 9 before 10: 1.0".
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q pytrec-eval-terrier==0.5.11 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import pytrec_eval


def rank(relevant, scores):
    """The reciprocal rank of the relevant document."""
    evaluator = pytrec_eval.RelevanceEvaluator({"query": {relevant: 1}}, {"recip_rank"})
    try:
        return evaluator.evaluate({"query": scores})["query"]["recip_rank"]
    except TypeError:
        return "TypeError"


found = {
    "float32": rank("a", {"a": np.float32(2), "b": np.float32(1)}),
    "float64": rank("a", {"a": np.float64(2), "b": np.float64(1)}),
    "tied, first in the run": rank("a", {"a": 1.0, "b": 1.0}),
    "tied, 9 before 10": rank("9", {"10": 1.0, "9": 1.0}),
}
for name, result in found.items():
    print(f"{name}: {result}")
sys.exit(list(found.values()) != ["TypeError", 1.0, 0.5, 1.0])
PYTHON
