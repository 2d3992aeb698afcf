#!/usr/bin/env bash
# implicit 0.7.3: lists of a matrix factorization that are longer than the catalogue are filled up
# with item 0 at score 0.0, above the seen items at -3.4e38. `ranking_metrics_at_k` counts each of
# these places as a hit of whoever has item 0 held out, so precision and nDCG exceed 1.
# Seen with 4 items and K=10: "list: [2, 3, 1, 0, 0, 0, 0, 0, 0, 0]", "K=4: precision 1.000 ndcg
# 1.000", "K=10: precision 2.500 ndcg 1.608". Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q implicit==0.7.3 numpy==2.2.6 scipy==1.15.3
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.evaluation import ranking_metrics_at_k
from scipy.sparse import csr_matrix

train = csr_matrix(np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1]], "f4"))
test = csr_matrix(np.array([[0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1], [1, 0, 1, 0]], "f4"))
model = AlternatingLeastSquares(factors=2, random_state=0)
model.fit(train, show_progress=False)
ids, scores = model.recommend(0, train[[0]], N=10)
print("list:", ids.tolist())
found = {}
for k in (4, 10):
    found[k] = ranking_metrics_at_k(model, train, test, K=k, show_progress=False)
    print(f"K={k}: precision {found[k]['precision']:.3f} ndcg {found[k]['ndcg']:.3f}")
filled = ids[4:].tolist() == [0] * 6 and not scores[4:].any()
sys.exit(not (filled and found[4]["precision"] == 1.0 and found[10]["precision"] == 2.5))
PYTHON
