#!/usr/bin/env bash
# scikit-learn 1.9.1: RidgeCV takes `alphas` as a tuple of two numbers, and as a list of one, but a
# tuple of one is a TypeError, "'tuple' object does not support item assignment": `fit` writes the
# checked number back into the parameter itself. RidgeClassifierCV does the same.
# Seen: "two in a tuple: taken", "one in a list: taken", "one in a tuple: TypeError", twice.
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from sklearn.linear_model import RidgeClassifierCV, RidgeCV

X = np.random.default_rng(0).random((20, 3))
y = (X.sum(axis=1) > 1.5).astype(float)
cases = {"two in a tuple": (0.1, 1.0), "one in a list": [1.0], "one in a tuple": (1.0,)}
found = []
for kind in (RidgeCV, RidgeClassifierCV):
    for name, alphas in cases.items():
        try:
            kind(alphas=alphas).fit(X, y)
            found.append("taken")
        except TypeError:
            found.append("TypeError")
        print(f"{kind.__name__}, {name}: {found[-1]}")
sys.exit(found != ["taken", "taken", "TypeError"] * 2)
PYTHON
