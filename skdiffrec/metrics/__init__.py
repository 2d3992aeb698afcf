"""Metrics for lists of recommended items.

The lists hold item ids, best first, -1 filling the end of a short one, as ``recommend`` returns
them. Most metrics hold them against the items that were hidden from the model (the holdout). Each
makes one value per user (``per_user=True``), then the mean over the users that can be judged: a
user without holdout is NaN per user, and left out of the mean.

**Accuracy.** Libraries disagree on the divisors, so a number means little without its definition.
With T items in a user's holdout, here

==============  ==================================================================
precision       hits / k
recall          hits / T
nDCG            binary gain, discount log2(rank + 1), ideal list of min(k, T) hits
MRR             1 / rank of the first hit, 0 without a hit in the top k
MAP             sum of the precisions at the hits / min(k, T)
hit rate        1 with a hit in the top k, else 0
R-precision     hits in the first T places / T
AUC             share of (holdout item, other item) pairs in the right order
==============  ==================================================================

and elsewhere, by ``convention=``:

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

(what hits are divided by; for nDCG the hits in the ideal list, and the discount where it differs).
Single choices can be overridden (``recall_at_k(..., divisor="min")``), and a :class:`Convention`
of one's own passed.

**Beyond accuracy.** What the lists are like, whatever was held out: coverage, Gini index and
personalization (does everybody get the same?), novelty, popularity bias and serendipity (is it but
what is popular?), and diversity inside a list. None is a goal alone: random lists score well in
most.

**All at once.** :func:`ranking_report` gives every metric at several k; :func:`compare` says
whether the difference of two models is more than chance.

All judge by what happened to be recorded: an item outside the holdout may be liked all the same,
and popular items are in many holdouts, so popular lists are flattered. Items of the history are
never in the holdout: a list that repeats them wastes places.
"""

from ._accuracy import hit_rate_at_k, map_at_k, mrr_at_k, ndcg_at_k, precision_at_k, recall_at_k
from ._catalogue import coverage_at_k, gini_at_k, personalization_at_k
from ._compare import Comparison, compare
from ._conventions import Convention
from ._diversity import intra_list_diversity_at_k
from ._novelty import novelty_at_k, popularity_bias_at_k, serendipity_at_k
from ._report import RankingReport, ranking_report
from ._whole_lists import auc, r_precision

__all__ = [
    "Comparison",
    "Convention",
    "RankingReport",
    "auc",
    "compare",
    "coverage_at_k",
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
