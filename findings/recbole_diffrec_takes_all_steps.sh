#!/usr/bin/env bash
# RecBole 1.2.1: `sampling_steps` of DiffRec is no number of steps of sampling. A row gets the noise of
# so many steps (0: none), then the network denoises it in all `steps`. So fewer sampling steps are
# no faster, and with 0, the default, a row without noise is denoised as if it were all noise.
# Seen, calls of the network for one batch with steps = 8: "{0: 8, 2: 8, 8: 8}" by sampling_steps.
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

import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.interaction import Interaction
from recbole.utils import get_model

rows = "".join(f"u{u}\ti{(u + i) % 9}\n" for u in range(9) for i in range(5))
Path("mine").mkdir()
Path("mine/mine.inter").write_text("user_id:token\titem_id:token\n" + rows)
sys.argv = sys.argv[:1]
calls = {}
for sampling_steps in 0, 2, 8:
    settings = {
        "data_path": ".",
        "load_col": {"inter": ["user_id", "item_id"]},
        "eval_args": {"split": {"RS": [0.8, 0.2]}, "group_by": "user", "order": "RO"},
        "steps": 8,
        "sampling_steps": sampling_steps,
        "use_gpu": False,
    }
    config = Config(model="DiffRec", dataset="mine", config_dict=settings)
    logging.disable(logging.CRITICAL)
    train = create_dataset(config).build()[0]
    model = get_model("DiffRec")(config, train).eval()
    asked = []
    model.mlp.register_forward_hook(lambda *_: asked.append(1))
    with torch.no_grad():
        model.full_sort_predict(Interaction({"user_id": torch.arange(1, 4)}))
    calls[sampling_steps] = len(asked)
print(calls)
sys.exit(calls != {0: 8, 2: 8, 8: 8})
PYTHON
