"""What fits and lists cost by users and items: memory, operations, bytes moved, hours.

    python benchmarks/cost_model.py

Counted from what the code does (one epoch of the default model without times, 50 interactions a
user), and priced by two rates, operations and bytes a second: those of this project's machine are
fitted to the runs of `scale.py`, those of a GPU are assumed. Prints the model beside what was
measured, and the plan for sizes that nobody here has run.
"""

import functools
import json
import pathlib
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from timing import markdown

RESULTS = pathlib.Path(__file__).parent / "results" / "scale.json"
WIDTH, LATENT = 240, 128  # of the layers; of the space of the diffusion
PER_USER, EPOCHS = 50, 14
LOSS_ITEMS = 2560  # of a block of rows, in catalogues above 8,192 items
FLOAT = 4  # bytes
COPIES = 5  # of the weights in a fit: themselves, two moments, running average, best so far
PASSES = 12  # over the tables in a step: read and written by AdamW and by the running average
IN_MEMORY = 40  # bytes an interaction of rows in memory: X, and merged rows without held-out items
OF_USER = 50  # bytes a user of `RowBlocks`, measured: keys, or lengths, weights and an order
BLOCK = 2**22, 48  # interactions of a block of training rows, and bytes of each
SOLVED = 20e6, 60  # interactions that a closed form is solved on at most, and bytes of each


class Device(NamedTuple):
    """What computes.

    Attributes
    ----------
    name : str
    flops, bandwidth : float
        Operations and bytes a second that are reached, not those of a data sheet.
    memory : float
        Bytes.
    """

    name: str
    flops: float
    bandwidth: float
    memory: float


# A share of the sheet of an H100 that training of small layers reaches: assumed, not measured.
GPU = Device("one GPU", 1e14, 2e12, 80e9)
NETWORK = 1e9  # bytes a second between machines, assumed


class Cost(NamedTuple):
    """What an epoch, or the lists of all users, take."""

    operations: float
    moved: float  # bytes

    def seconds(self, device):
        """On a device that overlaps nothing."""
        return self.operations / device.flops + self.moved / device.bandwidth


def step_users(users):
    """Users in a step, by the library's rule for sparse rows."""
    return min(max(users // 48, 64), 1024)


def epoch(users, items):
    """Cost of an epoch: products of the layers and the loss, and the tables of every step."""
    loss_items = min(items, LOSS_ITEMS) if items > 8192 else items
    layers = WIDTH * (WIDTH + 2 * LATENT) + PER_USER * (WIDTH + LATENT)
    operations = 6.0 * users * (layers + WIDTH * loss_items)  # forward, and twice that backward
    n_steps = -(-users // step_users(users))
    return Cost(operations, float(n_steps) * PASSES * 2 * WIDTH * items * FLOAT)


def lists(users, items):
    """Cost of lists of all users: a product, and scores that are written and read once."""
    return Cost(2.0 * users * WIDTH * items, 2.0 * users * items * FLOAT)


def tables(items):
    """Bytes of the item tables: what is read, what is written, and the latent space."""
    return float(items) * (2 * WIDTH + LATENT) * FLOAT


def training(items):
    """Bytes of what is trained, in all its copies, and its latent space."""
    return float(items) * FLOAT * (2 * WIDTH * COPIES + LATENT)


def working(users):
    """Bytes of the rows that a fit works on: a block, and those of the closed form."""
    return sum(min(users * PER_USER, most) * size for most, size in (BLOCK, SOLVED))


def rows(users):
    """Bytes of `RowBlocks` of float32 values."""
    return float(users) * PER_USER * 2 * FLOAT


def exchanged(users):
    """Bytes a process sends in an epoch, if it is one of several: rows of tables that were met."""
    return float(users) * PER_USER * 2 * WIDTH * FLOAT


def measured():
    """(users, items, seconds of an epoch, of lists, MB of the fit) of runs of `scale.py`."""
    found = json.loads(RESULTS.read_text())
    for mode in ("items", "users"):
        for row in found[mode]["rows"]:
            keys = "users", "items", "s/epoch", "lists s", "fit MB"
            yield tuple(row[key] for key in keys)


def machine():
    """The machine of those runs: rates with the least relative error of their epochs."""
    costs, seconds = [], []
    for users, items, of_epoch, _, _ in measured():
        costs.append(np.array(epoch(users, items)) / of_epoch)
        seconds.append(1.0)
    inverse, _ = nnls(np.array(costs) / 1e9, np.array(seconds))
    flops, bandwidth = 1e9 / np.maximum(inverse, 1e-9)
    return Device("two cores", float(flops), float(bandwidth), 23e9)


def list_seconds(users, items):
    """Of lists of all users on that machine: some for each user, and some for each score."""
    of_user, of_score = _list_rates()
    return users * (of_user + items * of_score)


@functools.cache
def _list_rates():
    """Seconds of a user and of a score, with the least relative error."""
    parts = [np.array([users, users * items]) / s for users, items, _, s, _ in measured()]
    (of_user, of_score), _ = nnls(np.array(parts), np.ones(len(parts)))
    return float(of_user), float(of_score)


def checked():
    """Rows of a table: the model beside what was measured."""
    device = machine()
    for users, items, of_epoch, of_lists, fit_mb in measured():
        memory = training(items) + working(users) + users * PER_USER * IN_MEMORY
        yield {
            "users": users,
            "items": items,
            "epoch, s": of_epoch,
            "model": epoch(users, items).seconds(device) / of_epoch,
            "lists, s": of_lists,
            "model, lists": list_seconds(users, items) / of_lists,
            "fit, MB": fit_mb,
            "model, MB": memory / 2**20 / fit_mb,
        }


def plan():
    """Rows of a table: what sizes that nobody here has run would take."""
    device = machine()
    for items in (10**4, 10**5, 10**6, 10**7):
        for users in (10**4, 10**5, 10**6, 10**7, 10**8, 10**9):
            cost = epoch(users, items)
            needed = training(items) + working(users) + users * OF_USER
            yield {
                "users": users,
                "items": items,
                "rows on disk, GB": rows(users) / 1e9,
                "memory of a fit, GB": needed / 1e9,
                "operations": EPOCHS * cost.operations,
                "bytes moved": EPOCHS * cost.moved,
                "fit, hours, two cores": EPOCHS * cost.seconds(device) / 3600,
                "fit, hours, one GPU": EPOCHS * cost.seconds(GPU) / 3600,
                "exchanged, hours": EPOCHS * exchanged(users) / NETWORK / 3600,
                "lists, hours, two cores": list_seconds(users, items) / 3600,
                "lists, hours, one GPU": lists(users, items).seconds(GPU) / 3600,
            }


def main():
    device = machine()
    print(f"{device.flops / 1e9:.3g} GFLOP/s and {device.bandwidth / 1e9:.3g} GB/s")
    print(markdown(list(checked())))
    print(markdown(list(plan())))


if __name__ == "__main__":
    main()
