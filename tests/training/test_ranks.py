"""Trainings of two processes, started by torchrun."""

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_cfg

from skdiffrec._training import ranks
from skdiffrec.datasets import make_interactions

TESTS = Path(__file__).parents[1]
PREAMBLE = """
import hashlib, json, os, pathlib, sys, warnings
import numpy as np
import scipy.sparse as sp
import torch

warnings.simplefilter("ignore")
sys.path.insert(0, {tests!r})
from conftest import tiny_cfg
from skdiffrec.datasets import RowBlocks, make_interactions

folder, rank = pathlib.Path({folder!r}), int(os.environ["RANK"])
X = make_interactions(600, 200, n_interactions_per_user=20, random_state=0).train
TIMES = sp.csr_array((np.arange(1.0, X.nnz + 1), X.indices, X.indptr), X.shape)
STARS = sp.csr_array((1.0 + np.arange(X.nnz) % 5, X.indices, X.indptr), X.shape)
FEATURES = np.random.default_rng(0).normal(size=(600, 3))


def digest(model, **known):
    known = {{name: rows[:40] for name, rows in known.items()}}
    return hashlib.md5(model.decision_function(X[:40], **known).tobytes()).hexdigest()


def report(**found):
    (folder / f"rank{{rank}}.json").write_text(json.dumps(found))
"""


def run_ranks(tmp_path, code, n=2, fails=False):
    """What each of n processes reports, and what they print."""
    script = tmp_path / "script.py"
    preamble = PREAMBLE.format(tests=str(TESTS), folder=str(tmp_path))
    script.write_text(preamble + textwrap.dedent(code))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(n), str(script)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
    )
    assert (done.returncode != 0) == fails, done.stdout[-1000:] + done.stderr[-3000:]
    files = [tmp_path / f"rank{rank}.json" for rank in range(n)]
    found = [json.loads(file.read_text()) if file.exists() else None for file in files]
    return found, done.stdout + done.stderr


def test_gradients_of_all_rows_of_a_step(tmp_path):
    """Means over rows, of tables too, whatever a process has."""
    found, _ = run_ranks(
        tmp_path,
        """
        from skdiffrec._training.ranks import training_ranks

        ranks = training_ranks(torch.device("cpu"))
        shapes = (3,), (2,), (50, 2), (3, 2), (4, 2)
        parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
        dense, missing, table, wide, mixed = parameters
        n_rows = [3, 1][rank]
        dense.grad = torch.full((3,), float(rank))
        sparse = lambda rows, value, n: torch.sparse_coo_tensor(
            [rows], torch.full((len(rows), 2), value), (n, 2)
        )
        table.grad = sparse([[4, 7], [7, 7, 9]][rank], 1.0, 50)
        wide.grad = sparse([0, 2], 2.0, 3) if rank else None
        mixed.grad = torch.ones(4, 2) if rank else sparse([1, 1], 1.0, 4)
        loss = ranks.averaged(parameters, torch.tensor(float(rank)), n_rows)
        assert missing.grad is None
        report(
            loss=loss.item(),
            dense=dense.grad.tolist(),
            table=table.grad.to_dense()[:, 0].tolist(),
            mixed=mixed.grad[:, 0].tolist(),
            wide=wide.grad.to_dense()[:, 0].tolist(),
            total=ranks.total(rank + 1),
            most=ranks.most(rank + 1),
            batches=[b for b in ranks.steps(iter([1]), 2)],
        )
        """,
    )
    assert found[0] == found[1]
    table = np.zeros(50)
    table[[4, 7, 9]] = 0.75, 0.75 + 0.5, 0.25
    assert found[0]["loss"] == 0.25 and found[0]["dense"] == [0.25] * 3
    assert found[0]["table"] == table.tolist() and found[0]["wide"] == [0.5, 0.0, 0.5]
    assert found[0]["mixed"] == [0.25, 1.75, 0.25, 0.25]
    assert found[0]["total"] == 3 and found[0]["most"] == 2 and found[0]["batches"] == [1, None]


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    found, printed = run_ranks(
        tmp_path,
        """
        def score(kind, rows, **given):
            given |= {"max_epochs": 8, "hidden_dims": (64,), "verbose": kind == "binary"}
            model = tiny_cfg(**given).fit(rows)
            model.save(folder / f"{kind}-{rank}.safetensors")
            return digest(model), [entry["loss"] for entry in model.history_], model.score(rows)

        report(
            binary=score("binary", X),
            time=score("time", TIMES, values="time"),
            horizon=score("horizon", TIMES, values="time", horizon=1),
            rating=score("rating", STARS, values="rating"),
        )
        """,
    )
    assert found[0] == found[1]  # the same bits
    assert (tmp_path / "time-0.safetensors").exists() and not (
        tmp_path / "time-1.safetensors"
    ).exists()
    assert printed.count("0/8 [00:00<?, ?epoch/s]") == 1  # the first one prints
    X = make_interactions(600, 200, n_interactions_per_user=20, random_state=0).train
    one = tiny_cfg(max_epochs=8, hidden_dims=(64,)).fit(X)
    losses = [entry["loss"] for entry in one.history_]
    np.testing.assert_allclose(found[0]["binary"][1], losses, rtol=0.06)
    assert abs(found[0]["binary"][2] - one.score(X)) < 0.03


@pytest.mark.slow
def test_rows_on_disk_and_features_of_users(tmp_path):
    found, _ = run_ranks(
        tmp_path,
        """
        if rank == 0:
            RowBlocks.write(folder / "rows", [X[:250], X[250:]])
        torch.distributed.init_process_group("gloo")  # by the script itself
        torch.distributed.barrier()
        model = tiny_cfg().fit(RowBlocks(folder / "rows"))
        weight = np.r_[np.full(300, 2.0), np.ones(300)]
        known = tiny_cfg().fit(X, user_features=FEATURES, sample_weight=weight)
        report(
            blocks=digest(model),
            whole=digest(tiny_cfg().fit(X)),
            known=digest(known, user_features=FEATURES),
        )
        """,
    )
    assert found[0] == found[1] and found[0]["blocks"] == found[0]["whole"]


WRONG = {
    "parameters": ("tiny_cfg(max_epochs=2 + rank).fit(X)", "max_epochs of process 1 is not"),
    "rows": ("tiny_cfg().fit(X if rank else X[:599])", "X of process 1 is not"),
    "few rows": ("tiny_cfg().fit(X[:1])", "fewer than the 2 processes"),
    "bad rows": ("tiny_cfg(closed_form_weight=-1.0).fit(X)", "closed_form_weight"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_trained_together_is_refused_in_all(name, tmp_path):
    code, message = WRONG[name]
    found, _ = run_ranks(
        tmp_path,
        f"""
        try:
            {code}
        except ValueError as error:
            report(error=str(error))
        """,
    )
    assert all(message in entry["error"] for entry in found)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_and_a_restart_goes_on(tmp_path):
    code = """
        model = tiny_cfg(max_epochs=6, checkpoint=folder / "checkpoint", checkpoint_every=0.0)
        from skdiffrec._training import loop
        step, n_steps = loop.batch_loss, [0]

        def counted(*args, **options):
            n_steps[0] += 1
            if rank == 1 and n_steps[0] == 31 and not (folder / "died").exists():
                (folder / "died").write_text("")
                os._exit(7)
            return step(*args, **options)

        loop.batch_loss = counted
        model.fit(X)
        report(bits=digest(model), epochs=len(model.history_), steps=n_steps[0])
        """
    found, printed = run_ranks(tmp_path, code, fails=True)
    assert found == [None, None] and (tmp_path / "checkpoint").exists()
    assert "exitcode  : 7" in printed
    found, _ = run_ranks(tmp_path, code)
    assert found[0]["bits"] == found[1]["bits"] and found[0]["epochs"] == 6
    assert not (tmp_path / "checkpoint").exists()
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "died").write_text("")
    assert found[0]["steps"] < run_ranks(whole, code)[0][0]["steps"]


def test_an_exchange_that_fails_says_what_it_means():
    with pytest.raises(RuntimeError, match=r"ended, or cannot be reached: Connection closed"):
        with ranks._told():
            raise RuntimeError("Connection closed by peer\nmore")


def test_a_process_that_torchrun_did_not_start_trains_alone(monkeypatch):
    """Workers of a search inherit the variables."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    worker = multiprocessing.current_process()
    monkeypatch.setattr(worker, "_name", "LokyProcess-1")
    X = make_interactions(60, 40, n_interactions_per_user=8, random_state=0).train
    tiny_cfg().fit(X)
