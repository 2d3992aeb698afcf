"""Processes made by fork after the library was used: they answer, fit and load, and never hang."""

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
]

BEFORE = """
import os, sys, warnings
import numpy as np, torch
warnings.simplefilter("ignore")
from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions

torch.set_num_threads(2)
X = make_interactions(300, 200, n_interactions_per_user=15, random_state=0).train
options = dict(max_epochs=1, hidden_dims=(32,), random_state=0, device="cpu")
model = CFGDiffusionRecommender(**options).fit(X)
path = os.path.join(sys.argv[1], "model.safetensors")
model.save(path, include_training=True)
model = CFGDiffusionRecommender.load(path)  # with two threads, before any fork
torch.randn(1000, 1000) @ torch.randn(1000, 1000)  # torch's pool has run
expected = model.recommend(k=5)[0]

def work(job):
    if job == "ask":
        found = model.recommend(k=5)[0]
    elif job == "explain":
        return bool(np.isfinite(model.explain(3).score).all())
    elif job == "scales":
        found = model.recommend_scales([1.0], k=5)[0][0]
    elif job == "load":
        found = CFGDiffusionRecommender.load(path).recommend(k=5)[0]
    elif job == "fit":
        found = CFGDiffusionRecommender(**options).fit(X).recommend(k=5)[0]
    elif job == "partial_fit":
        again = CFGDiffusionRecommender.load(path).partial_fit(X[:5], user_ids=np.arange(5))
        return bool(np.isfinite(again.decision_function(X[:3])).all())
    return bool(np.array_equal(found, expected))

JOBS = ["ask", "explain", "scales", "load", "fit", "partial_fit"] * 2
"""

POOL = """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, JOBS) == [True] * len(JOBS))
"""

JOBLIB = """
from joblib import Parallel, delayed
print(Parallel(2, backend="multiprocessing")(delayed(work)(job) for job in JOBS) == [True] * 12)
"""

# what gunicorn with preload does: load once, fork workers, answer in each
SERVER = """
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        os._exit(0 if all(work(job) for job in JOBS) else 3)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(codes == [0, 0, 0] and work("ask") and work("fit"))
"""

# a child's child, and a fork in a thread beside a fit
NESTED = """
import threading
fitting = threading.Thread(target=work, args=("fit",))
fitting.start()
child = os.fork()
if not child:
    grandchild = os.fork()
    if not grandchild:
        os._exit(0 if work("ask") and work("fit") else 3)
    code = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
    os._exit(code or (0 if work("ask") else 4))
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
fitting.join()
print(code == 0)
"""


# every question, and another fit
EVERYTHING = """
import os
import numpy as np
import torch
from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions

torch.set_num_threads(2)
X = make_interactions(400, 300, n_interactions_per_user=20, random_state=0).train
model = CFGDiffusionRecommender(max_epochs=1, random_state=0, device="cpu").fit(X)
def ask():
    explained = model.explain(3)
    return [explained.score, *model.recommend_scales([0.0, 2.0], k=5), *model.recommend(),
            *model.score_parts(4), *model.similar_items([1], by="output_layer"),
            model.decision_function(X), model.sample(X, 2)]
expected = ask()
torch.randn(1000, 1000) @ torch.randn(1000, 1000)  # torch's pool has run
child = os.fork()
if not child:
    same = all(map(np.array_equal, ask(), expected))
    again = CFGDiffusionRecommender(max_epochs=1, random_state=0, device="cpu").fit(X)
    same &= bool((again.recommend()[0] == model.recommend()[0]).all())
    os._exit(0 if same else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, flush=True)
"""


ALS = """
import os
import numpy as np
from skdiffrec.baselines import ALSRecommender
from skdiffrec.datasets import make_interactions

X = make_interactions(100, 80, n_interactions_per_user=10, random_state=0).train
model = ALSRecommender(factors=4, random_state=0).fit(X)
def ask(model):
    return [*model.recommend(), model.decision_function(X)]
expected = ask(model)  # implicit's pool has run
child = os.fork()
if not child:
    again = ALSRecommender(factors=4, random_state=0).fit(X)
    same = [all(map(np.array_equal, ask(m), expected)) for m in (model, again)]
    os._exit(0 if all(same) else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, flush=True)
"""


@pytest.mark.parametrize(
    "code",
    [BEFORE + POOL, BEFORE + JOBLIB, BEFORE + SERVER, BEFORE + NESTED, EVERYTHING, ALS],
    ids=["multiprocessing", "joblib", "server", "nested", "everything", "als"],
)
def test_forked_processes(code, tmp_path):
    if code is ALS:
        pytest.importorskip("implicit")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
    ) as process:
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)  # the children that hang, too
            raise
    assert out.strip() == "True", err
