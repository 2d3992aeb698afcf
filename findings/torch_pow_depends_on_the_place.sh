#!/usr/bin/env bash
# torch 2.13.0, CPU, x86-64 with AVX2: in a float32 tensor of 17 entries and more, `0.9 ** x` of one
# and the same value has two results, which differ in the last bit, by where in the tensor the value
# stands; in shorter ones it has one. So a row in a batch can differ from the same row alone.
# `0.5 ** x`, and a power in float64 that is rounded afterwards, do not depend on the place.
# Seen: "0.9 ** x: 2 different results of one value", "0.5 ** x: 1", "float64: 1". Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch


def most(power):
    """The most different results for one value that fills a tensor of 17."""
    tensors = (torch.full((17,), float(age)) for age in range(1, 60))
    return max(len(power(ages).unique()) for ages in tensors)


found = {
    "0.9 ** x": most(lambda x: 0.9**x),
    "0.5 ** x": most(lambda x: 0.5**x),
    "float64": most(lambda x: (0.9 ** x.double()).float()),
}
for name, number in found.items():
    print(f"{name}: {number} different results of one value")
sys.exit([*found.values()] != [2, 1, 1])
PYTHON
