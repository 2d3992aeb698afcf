#!/usr/bin/env bash
# RecBole 1.2.1: a ratio split by user rounds each held-out part down, but a part of less than one
# interaction up to 1. So a fifth of 2 to 9 interactions is 1, up to 50 % for some users and 11 % for
# others (`Dataset._calcu_split_ids` says "Other than the first one, each part is rounded down").
# Seen: "{1: 0, 2: 1, 3: 1, 4: 1, 5: 1, 8: 1, 9: 1, 10: 2, 13: 2}", held out by number of interactions.
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# RecBole names no upper bounds, but needs these
"$folder/venv/bin/python" -m pip install -q recbole==1.2.1 \
    "numpy<2" "scipy<1.14" "pandas<2.3" "setuptools<81"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import logging
import sys
from pathlib import Path

from recbole.config import Config
from recbole.data import create_dataset

sizes = 1, 2, 3, 4, 5, 8, 9, 10, 13
rows = "".join(f"u{n}\ti{i}\n" for n in sizes for i in range(n))
Path("mine").mkdir()
Path("mine/mine.inter").write_text("user_id:token\titem_id:token\n" + rows)
settings = {
    "data_path": ".",
    "load_col": {"inter": ["user_id", "item_id"]},
    "eval_args": {"split": {"RS": [0.8, 0.2]}, "group_by": "user", "order": "RO", "mode": "full"},
}
sys.argv = sys.argv[:1]
config = Config(model="BPR", dataset="mine", config_dict=settings)
logging.disable(logging.CRITICAL)
dataset = create_dataset(config)
_, test = dataset.build()
held_out = {
    n: int((test.inter_feat["user_id"] == dataset.token2id("user_id", f"u{n}")).sum())
    for n in sizes
}
print(held_out)
sys.exit(held_out != {1: 0, 2: 1, 3: 1, 4: 1, 5: 1, 8: 1, 9: 1, 10: 2, 13: 2})
PYTHON
