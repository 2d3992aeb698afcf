"""Sequence models of RecTools on one of our data sets: the lists they make, with our ids.

    python benchmarks/rectools_peers.py ../shared/data/amazon-beauty.npz --model sasrec --out o.npz

Stands alone and does not import skdiffrec: RecTools 0.19.0 needs an environment of its own
(``rectools[torch]==0.19.0``, which wants numpy<2.2). The models, their losses, batches and
optimiser are RecTools'; ours are the split (`sequences.py`), early stopping (nDCG@10 of valid, full
ranking, every epoch) and the lists. The arrays in `--out`: `valid_ids` (from the rest) and
`test_ids` (from rest and valid), int64 (n_users, 20), −1 where there is no list; `seconds` of
training to the best epoch, evaluation left out; `curve` (seconds, nDCG@10 of valid);
`list_seconds` of a thousand users; `settings`.
"""

import argparse
import json
import time
import warnings

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers
from sequences import evaluate, load

K = 20
ONE_BLOCK_LENGTH = 50  # of the mean history: below, one block and short sessions, as published
COMMON = {"loss": "sampled_softmax", "n_negatives": 256, "n_factors": 64, "lr": 1e-3}
WITH_LIGR = {"transformer_layers_type": LiGRLayers}


def settings_of(name, sequences):
    """As published (arXiv 2508.06450): one block on Amazon sets, two on MovieLens 1M."""
    short = len(sequences.user) / sequences.n_users < ONE_BLOCK_LENGTH
    found = {**COMMON, "n_blocks": 1 if short else 2, "n_heads": 1 if short else 2}
    found["session_max_len"] = 50 if short else 200
    return found | ({} if name == "sasrec" else WITH_LIGR)


def dataset_of(sequences, n_left_out):
    user, item, _ = sequences.history(n_left_out)
    place = np.arange(len(user))  # the order of the file, whatever the times
    frame = pd.DataFrame({Columns.User: user, Columns.Item: item, Columns.Weight: 1})
    frame[Columns.Datetime] = pd.to_datetime(place, unit="s")
    return Dataset.construct(frame)


def lists(model, dataset, n_users):
    """(n_users, K) int64, −1 where there is no list."""
    ids = np.full((n_users, K), -1)
    users = dataset.user_id_map.external_ids
    found = model.recommend(users, dataset, K, filter_viewed=True, on_unsupported_targets="ignore")
    rows = found[Columns.User].to_numpy(), found[Columns.Rank].to_numpy() - 1
    ids[rows] = found[Columns.Item].to_numpy()
    return ids


class Watch:
    """What the callback notes; apart, since RecTools copies its trainer with the callbacks."""

    model = rest = sequences = None
    curve: list = []
    spent, best, best_state, failures, started = 0.0, -1.0, None, 0, 0.0


class EveryEpoch(Callback):
    """Evaluates on valid, keeps the best weights, ends training."""

    def __init__(self, patience, max_minutes):
        self.patience, self.max_minutes = patience, max_minutes

    def on_train_epoch_start(self, trainer, module):
        Watch.started = time.perf_counter()

    def on_train_epoch_end(self, trainer, module):
        Watch.spent += time.perf_counter() - Watch.started
        Watch.model.is_fitted = True
        ids = lists(Watch.model, Watch.rest, Watch.sequences.n_users)
        module.train()
        score = evaluate(ids, Watch.sequences.target(1))["N@10"]
        Watch.curve.append((Watch.spent, score))
        print(f"{len(Watch.curve)} {Watch.spent:.0f} s: {score:.4f}", flush=True)
        Watch.failures = 0 if score > Watch.best else Watch.failures + 1
        if score > Watch.best:
            Watch.best, Watch.best_seconds = score, Watch.spent
            state = module.torch_model.state_dict()
            Watch.best_state = {name: value.clone() for name, value in state.items()}
        over = Watch.spent > 60 * self.max_minutes
        trainer.should_stop = over or Watch.failures >= self.patience


def train(options, settings):
    def make_trainer():
        return Trainer(
            max_epochs=options.max_epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[EveryEpoch(options.patience, options.max_minutes)],
        )

    seed_everything(options.seed, workers=True)
    Watch.model = SASRecModel(
        **settings, epochs=options.max_epochs, get_trainer_func=make_trainer, verbose=0
    )
    Watch.model.fit(Watch.rest)
    Watch.model.lightning_model.torch_model.load_state_dict(Watch.best_state)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help=".npz of the data folder, or text")
    parser.add_argument("--model", required=True, choices=("sasrec", "esasrec"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, help="the .npz to write")
    parser.add_argument("--max-epochs", type=int, default=200)
    parser.add_argument("--max-minutes", type=float, default=100, help="of training")
    parser.add_argument("--patience", type=int, default=50, help="epochs without a better one")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    Watch.sequences = load(options.data)
    Watch.rest, with_valid = (dataset_of(Watch.sequences, n) for n in (2, 1))
    settings = settings_of(options.model, Watch.sequences)
    train(options, settings)
    n_users = Watch.sequences.n_users
    valid_ids = lists(Watch.model, Watch.rest, n_users)
    start = time.perf_counter()
    test_ids = lists(Watch.model, with_valid, n_users)
    list_seconds = 1000 * (time.perf_counter() - start) / n_users
    named = {name: getattr(value, "__name__", value) for name, value in settings.items()}
    np.savez_compressed(
        options.out,
        valid_ids=valid_ids,
        test_ids=test_ids,
        seconds=Watch.best_seconds,
        curve=np.array(Watch.curve),
        list_seconds=list_seconds,
        settings=json.dumps(named),
    )
    print(torch.get_num_threads(), "threads;", evaluate(test_ids, Watch.sequences.target(0)))


if __name__ == "__main__":
    main()
