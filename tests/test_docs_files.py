"""Page "Files of the field": its snippets read what plain Python reads, on its lines and on more.

A block ```text NAME of the page is the file of that name. Every format has a plain reader, which
gives (user, item, value) tuples of such a text, and a writer, which makes a longer file of random
events. The snippets of the page run on both, and the matrix after each must hold what is in the
file that the snippet names.
"""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parent.parent / "docs/files.md"
SAMPLE = re.compile(r"^```text (\S+)\n(.*?)^```$", re.M | re.S)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def seconds(text):
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def read_separated(separator, user=0, item=1, value=3, ids=int, number=float, skip=0):
    def read(text):
        rows = [line.split(separator) for line in text.splitlines()[skip:]]
        return [(ids(row[user]), ids(row[item]), number(row[value])) for row in rows]

    return read


def read_behaviour(text):
    rows = [line.split(",") for line in text.splitlines()]
    return [(int(r[0]), int(r[1]), float(r[4])) for r in rows if r[3] in ("buy", "cart")]


def read_reviews(text):
    rows = map(json.loads, text.splitlines())
    return [(row["user_id"], row["parent_asin"], row["timestamp"] / 1000) for row in rows]


def read_clicks(text):
    events = read_separated(",", 0, 2, 1, number=seconds)(text)
    sizes = Counter(session for session, _ in {event[:2] for event in events})
    return [event for event in events if sizes[event[0]] >= 2]


def read_views(text):
    rows = [line.split(";") for line in text.splitlines()[1:]]
    return [(int(r[0]), int(r[2]), seconds(r[4]) + int(r[3]) / 1000) for r in rows]


def read_sessions(text):
    rows = map(json.loads, text.splitlines())
    return [(row["session"], e["aid"], e["ts"] / 1000) for row in rows for e in row["events"]]


def read_adjacency(text):
    rows = [line.split() for line in text.splitlines()]
    return [(int(row[0]), int(item), 1.0) for row in rows for item in row[1:]]


def read_order(text):
    seen = Counter()
    events = []
    for line in text.splitlines():
        user, item = map(int, line.split())
        seen[user] += 1
        events.append((user, item, float(seen[user])))
    return events


def read_libfm(text):
    rows = [re.split("[ :]", line) for line in text.splitlines()]
    return [(int(row[1]), int(row[3]), float(row[0])) for row in rows]


def read_netflix(text):
    events = []
    for line in text.splitlines():
        if line.endswith(":"):
            item = line[:-1]
        else:
            user, _, day = line.split(",")
            events.append((user, item, seconds(day)))
    return events


READERS = {
    "ratings.dat": read_separated("::"),
    "u.data": read_separated("\t"),
    "UserBehavior.csv": read_behaviour,
    "mine.inter": read_separated("\t", ids=str, skip=1),
    "reviews.jsonl": read_reviews,
    "yoochoose-clicks.dat": read_clicks,
    "train-item-views.csv": read_views,
    "otto.jsonl": read_sessions,
    "train.txt": read_adjacency,
    "test.txt": read_adjacency,
    "Beauty.txt": read_order,
    "train.libfm": read_libfm,
    "combined_data_1.txt": read_netflix,
    "listens.tsv": read_separated("\t", 0, 3, 1, ids=str, number=seconds),
}


def lines(pattern, events, head=""):
    """A line for each event (user, item, seconds); `kind` is one of two words."""
    return head + "".join(
        pattern.format(
            u=u, i=i, t=t, r=t % 5 + 1, day=str(datetime.fromtimestamp(t, UTC))[:10],
            iso=datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            kind=("buy", "pv")[t % 2],
        )
        for u, i, t in events
    )  # fmt: skip


def grouped(events, key):
    return {
        group: [e for e in events if e[key] == group] for group in sorted({e[key] for e in events})
    }


def adjacency(events):
    rows = (f"{u} {' '.join(str(e[1]) for e in own)}\n" for u, own in grouped(events, 0).items())
    return "".join(rows) + "990\n"  # no item


def random_files():
    """Files of the same 300 pairs of user and item, whose ids are numbers; in order of time."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(40 * 25, 300, replace=False)
    times = np.sort(rng.integers(10**9, 1_500_000_000, 300))
    events = [(int(p) // 25, int(p) % 25 + 40, int(t)) for p, t in zip(pairs, times, strict=True)]
    sessions = (
        {"session": u, "events": [{"aid": e[1], "ts": e[2] * 1000 + 7} for e in own]}
        for u, own in grouped(events, 0).items()
    )
    reviews = '{{"user_id": "A{u}", "parent_asin": "{i:05}", "rating": 4.0, "timestamp": {t}123}}\n'
    names = ["NA", "null", '"X', "nan", "the the", "12", "012"]
    plays = [(f"u{u}", names[i % 7], t) for u, i, t in events]  # many of them again
    return {
        "ratings.dat": lines("{u}::{i}::{r}::{t}\n", events),
        "u.data": lines("{u}\t{i}\t{r}\t{t}\n", events),
        "UserBehavior.csv": lines("{u},{i},77,{kind},{t}\n", events),
        "mine.inter": lines(
            "0{u}\t{i}\t{r}\t{t}\n",
            events,
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n",
        ),
        "reviews.jsonl": lines(reviews, events),
        "yoochoose-clicks.dat": lines("{u},{iso},{i},S\n", events + [(990, 41, 10**9)]),
        "train-item-views.csv": lines(
            "{u};NA;{i};{r}123;{day}\n", events, "sessionId;userId;itemId;timeframe;eventdate\n"
        ),
        "otto.jsonl": "".join(json.dumps(session) + "\n" for session in sessions),
        "train.txt": adjacency(events[:200]),
        "test.txt": adjacency(events[200:]),
        "Beauty.txt": lines("{u} {i}\n", events),
        "train.libfm": lines("{r} {u}:1 {i}:1\n", events),
        "combined_data_1.txt": "".join(
            f"{i}:\n" + lines("{u},{r},{day}\n", own) for i, own in grouped(events, 1).items()
        ),
        "listens.tsv": lines("{u}\t{iso}\t\t{i}\t\tNA\n", plays),
    }


def table(X, encoder):
    X = X.tocoo()
    rows, columns = encoder.users_[X.row], encoder.items_[X.col]
    return dict(zip(zip(rows, columns, strict=True), X.data.tolist(), strict=True))


def reduced(events, keep):
    """One value for each pair; dicts keep the last of equal keys."""
    ordered = sorted(events, key=lambda event: event[2], reverse=keep == "first")
    return {(user, item): value for user, item, value in ordered}


def check_file(name, text, namespace):
    encoder = namespace["encoder"]
    part = {"train.txt": "history", "test.txt": "holdout"}.get(name, "X")
    expected = reduced(READERS[name](text), "first" if name == "listens.tsv" else "last")
    found = table(namespace[part], encoder)
    assert expected and found.keys() == expected.keys(), name
    if encoder.values_ != "binary":
        assert found == pytest.approx(expected, abs=1e-6), name


@pytest.mark.parametrize("source", ["page", "random"])
def test_snippets_read_what_is_in_the_files(source, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text()
    samples = dict(SAMPLE.findall(page))
    assert samples.keys() == READERS.keys()
    files = samples if source == "page" else random_files()
    assert files.keys() == READERS.keys()
    for name, text in files.items():
        Path(name).write_text(text)
    namespace, checked = {}, set()
    for block in BLOCK.findall(page):
        exec(block, namespace)
        for name in re.findall(r'"([\w.-]+\.\w+)"', block):
            check_file(name, files[name], namespace)
            checked.add(name)
    assert checked == READERS.keys()
