"""Events of users with two tastes, and a recommender with a guidance scale that fits at once."""

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from skdiffrec.baselines import EASERecommender
from skdiffrec.preprocessing import InteractionEncoder

REGS = [1.0, 1e5]


def make_events(n_users=48, n_each=9, seed=0):
    """Two tastes of 25 items each, in random order of the rows."""
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(n_users), n_each)
    items = rng.integers(0, 25, len(users)) + 25 * (users % 2)
    table = pd.DataFrame(
        {
            "user": [f"user {u:03d} of the shop" for u in users],
            "item": [f"i{i}" for i in items],
            "when": rng.permutation(len(users)) + 1,
        }
    )
    return table.sample(frac=1, random_state=seed, ignore_index=True)


def pipeline(*between, reg=20.0, **parameters):
    encoder = InteractionEncoder(**{"unknown_items": "ignore", **parameters})
    return make_pipeline(encoder, *between, EASERecommender(reg=reg))


class ScaledRecommender(EASERecommender):
    """EASE that a scale moves away from what is popular: what guidance is, without a network."""

    def __init__(self, *, reg=300.0, values="binary", guidance_scale=1.0):
        super().__init__(reg=reg, values=values)
        self.guidance_scale = guidance_scale

    def _score_rows(self, X):
        popular = self._item_popularity / self._item_popularity.max()
        return popular + np.float32(self.guidance_scale) * (super()._score_rows(X) - popular)

    def recommend_scales(self, scales, user_ids=None, k=10, **options):
        before, found = self.guidance_scale, []
        for scale in scales:
            self.guidance_scale = scale
            found.append(self.recommend(user_ids, k, **options))
        self.guidance_scale = before
        return tuple(np.array(parts) for parts in zip(*found, strict=True))
