#!/usr/bin/env bash
# numpy 2.4.6: `np.searchsorted` of sorted variable-width strings (`StringDType`) raises MemoryError as
# soon as the array that is searched holds a string of more than 15 bytes where it looks, whatever is
# looked up. Arrays of shorter strings, which lie inside the array itself, are searched rightly, and
# so is everything with fixed-width strings.
# Seen: "shorter strings: [1]", "fixed width: [1]", "longer strings: MemoryError: Failed to load
# string in string comparison". Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from numpy.dtypes import StringDType


def search(names, dtype):
    try:
        return np.searchsorted(np.array(names, dtype), np.array(["bravo"], dtype)).tolist()
    except MemoryError as error:
        return f"MemoryError: {error}"


longer = ["alpha", "bravo", "charlie has a longer name", "delta has one too"]
shorter = search([name[:15] for name in longer], StringDType())
fixed = search(longer, "U30")
found = search(longer, StringDType())
print("shorter strings:", shorter)
print("fixed width:", fixed)
print("longer strings:", found)
sys.exit(shorter != [1] or fixed != [1] or not str(found).startswith("MemoryError"))
PYTHON
