#!/usr/bin/env bash
# mlflow-skinny 3.17.2: `mlflow.sklearn.save_model` writes skops, not pickle, unless told otherwise, and
# refuses every estimator of another package until its types are listed in `skops_trusted_types` at
# saving; scikit-learn's own estimators need no list. `pyfunc_predict_fn="decision_function"` is accepted
# at saving and the flavor is written, but `mlflow.pyfunc.load_model` refuses the model, though the
# estimator has the method.
# Seen: "default: MlflowException", "trusted: saved", "pyfunc: MlflowException".
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q mlflow-skinny==3.17.2 scikit-learn==1.9.1 skops==0.16.0 pandas
cat > "$folder/others.py" <<'PYTHON'
from sklearn.linear_model import LogisticRegression


class Derived(LogisticRegression):
    """An estimator of another package."""
PYTHON
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import mlflow.pyfunc
import mlflow.sklearn
from others import Derived

model = Derived().fit([[0.0], [1.0]], [0, 1])


def save(name, **options):
    try:
        mlflow.sklearn.save_model(model, name, pip_requirements=[], **options)
    except mlflow.MlflowException:
        return "MlflowException"
    return "saved"


options = {"skops_trusted_types": ["others.Derived"], "pyfunc_predict_fn": "decision_function"}
found = {"default": save("first"), "trusted": save("second", **options)}
try:
    mlflow.pyfunc.load_model("second")
    found["pyfunc"] = "loaded"
except mlflow.MlflowException:
    found["pyfunc"] = "MlflowException"
for name, result in found.items():
    print(f"{name}: {result}")
sys.exit(list(found.values()) != ["MlflowException", "saved", "MlflowException"])
PYTHON
