"""Models of RecBole on one of our splits: the lists they make, with our ids.

    python benchmarks/recbole_peers.py --data ../shared/data/ml-100k.npz --model SASRec \
        --settings '{"learning_rate": 0.001}' --input train --out lists.npz

Stands alone and does not import skdiffrec: RecBole 1.2.1 needs an environment of its own, with
numpy<2, scipy<1.14, pandas<2.3 and setuptools<81. The model, its loss, its batches and its
optimiser are RecBole's. Ours are the split, early stopping (nDCG@10 on valid, full ranking, at most
1,000 fixed users) and the lists.

`--input train`: trained on train, stopped early on valid, lists from train rows. lists.npz holds
`valid_ids` (train left out), `test_ids` (train and valid left out), both int64 (n_users, 100), best
first, -1 where there are fewer, `valid_ndcg` of the users evaluated while training, `fit_seconds`
and `epochs` (of the best). `--input train+valid`: trained on both for `--epochs`; `test_ids` only.
`--unevaluated`: trained on train for `--epochs`, for timing; `test_ids` only. Beside the lists lie
`epoch_seconds` (of training alone), `valid_curve` (epoch, nDCG@10), `list_seconds` (of `test_ids`)
and the rise of resident memory in MB, `fit_mb` and `list_mb`.
Items that no training row has are unknown to RecBole and in no list; users without a row get the
most popular items. `--max-minutes` ends training within an epoch where need be; `cut_short` is
then true.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import tempfile
import time
import warnings

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.interaction import Interaction
from recbole.data.utils import get_dataloader
from recbole.utils import get_model, get_trainer, init_seed
from timing import PeakMemory, timed

GENERAL = ("MultiVAE", "RecVAE", "DiffRec", "LDiffRec", "SLIMElastic")
SEQUENTIAL = ("SASRec", "GRU4Rec")
TRAINED_WHEN_BUILT = ("SLIMElastic",)
# Read by the model, but in no file of defaults.
UNLISTED_SETTINGS = ("norm",)
TIME_ORDERED_PREFIXES = ("ml-1m_", "amazon-")
NAME = "split"  # any name of RecBole's own data sets would bring that set's settings along
K = 100
BLOCK = 500
WATCHED_USERS = 1000


class Split:
    """The rows of a file, each user's in order of time where the file has an order."""

    def __init__(self, path, sequential):
        path = pathlib.Path(path)
        if not path.is_file():
            raise SystemExit(f"--data: there is no file {str(path)!r}; give the path of an .npz.")
        with np.load(path) as arrays:
            missing = {"user", "item", "split"} - set(arrays.files)
            if missing:
                raise SystemExit(f"--data: {path.name} lacks the arrays {sorted(missing)}.")
            user, item, split = (arrays[name] for name in ("user", "item", "split"))
            times = arrays["timestamp"] if "timestamp" in arrays.files else None
        if sequential and times is None and not path.name.startswith(TIME_ORDERED_PREFIXES):
            raise SystemExit(
                f"--model: a sequential model needs an order, but {path.name} has no `timestamp` "
                f"and its name starts with none of {TIME_ORDERED_PREFIXES}; use one of {GENERAL}."
            )
        keys = (user,) if times is None else (times, user)
        order = np.lexsort(keys)  # stable: rows of the same time stay as they are in the file
        self.user, self.item, self.split = user[order], item[order], split[order]
        self.n_users, self.n_items = int(user.max()) + 1, int(item.max()) + 1

    def rows(self, codes):
        """(user, item) of the rows whose split code is in `codes`."""
        keep = np.isin(self.split, codes)
        return self.user[keep], self.item[keep]

    def histories(self, codes):
        """A list of n_users arrays of items."""
        user, item = self.rows(codes)
        return np.split(item, np.cumsum(np.bincount(user, minlength=self.n_users))[:-1])


class Peer:
    """A RecBole model with what it was trained on; scores come with our ids."""

    def __init__(self, name, split, codes, settings, seed, folder):
        self.histories = split.histories(codes)
        user, item = split.rows(codes)
        self.popularity = np.bincount(item, minlength=split.n_items).astype(np.float32)
        self.sequential = name in SEQUENTIAL
        config = configure(name, settings, seed, folder)
        write_rows(pathlib.Path(folder, NAME, f"{NAME}.inter"), user, item)
        dataset = create_dataset(config)
        self.user_row = tokens(dataset, dataset.uid_field, split.n_users)
        self.item_row = tokens(dataset, dataset.iid_field, split.n_items)
        dataset = dataset.build()[0]
        self.batches = get_dataloader(config, "train")(config, dataset, None, shuffle=True)
        init_seed(seed, reproducibility=True)
        self.model = get_model(name)(config, dataset)
        self.trainer = get_trainer(config["MODEL_TYPE"], name)(config, self.model)
        torch.autograd.set_detect_anomaly(False)  # RecBole leaves this slow debugging aid on
        if self.sequential:
            self.sequences, self.lengths = self._sequences(config["MAX_ITEM_LIST_LENGTH"])

    def _sequences(self, max_length):
        sequences = np.zeros((len(self.histories), max_length), np.int64)
        for row, history in zip(sequences, self.histories, strict=True):
            last = self.item_row[history[-max_length:]]
            row[: len(last)] = last
        return sequences, (sequences > 0).sum(axis=1)

    @torch.no_grad()
    def scores(self, users):
        """(len(users), n_items) float32; -inf for items that RecBole does not know."""
        self.model.eval()
        found = np.tile(self.popularity, (len(users), 1))
        has_row = self.user_row[users] > 0
        known = users[has_row]
        if len(known) == 0:
            return found
        if self.sequential:
            asked = {
                self.model.ITEM_SEQ: torch.from_numpy(self.sequences[known]),
                self.model.ITEM_SEQ_LEN: torch.from_numpy(self.lengths[known]),
            }
        else:
            asked = {self.model.USER_ID: torch.from_numpy(self.user_row[known])}
        given = self.model.full_sort_predict(Interaction(asked)).view(len(known), -1).numpy()
        if not np.isfinite(given[:, 1:]).all():
            raise SystemExit("The model's scores are not finite; lower learning_rate.")
        found[has_row] = np.where(self.item_row > 0, given[:, self.item_row], -np.inf)
        return found

    def lists(self, users, left_out, k):
        """(len(users), k) int64: the best items outside each user's `left_out`, -1 where none."""
        scores = self.scores(users)
        for row, user in zip(scores, users, strict=True):
            row[left_out[user]] = -np.inf
        best = torch.topk(torch.from_numpy(scores), min(k, scores.shape[1]))
        ids = np.full((len(users), k), -1, np.int64)
        ids[:, : best.indices.shape[1]] = np.where(np.isfinite(best.values), best.indices, -1)
        return ids


class Until:
    """Batches up to a moment, at least one: a long epoch is cut, never overrun."""

    def __init__(self, batches, end):
        self.batches, self.end, self.cut_short = batches, end, False

    def __iter__(self):
        for batch in self.batches:
            yield batch
            if time.monotonic() > self.end:
                self.cut_short = True
                return


def configure(name, settings, seed, folder):
    """RecBole's configuration; the command line is ours, so it must not be read."""
    fixed = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "eval_args": {
            "split": {"RS": [1, 0, 0]},
            "order": "TO",
            "group_by": "none",
            "mode": "full",
        },
        "train_neg_sample_args": None,
        "use_gpu": False,
        "show_progress": False,
        "seed": seed,
    }
    sys.argv = sys.argv[:1]
    known = Config(model=name, dataset=NAME, config_dict=dict(fixed)).final_config_dict
    for key in settings:
        if key in fixed or (key not in known and key not in UNLISTED_SETTINGS):
            raise SystemExit(
                f"--settings: {key!r} is fixed here or is no setting of {name}; see RecBole's "
                f"properties/model/{name}.yaml and overall.yaml."
            )
    if settings.get("loss_type", "CE") != "CE":
        raise SystemExit(
            f"--settings: loss_type must be 'CE' (no sampled negatives), got "
            f"{settings['loss_type']!r}; leave it out."
        )
    if settings.get("n_cate", 1) != 1:
        raise SystemExit(
            f"--settings: n_cate must be 1, got {settings['n_cate']!r}: more needs item embeddings "
            "from outside; leave it out."
        )
    return Config(model=name, dataset=NAME, config_dict={**fixed, **settings})


def write_rows(path, user, item):
    """RecBole's file; a place in the file is the time, which float32 holds exactly up to 2**24."""
    if len(user) > 2**24:
        raise SystemExit(f"--data: at most {2**24} training rows can be ordered, got {len(user)}.")
    path.parent.mkdir()
    table = np.stack([user, item, np.arange(len(user))], axis=1)
    header = "user_id:token\titem_id:token\ttimestamp:float"
    np.savetxt(path, table, fmt="%d", delimiter="\t", header=header, comments="")


def tokens(dataset, field, size):
    """RecBole's row of each of our ids, 0 for those it does not know."""
    rows = np.zeros(size, np.int64)
    for token, row in dataset.field2token_id[field].items():
        if row > 0:
            rows[int(token)] = row
    return rows


def watched(split):
    """A function peer -> nDCG@10 on valid of fixed users, train left out."""
    seen, wanted = split.histories([0]), split.histories([1])
    users = np.flatnonzero([len(items) > 0 for items in wanted])
    if len(users) == 0:
        raise SystemExit(
            "--data: no user has a valid row (split 1), so training cannot stop early."
        )
    if len(users) > WATCHED_USERS:
        users = np.sort(np.random.RandomState(0).choice(users, WATCHED_USERS, replace=False))
    gains = 1 / np.log2(np.arange(2, 12))
    ideal = np.cumsum(gains)

    def evaluate(peer):
        values = []
        for block in blocks(users):
            for user, ids in zip(block, peer.lists(block, seen, 10), strict=True):
                hit = np.isin(ids, wanted[user])
                values.append((gains * hit).sum() / ideal[min(10, len(wanted[user])) - 1])
        return float(np.mean(values))

    return evaluate


def blocks(users):
    return np.split(users, np.arange(BLOCK, len(users), BLOCK))


def fit(peer, options, evaluate):
    """Train; with `evaluate`, stop early and go back to the best epoch. Returns what to record."""
    if options.model in TRAINED_WHEN_BUILT:
        score = evaluate(peer) if evaluate else np.nan
        return {"epochs": 1, "valid_ndcg": score, "cut_short": False}
    batches = Until(peer.batches, time.monotonic() + 60 * options.max_minutes)
    last = options.max_epochs if evaluate else options.epochs
    best, best_epoch, best_state, failures = -np.inf, 0, None, 0
    seconds, curve = [], []
    for epoch in range(1, last + 1):
        seconds.append(timed(lambda epoch=epoch: peer.trainer._train_epoch(batches, epoch))[0])
        ends = batches.cut_short or epoch == last
        if not evaluate:
            best_epoch = epoch
        elif ends or epoch % options.eval_every == 0:
            score = evaluate(peer)
            curve.append((epoch, score))
            print(f"epoch {epoch}: nDCG@10 on valid {score:.4f}", flush=True)
            failures = 0 if score > best else failures + 1
            if score > best:
                best, best_epoch = score, epoch
                best_state = {name: v.clone() for name, v in peer.model.state_dict().items()}
        if ends or failures == options.patience:
            break
    if best_state is not None:
        peer.model.load_state_dict(best_state)
    return {
        "epochs": best_epoch,
        "valid_ndcg": best if evaluate else np.nan,
        "cut_short": batches.cut_short,
        "epoch_seconds": np.array(seconds),
        "valid_curve": np.array(curve).reshape(-1, 2),
    }


def run(options):
    """Fit in a scratch folder, since RecBole writes files where it runs; returns the arrays."""
    split = Split(options.data, options.model in SEQUENTIAL)
    codes = [0] if options.input == "train" else [0, 1]
    evaluated = options.input == "train" and not options.unevaluated
    evaluate = watched(split) if evaluated else None
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), PeakMemory() as memory:
        start = time.monotonic()
        peer = Peer(options.model, split, codes, options.settings, options.seed, folder)
        found = fit(peer, options, evaluate)
        found["fit_seconds"] = time.monotonic() - start
    found["fit_mb"] = memory.over
    for name, left_out in (("valid_ids", [0]), ("test_ids", [0, 1])):
        if name == "test_ids" or evaluate:
            seen = split.histories(left_out)
            with PeakMemory() as memory:
                found["list_seconds"], found[name] = timed(lambda seen=seen: ids_of_all(peer, seen))
            found["list_mb"] = memory.over
    return found


def ids_of_all(peer, seen):
    users = np.arange(len(seen))
    return np.concatenate([peer.lists(block, seen, K) for block in blocks(users)])


def settings_from(text):
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"must be a JSON object, got {text!r} ({error})") from None
    if not isinstance(settings, dict):
        raise argparse.ArgumentTypeError(f"must be a JSON object, got {text!r}")
    return settings


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="an .npz with user, item and split")
    parser.add_argument("--model", required=True, choices=GENERAL + SEQUENTIAL)
    parser.add_argument("--settings", type=settings_from, default={}, help="RecBole's, as JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--input", choices=("train", "train+valid"), default="train")
    parser.add_argument("--out", required=True, help="the .npz to write")
    parser.add_argument("--epochs", type=int, help="of train+valid or --unevaluated")
    parser.add_argument(
        "--unevaluated", action="store_true", help="train for --epochs, no early stop"
    )
    parser.add_argument("--max-epochs", type=int, default=300)
    parser.add_argument("--max-minutes", type=float, default=20)
    parser.add_argument("--eval-every", type=int, help="epochs; 1 for sequential models, else 5")
    parser.add_argument("--patience", type=int, default=10, help="evaluations without a better one")
    options = parser.parse_args()
    if (options.input == "train+valid" or options.unevaluated) and not options.epochs:
        parser.error(
            "--input train+valid and --unevaluated need --epochs: give `epochs` of a run on train."
        )
    for name in ("epochs", "max_epochs", "max_minutes", "eval_every", "patience"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            parser.error(f"--{name.replace('_', '-')} must be positive, got {value}.")
    options.eval_every = options.eval_every or (1 if options.model in SEQUENTIAL else 5)
    warnings.simplefilter("ignore", FutureWarning)
    out = pathlib.Path(options.out).resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    found = run(options)
    with out.open("wb") as file:
        np.savez_compressed(file, **found)
    print({name: value for name, value in found.items() if not name.endswith("_ids")})


if __name__ == "__main__":
    main()
