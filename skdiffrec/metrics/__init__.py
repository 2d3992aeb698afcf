"""Metrics for lists of recommended items.

The lists hold item ids, best first, padded with -1, as ``recommend`` returns them. Most metrics
compare them with the held-out items of each user (the holdout). A metric has one value per user
(``per_user=True``) and averages them over users. A user without held-out items is NaN per user and
is left out of the mean.

**Accuracy.** Libraries disagree on the divisors, so a number means little without its definition.
With T held-out items of a user, the definitions here are

==============  ==================================================================
precision       hits / k
recall          hits / T
nDCG            binary gain, discount log2(rank + 1), ideal list of min(k, T) hits
MRR             1 / rank of the first hit, 0 without a hit in the top k
MAP             sum of the precisions at the hits / min(k, T)
hit rate        1 with a hit in the top k, else 0
R-precision     hits in the first T places / T
AUC             share of (held-out item, other item) pairs in the right order
==============  ==================================================================

and those of other libraries, selected by ``convention=``, are

=============  ==================  ===========  ==================  ============  =============
convention     precision           recall       nDCG                MAP           no holdout
=============  ==================  ===========  ==================  ============  =============
``skdiffrec``  k                   T            min(k, T)           min(k, T)     left out
``implicit``   Σhits / Σmin(k, T)  --           min(k, T)           min(k, T)     left out
``diffrec``    k                   T            min(k, T)           --            counts as 0
``rectools``   k                   T            k                   T             left out
``lenskit``    list                min(k, T)    min(k, T),          min(T, list)  left out
                                                log2(max(rank, 2))
``recbole``    k                   T            min(k, T)           min(k, T)     left out
=============  ==================  ===========  ==================  ============  =============

The cells show the divisor; for nDCG, the number of hits in the ideal list, and the discount where
it differs. You can override single choices (``recall_at_k(..., divisor="min")``) or pass your own
:class:`Convention`.

**Beyond accuracy.** These metrics describe the lists independently of the holdout: coverage, Gini
index and personalization (do all users get the same items?), novelty and popularity bias (are the
items mainly popular ones?), and diversity within a list. Serendipity combines both: it counts hits
that a popularity ranking would have missed. None is a goal by itself: random lists score well in
most of them.

**Ratings.** Where the holdout has ratings, ``ndcg_at_k(..., gains="rating")`` counts a hit by its
rating, and :func:`disliked_at_k` is the share of a list that users turned out to dislike.

**All at once.** :func:`ranking_report` computes every metric at several k; :func:`compare` tests
whether the difference between two models is more than chance.

All metrics see only recorded interactions. A user may like an item outside the holdout, and popular
items are in many holdouts, which favours lists of popular items. Items of the history are never in
the holdout, so a list that repeats them wastes places.
"""

from ._accuracy import hit_rate_at_k, map_at_k, mrr_at_k, ndcg_at_k, precision_at_k, recall_at_k
from ._catalogue import coverage_at_k, gini_at_k, personalization_at_k
from ._compare import Comparison, compare
from ._conventions import Convention
from ._dislikes import disliked_at_k
from ._diversity import intra_list_diversity_at_k
from ._novelty import novelty_at_k, popularity_bias_at_k, serendipity_at_k
from ._report import RankingReport, ranking_report
from ._without_cutoff import auc, r_precision

__all__ = [
    "Comparison",
    "Convention",
    "RankingReport",
    "auc",
    "compare",
    "coverage_at_k",
    "disliked_at_k",
    "gini_at_k",
    "hit_rate_at_k",
    "intra_list_diversity_at_k",
    "map_at_k",
    "mrr_at_k",
    "ndcg_at_k",
    "novelty_at_k",
    "personalization_at_k",
    "popularity_bias_at_k",
    "precision_at_k",
    "r_precision",
    "ranking_report",
    "recall_at_k",
    "serendipity_at_k",
]
