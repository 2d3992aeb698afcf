"""A trained model: what training leaves behind, and what every question to it is answered by."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from threading import RLock
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .._diffusion.process import Diffusion
from .._network.closed_form import ClosedForm
from .._network.denoiser import Denoiser
from .._network.sparse_rows import HistoryReader, UserRows
from .._utils.condition_names import DISLIKED, USER_FEATURES, WANTED
from .._utils.hashing import row_keys
from .._utils.host_state import in_own_state, set_mkl, set_openmp
from .._utils.opinions import Opinions
from .._utils.results import TrainingHistory
from .._utils.rows import unit_free
from .._utils.topk import EVERY_ITEM, ItemFilter, empty_lists, row_blocks
from .chain_spaces import chain_space
from .device import run_blocks, screens_in_bfloat16
from .estimate_scores import EstimateScores
from .explanation import closed_form_contributions, leave_one_out
from .ranking import HeadScores, guided_lists, tile_starts, widest_tile
from .reverse_process import SamplingTables
from .scoring import branch_scores, drawn_scores, guided_scores, staged_scores, swept_scores
from .search import searched_lists
from .search_depth import index_of
from .settings import SamplingSettings
from .state import model_state, restored
from .wanted import WantedItems

# Products of fewer rows are slower; of many more, two threads round rows otherwise than of few.
_BLOCK_ROWS = 512
_SEARCHED_ROWS = 1024  # of a search: the more share a list, the fewer times it is read

Rows: TypeAlias = UserRows | csr_array  # of histories alone
Items: TypeAlias = NDArray[np.int64]
Scales: TypeAlias = NDArray[np.float64]
Scores: TypeAlias = NDArray[np.float32]


class TrainingSummary(NamedTuple):
    """What training found out.

    Attributes
    ----------
    history : TrainingHistory
        One record an epoch.
    best_validation_score : float or None
        Best nDCG@10 of held-out items.
    closed_form_weight : float
    best_scale : float
        The guidance scale that ranks held-out items best.
    ended_by : {"training", "callback", "interrupt"}
        What ended it.
    """

    history: TrainingHistory
    best_validation_score: float | None = None
    closed_form_weight: float = 0.0
    best_scale: float = 1.0
    ended_by: str = "training"


class OptimizerState(NamedTuple):
    """What a further pass over rows goes on with.

    Attributes
    ----------
    n_updates : int
        Of the running average.
    arrays : dict of ndarray
        Moments of the gradients by number of the parameter, steps and, where they are not the
        averaged ones of the model, weights.
    """

    n_updates: int
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A trained network with its closed form; built once, by the end of training, never changed.

    Canonical rows X go in, arrays come out. How it is sampled is said at every call.

    Parameters
    ----------
    denoiser : Denoiser
    diffusion : Diffusion
    values, half_life
        As in `CFGDiffusionRecommender`; `half_life` is None but for times.
    seed : int
        Of the random numbers of a row.
    closed_form : ClosedForm or None
    closed_form_scale : float
        Factor of its scores.
    opinions : Opinions or None
        How ratings are read.
    score_spread : float
        Of a user's scores over items, the standard deviation.
    item_features : csr_array of float32, shape (n_items, n_item_features), or None
    item_feature_names : tuple of str or None
    training : TrainingSummary
    optimizer : OptimizerState or None
    """

    denoiser: Denoiser
    diffusion: Diffusion
    values: str
    half_life: float | None
    seed: int
    closed_form: ClosedForm | None = None
    closed_form_scale: float = 0.0
    opinions: Opinions | None = None
    score_spread: float = 0.0
    item_features: csr_array | None = None
    item_feature_names: tuple[str, ...] | None = None
    training: TrainingSummary = TrainingSummary(TrainingHistory())
    optimizer: OptimizerState | None = None
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    _making: Any = field(default_factory=RLock, init=False, repr=False)

    def attributes(self) -> dict[str, Any]:
        """The attributes of an estimator that was fitted to this model."""
        training, opinions = self.training, self.opinions
        liked_from = {} if opinions is None else {"liked_from_": opinions.liked_from}
        return liked_from | {
            "_model": self,
            "history_": TrainingHistory(training.history),
            "n_iter_": len(training.history),
            "best_validation_score_": training.best_validation_score,
            "closed_form_weight_": training.closed_form_weight,
            "best_guidance_scale_": training.best_scale,
        }

    @property
    def device(self) -> torch.device:
        return self.denoiser.device

    @property
    def conditions(self) -> tuple[str, ...]:
        """What lists can be conditioned on, in the order of the chain."""
        wanted = () if self.item_features is None else (WANTED,)
        return *self.denoiser.conditions, *wanted

    @property
    def reader(self) -> HistoryReader:
        """Reads histories as the network wants them."""
        return self._once("reader", lambda: HistoryReader(self.values, self.half_life))

    @property
    def screens(self) -> bool:
        """Whether the catalogue is screened in bfloat16."""
        return self._once("screens", lambda: screens_in_bfloat16(self.device))

    @property
    def item_index(self) -> Any:
        """An index of the output layer, or None; see `index_of`."""
        return self._once("item_index", lambda: index_of(self))

    def tables(self, reference: bool = False) -> SamplingTables:
        """What sampling computes from the weights, once."""
        return self._once(reference, lambda: self._new_tables(reference))

    def _once(self, name, make):
        if name not in self._made:
            with self._making:  # blocks of rows ask side by side
                if name not in self._made:
                    self._made[name] = make()
        return self._made[name]

    @in_own_state()
    def _new_tables(self, reference):
        net, wanted = self.denoiser, None
        space = chain_space(net, reference)
        if self.item_features is not None:
            starts = tile_starts(net.n_items)
            wanted = WantedItems(self.item_features, self.score_spread, starts, self.device)
        scores: HeadScores | EstimateScores = EstimateScores(space, self.half_life, wanted)
        if self.denoiser.head.ranks:
            form = self.closed_form, self.closed_form_scale
            besides = net.user_features, net.disliked, self.conditions, wanted
            scores = HeadScores(net.head, *form, *besides)
        return SamplingTables(net, self.diffusion, space, scores)

    @in_own_state(device=True)
    def to(self, device: torch.device) -> "FittedModel":
        """The same model with its weights on `device`."""
        if self.device == torch.empty(0, device=device).device:  # "cuda" is one with a number
            return self
        record, tensors = model_state(self)
        moved = self.of_state(record, tensors)
        form = moved.closed_form
        return replace(
            moved,
            denoiser=moved.denoiser.to(device),
            closed_form=None if form is None else form.to(device),
        )

    @property
    def resolved(self) -> tuple[Any, SamplingSettings]:
        """What `resolve` kept last."""
        return self._made.get("resolved", (None, SamplingSettings()))

    def resolve(self, asked: tuple[Any, ...], settings: SamplingSettings) -> None:
        """Keep the settings that an estimator's parameters stand for, to check these once."""
        self._made["resolved"] = asked, settings

    def evaluation_settings(self) -> SamplingSettings:
        """Sampling while a model is trained: sampling parameters do not affect `fit`."""
        n_steps = min(self.denoiser.head.evaluation_steps, self.diffusion.n_timesteps)
        return SamplingSettings(n_steps)

    def _inputs(self, X: Rows, settings: SamplingSettings) -> tuple[Any, UserRows, Any]:
        rows = UserRows.of(X)
        keys = self._keys(rows) if settings.temperature else None
        return self, self.read(rows), keys

    def _keys(self, rows: UserRows) -> Any:
        keys = row_keys(unit_free(rows.history, self.values), self.seed)
        for name, salt in ((USER_FEATURES, 0), (DISLIKED, 1)):
            entries = getattr(rows, name)
            if entries is not None:
                keys = np.where(rows.known(name), keys ^ row_keys(entries, salt), keys)
        return keys

    def read(self, rows: UserRows) -> UserRows:
        """Histories and what else is known as the network reads them."""
        features, reader = rows.user_features, self.denoiser.user_features
        if reader is not None:
            features = reader.read(features, rows.shape[0])
        besides = features, rows.disliked, rows.wanted
        return UserRows(self.reader.read(rows.history), *besides)

    def blocks(self, n: int, *, n_columns: int | None = None) -> list[slice]:
        """Blocks of n rows, of whose scores `n_columns` are there at once; None is all."""
        return row_blocks(n, n_columns or self.denoiser.n_items, _BLOCK_ROWS)

    def each(self, run: Callable[[slice], None], blocks: list[slice]) -> None:
        """``run(block)`` for each of independent blocks, on a CPU with one thread each."""
        if self.device.type != "cpu":
            run_blocks(run, blocks, most=1)
        elif len(blocks) > 1:
            run_blocks(run, blocks)
        elif blocks:  # no pool for a single block, and `torch_threads` in place
            n_threads, mkl_threads = torch.get_num_threads(), set_mkl(1)
            if n_threads > 1:
                set_openmp(1)
            try:
                run(blocks[0])
            finally:
                if n_threads > 1:
                    set_openmp(n_threads)
                set_mkl(mkl_threads)

    def rank(
        self,
        X: Rows,
        k: int,
        scale: Scales,
        settings: SamplingSettings,
        *,
        chosen: Items | None = None,
        filter_seen: bool = True,
        items: ItemFilter = EVERY_ITEM,
        approximate: bool = False,
    ) -> tuple[Items, Scores]:
        """Lists (ids, scores) of the k best items, of the chosen rows (None: of all in order)."""
        n = X.shape[0] if chosen is None else len(chosen)
        ids, scores = empty_lists(n, k)
        index = self.item_index if approximate else None
        lists = guided_lists if index is None else partial(searched_lists, index=index)

        def rank(block):
            rows = X[block] if chosen is None else X[chosen[block]]
            model, known, keys = self._inputs(rows, settings)
            ids[block], scores[block] = lists(
                model,
                known,
                keys,
                scale[block],
                settings,
                k,
                filter_seen=filter_seen,
                items=items.of(block),
            )

        n_columns = None
        if self.denoiser.head.ranks:  # scores are never there as a whole, but a tile at a time
            n_columns = widest_tile(self.denoiser.n_items)
        blocks = self.blocks(n, n_columns=n_columns)
        if index is not None:
            blocks = row_blocks(n, n_columns=1, most=_SEARCHED_ROWS)
        self.each(rank, blocks)
        return ids, scores

    def score_all(self, X: Rows, scale: Scales, settings: SamplingSettings) -> Scores:
        """Scores (n_rows, n_items) of any number of rows."""
        scores = np.empty(X.shape, np.float32)

        def score(block):
            scores[block] = self.score(X[block], scale[block], settings)

        self.each(score, self.blocks(X.shape[0]))
        return scores

    def score(
        self, X: Rows, scale: Scales, settings: SamplingSettings, items: Items | None = None
    ) -> Scores:
        """Scores (n_rows, n_items) of one block; with `items` (ascending) of these alone."""
        model, known, keys = self._inputs(X, settings)
        return guided_scores(model, known, keys, scale, settings, items)

    def score_without(
        self, condition: str, X: Rows, scale: Scales, settings: SamplingSettings, items: Items
    ) -> Scores:
        """`score` of the same users if a condition were unknown, with their random numbers."""
        model, known, keys = self._inputs(X, settings)
        return guided_scores(model, known.without(condition), keys, scale, settings, items)

    def stages(self, X: Rows, scale: Scales, settings: SamplingSettings) -> Iterator[Scores]:
        """`score` after each sampling step."""
        model, known, keys = self._inputs(X, settings)
        return staged_scores(model, known, keys, scale, settings)

    def sweep(
        self, X: Rows, scales: Sequence[float] | Scales, settings: SamplingSettings
    ) -> Iterator[Scores]:
        """`score` at each of several scales for all rows."""
        model, known, keys = self._inputs(X, settings)
        return swept_scores(model, known, keys, scales, settings)

    def branches(
        self, X: Rows, scale: Scales, settings: SamplingSettings, items: Items | None = None
    ) -> Scores:
        """Scores of every branch behind `score`, the unconditional first, the conditional last."""
        model, known, keys = self._inputs(X, settings)
        return branch_scores(model, known, keys, scale, settings, items)

    def draws(
        self, X: Rows, scale: Scales, settings: SamplingSettings, n_draws: int
    ) -> Iterator[Scores]:
        """`score` of one draw after the other."""
        model, known, keys = self._inputs(X, settings)
        return drawn_scores(model, known, keys, scale, settings, n_draws)

    def closed_form_contributions(
        self, X: Rows, scale: Scales, settings: SamplingSettings, items: Items
    ) -> tuple[Scores, Scores]:
        """(contributions, base): the closed form's part of the scores of one row."""
        return closed_form_contributions(self, self.read(UserRows.of(X)), scale, settings, items)

    def leave_one_out(
        self, X: Rows, scale: Scales, settings: SamplingSettings, items: Items
    ) -> Scores:
        """`score` of one row without each of its items, (n_known, len(items))."""
        model, known, keys = self._inputs(X, settings)
        return leave_one_out(model, known, keys, scale, settings, items, self.blocks)

    @in_own_state()
    def item_vectors(self) -> Scores:
        """The vectors (n_items, H) by which the network scores items."""
        return self.denoiser.item_vectors()

    @in_own_state()
    def closed_form_scores(self, X: Rows) -> Scores:
        """Scores of the closed form alone, without its factor."""
        assert self.closed_form is not None
        form = self.closed_form
        history = self.reader.read(UserRows.of(X).history)
        rows = self.reader.rows(history, self.device)
        return form(rows.weighted(form.half_life, form.floor))[: X.shape[0]].cpu().numpy()

    def __getstate__(self):
        """Numbers and NumPy arrays alone: what is pickled loads on a machine without a GPU."""
        return model_state(self)

    def __setstate__(self, state):
        record, tensors = state
        for name, value in vars(self.of_state(record, dict(tensors))).items():
            object.__setattr__(self, name, value)

    @classmethod
    @in_own_state(device=True)
    def of_state(cls, record: dict[str, Any], tensors: dict[str, Any]) -> "FittedModel":
        """The model that `model_state` took apart, checked; its arrays are taken out."""
        parts = restored(record, tensors)
        optimizer = parts.pop("optimizer")
        return cls(
            training=TrainingSummary(*parts.pop("training")),
            optimizer=optimizer and OptimizerState(*optimizer),
            **parts,
        )
