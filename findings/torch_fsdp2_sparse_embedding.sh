#!/usr/bin/env bash
# torch 2.13.0, CPU, gloo, 2 processes: `fully_shard` (FSDP2) takes an `nn.EmbeddingBag` of
# `sparse=True` and runs its forward pass; the backward pass alone fails, with a NotImplementedError
# about the internal operator fsdp::chunk_cat, which names neither the module nor the option. With
# `sparse=False` it trains, and every process then holds the whole table and its whole gradient for
# the time of a step: the peak is higher than that of an unsharded table with sparse gradients.
# Seen: "sparse=True: forward ok, backward NotImplementedError, names sparse: False",
# "sparse=False: forward ok, backward ok, gathered table in forward: True". Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q torch==2.13.0 numpy==2.4.6
cat > "$folder/trial.py" <<'PYTHON'
import os
import sys

import torch
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard

distributed.init_process_group("gloo")
N, WIDTH = 1000, 8
found = []
for sparse in (True, False):
    table = nn.EmbeddingBag(N, WIDTH, mode="sum", sparse=sparse)
    fully_shard(table)
    seen = []
    table.register_forward_hook(lambda module, inputs, out: seen.append(tuple(module.weight.shape)))
    out = table(torch.tensor([1, 2, 3]), torch.tensor([0]))
    row = {"sparse": sparse, "backward": "ok", "named": None, "whole": seen == [(N, WIDTH)]}
    try:
        out.sum().backward()
    except Exception as error:
        row["backward"] = type(error).__name__
        row["named"] = "sparse=" in str(error) or "EmbeddingBag" in str(error)
    found.append(row)
if distributed.get_rank() == 0:
    for row in found:
        print(row)
expected = [
    {"sparse": True, "backward": "NotImplementedError", "named": False, "whole": True},
    {"sparse": False, "backward": "ok", "named": None, "whole": True},
]
sys.stdout.flush()
os._exit(found != expected)
PYTHON
cd "$folder"
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -m torch.distributed.run --standalone --nproc-per-node 2 trial.py
