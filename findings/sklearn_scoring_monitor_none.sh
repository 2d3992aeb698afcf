#!/usr/bin/env bash
# scikit-learn 1.9.1: `sklearn.callback.ScoringMonitor(scoring=None)`, documented as "the estimator's
# default evaluation criterion is used", ends the fit of any estimator with a TypeError: the number
# that `score` returns is taken for a dict of scores. The name of the same criterion works.
# Seen with LogisticRegression: "accuracy: fitted", "None: TypeError: 'float' object is not iterable".
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from sklearn.callback import ScoringMonitor
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

X, y = make_classification(random_state=0)


def fit(scoring):
    try:
        LogisticRegression().set_callbacks(ScoringMonitor(scoring=scoring)).fit(X, y)
    except TypeError as error:
        return f"TypeError: {error}"
    return "fitted"


named, default = fit("accuracy"), fit(None)
print("accuracy:", named)
print("None:", default)
sys.exit(named != "fitted" or not default.startswith("TypeError"))
PYTHON
