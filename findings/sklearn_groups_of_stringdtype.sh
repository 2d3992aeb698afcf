#!/usr/bin/env bash
# scikit-learn 1.9.1 with numpy 2.4.6: group labels in NumPy's variable-width `StringDType` are refused
# by GroupKFold, GroupShuffleSplit and LeaveOneGroupOut, and by `stratify=` and OneHotEncoder
# ("dtype argument must be a NumPy dtype"), while StratifiedGroupKFold and LabelEncoder take the same
# array, and scikit-learn 1.6 took it everywhere. `groups.astype(object)` works.
# Seen: "GroupKFold: TypeError", "StratifiedGroupKFold: taken", "as objects: taken".
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

groups = np.array(["ann", "bob", "eve", "ann", "bob", "eve"], np.dtypes.StringDType())
X, y = np.zeros((6, 1)), np.array([0, 1, 0, 1, 0, 1])


def taken(splitter, groups):
    try:
        list(splitter.split(X, y, groups))
    except TypeError:
        return "TypeError"
    return "taken"


found = {
    "GroupKFold": taken(GroupKFold(2), groups),
    "StratifiedGroupKFold": taken(StratifiedGroupKFold(2), groups),
    "as objects": taken(GroupKFold(2), groups.astype(object)),
}
for name, result in found.items():
    print(f"{name}: {result}")
sys.exit(list(found.values()) != ["TypeError", "taken", "taken"])
PYTHON
