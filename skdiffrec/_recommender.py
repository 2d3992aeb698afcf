"""CFGDiffusionRecommender: wiring only."""

import os
from types import SimpleNamespace
from typing import Any, Literal, Self

import torch
from joblib import Memory

from ._draws import DrawsMixin
from ._explanation import ExplanationMixin
from ._inference.device import resolve_device
from ._inference.onnx import OnnxMixin
from ._parameters import FREE_PARAMETERS, PAPER, PARAMETER_CONSTRAINTS
from ._sampled import SampledRecommender
from ._sweeps import SweepMixin
from ._training.cache import remembered
from ._training.fit import FittedModel, fit_model, new_diffusion, training_key
from ._training.user_weights import check_sample_weight
from ._utils.callbacks import CallbackSupportMixin, EpochCallbacks
from ._utils.hashing import draw_seed
from ._utils.typing import ArrayLike, MatrixLike, RandomState, Values
from ._utils.validation import check_guidance_scale


class CFGDiffusionRecommender(
    CallbackSupportMixin, ExplanationMixin, DrawsMixin, SweepMixin, OnnxMixin, SampledRecommender
):
    """Diffusion recommender with classifier-free guidance.

    One network learns to denoise a user's interaction row, with the user's history as condition
    and, for a share of the training rows, without it. At prediction the two are combined as
    ``uncond + guidance_scale * (cond - uncond)``: 0 ranks by what is popular, 1 is the plain
    conditional model, more is more personal. The first seven parameters have no say in `fit` and
    may be changed after it.

    Parameters
    ----------
    guidance_scale : float or "auto", default=1.0
        Weight of the conditional branch, between -1000 and 1000. "auto" is the best of seven from
        0.5 to 3 on the hidden items of early stopping (1 without it, or with ``loss="squared"``).
    n_sampling_steps : int, default=1
        Denoiser evaluations at prediction, from `start_timestep` down.
    start_timestep : int or None, default=None
        Where sampling starts. None starts from noise at the last timestep; an int t starts from
        the history, noised to level t (DiffRec's T′).
    eta : float, default=0.0
        0 is deterministic DDIM, 1 ancestral DDPM.
    temperature : float, default=0.0
        Factor of all noise in sampling. 0 follows its mean, which ranks best; 1 draws samples.
    n_samples : int, default=1
        Draws whose estimates are averaged, where there is a `temperature`.
    sampler : {"hidden_space", "item_space"}, default="hidden_space"
        Where the steps of sampling run. Both give the same scores, or with noise the same
        distribution of them; "item_space", with one number per item, is the slow reference.
    values : {"binary", "weight", "time"}, default="binary"
        What the values of X say: nothing; confidence, count or the like; or when the interaction
        happened, in any unit, > 0. With times, training cuts a row at a random moment and learns
        the later items from the earlier ones, and histories are weighted by recency.
    half_life : float or None, default=5.0
        Age, in items, at which an item of the history weighs half (``values="time"``); its weight
        never falls below 0.1. The network reads the history at an eighth of it and at twice it
        too. None weighs all alike.
    cond_drop_prob : float, default=0.2
        Probability that a training row's condition is replaced by the learned null token.
    condition_dropout : "auto", float or tuple of 2 floats, default="auto"
        Share of a training row's items that the condition does not show, and that are then the
        target: a number, or a range from which each row draws its own. Drawn at random, or the
        latest items where values are times. 0 shows the whole row, which is then the target too,
        so that copying solves the task. "auto" is (0.05, 0.5) for times, else (0.3, 0.7).
    n_timesteps : int, default=100
        Length T of the noise schedule.
    noise_schedule : {"linear", "cosine", "linear_variance"}, default="cosine"
        The paper's is "linear", DiffRec's "linear_variance".
    beta_start, beta_end : float, default=1e-4 and 0.02
        First and last beta; the first and last variance 1 − ᾱ for "linear_variance"; not used by
        "cosine".
    prediction_type : {"x0", "epsilon", "v"}, default="x0"
        What the network estimates; "epsilon", the noise, is the paper's.
    loss : {"multinomial", "squared"}, default="multinomial"
        How items are ranked: by a head of their own, trained on the log-likelihood of the target
        items, beside the squared error of the estimate that drives the sampler; or by that
        estimate itself.
    latent_dim : int or None, default=128
        Dimension of the linear image of item space (leading right singular vectors of X) in which
        noise is added and removed; None is item space itself.
    item_path : {"auto", "ease", "neighborhood"} or None, default="auto"
        Closed-form item-item model added to the ranking head after training: EASE, or a ridge
        regression of every item on its 100 nearest. "auto" is the former where at least 1.5 % of X
        is filled, and the latter above 5,000 items; else it chooses on hidden items of the training
        rows. With times the choice is always made, and includes the ridge and the share of steps
        from earlier to later items (SLIST, arXiv 2103.16104) that it is fitted on.
    item_path_reg : "auto" or float, default="auto"
        Ridge λ of the closed form, in users; "auto" is 10 users of a mean item for EASE, 3 for the
        other, where a user of n items counts as 1/√n users; with times it is chosen. With a number,
        ``item_path="auto"`` chooses nothing: it is EASE up to 5,000 items.
    item_path_weight : "auto" or float, default="auto"
        Weight of the closed form, where 1 makes its scores spread over the items as wide as the
        network's. "auto" takes the one of 0.5, 1, 2, 4, 16 and 64 that is best on the hidden items
        of early stopping (0.5 without it).
    hidden_dims : "auto" or array-like of int, default="auto"
        Widths of the layers; one as wide as the layer before it is a residual block. "auto" is one
        layer, and a residual block after it where at least 1.5 % of X is filled; 240 wide.
    time_dim : int, default=16
        Dimension of the sinusoidal time embedding.
    dropout : "auto" or float, default="auto"
        On hidden layers; "auto" is 0.3 where X is as dense as that, else 0.5.
    max_epochs : int, default=40
        Passes over the users.
    batch_size : "auto" or int, default="auto"
        Users in a training step; "auto" makes about 48 steps an epoch, of 64 to 1,024 users.
    n_loss_items : "auto", int or None, default="auto"
        Items that a step's ranking loss is computed on, its targets among them; drawn ones stand
        for the rest. None is all; "auto" is 4,096 above 8,192 items.
    learning_rate, weight_decay : float, default=2e-3 and 0.0
        Of AdamW.
    ema_decay : float, default=0.99
        Of the running average of the weights, per step; the average is what is kept.
    early_stopping : bool, default=True
        Hide a fifth of some users' items (the latest where values are times), stop when nDCG@10
        on them no longer rises, and keep the best weights.
    validation_fraction : float, default=0.25
        Share of users with hidden items, at most 1,000 users.
    n_iter_no_change : int, default=10
        Epochs without a better nDCG@10 after which training stops.
    device : str or torch.device, default="auto"
        "auto" takes a GPU if there is one.
    memory : None, str, os.PathLike or joblib.Memory, default=None
        Folder in which trained models are kept. A fit on the same rows and weights with the same
        parameters (but for the first seven, `memory` and `verbose`) and library versions is read
        from there instead of trained again, so that a search over guidance scales trains once per
        fold, whatever its ``n_jobs``. Entries are pickles: use a folder that only you can write.
    random_state : int, RandomState instance or None, default=None
        Of the fit and, with a `temperature`, of the draws. With `memory`, None takes any model
        that was trained with None.
    verbose : int, default=0
        1 shows a progress bar with the loss and, with early stopping, nDCG@10 of hidden items.

    Attributes
    ----------
    n_features_in_ : int
        Number of items.
    n_iter_ : int
        Epochs run.
    history_ : list of dict
        One record an epoch: epoch, loss and, with early stopping, validation_ndcg.
        ``history_.to_frame()`` is a pandas DataFrame of them.
    best_validation_score_ : float or None
        Best nDCG@10 of hidden items.
    item_path_weight_ : float
        The weight of the closed form that is used.
    best_guidance_scale_ : float
        What ``guidance_scale="auto"`` is.

    References
    ----------
    Buchanan et al., "Incorporating Classifier-Free Guidance in Diffusion Model-Based
    Recommendation", arXiv 2409.10494; Wang et al., "Diffusion Recommender Model",
    arXiv 2304.04971; Ho and Salimans, "Classifier-Free Diffusion Guidance", arXiv 2207.12598.

    Examples
    --------
    >>> from skdiffrec import CFGDiffusionRecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
    >>> ids, scores = model.fit(data.train).recommend([0, 1, 2], k=5, guidance_scale=1.5)
    >>> ids.shape
    (3, 5)
    """

    n_iter_: int
    history_: list[dict[str, float]]
    best_validation_score_: float | None
    item_path_weight_: float
    best_guidance_scale_: float

    _parameter_constraints = PARAMETER_CONSTRAINTS

    def __init__(
        self,
        *,
        guidance_scale: float | Literal["auto"] = 1.0,
        n_sampling_steps: int = 1,
        start_timestep: int | None = None,
        eta: float = 0.0,
        temperature: float = 0.0,
        n_samples: int = 1,
        sampler: Literal["hidden_space", "item_space"] = "hidden_space",
        values: Values = "binary",
        half_life: float | None = 5.0,
        cond_drop_prob: float = 0.2,
        condition_dropout: float | tuple[float, float] | Literal["auto"] = "auto",
        n_timesteps: int = 100,
        noise_schedule: Literal["linear", "cosine", "linear_variance"] = "cosine",
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        prediction_type: Literal["x0", "epsilon", "v"] = "x0",
        loss: Literal["multinomial", "squared"] = "multinomial",
        latent_dim: int | None = 128,
        item_path: Literal["auto", "ease", "neighborhood"] | None = "auto",
        item_path_reg: float | Literal["auto"] = "auto",
        item_path_weight: float | Literal["auto"] = "auto",
        hidden_dims: ArrayLike = "auto",
        time_dim: int = 16,
        dropout: float | Literal["auto"] = "auto",
        max_epochs: int = 40,
        batch_size: int | Literal["auto"] = "auto",
        n_loss_items: int | Literal["auto"] | None = "auto",
        learning_rate: float = 2e-3,
        weight_decay: float = 0.0,
        ema_decay: float = 0.99,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        n_iter_no_change: int = 10,
        device: str | torch.device = "auto",
        memory: str | os.PathLike[str] | Memory | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.guidance_scale = guidance_scale
        self.n_sampling_steps = n_sampling_steps
        self.start_timestep = start_timestep
        self.eta = eta
        self.temperature = temperature
        self.n_samples = n_samples
        self.sampler = sampler
        self.values = values
        self.half_life = half_life
        self.cond_drop_prob = cond_drop_prob
        self.condition_dropout = condition_dropout
        self.n_timesteps = n_timesteps
        self.noise_schedule = noise_schedule
        self.beta_start = beta_start
        self.beta_end = beta_end
        self.prediction_type = prediction_type
        self.loss = loss
        self.latent_dim = latent_dim
        self.item_path = item_path
        self.item_path_reg = item_path_reg
        self.item_path_weight = item_path_weight
        self.hidden_dims = hidden_dims
        self.time_dim = time_dim
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.n_loss_items = n_loss_items
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.ema_decay = ema_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def paper(cls, **parameters: Any) -> Self:
        """The configuration of arXiv 2409.10494; any parameter can be overridden.

        Linear schedule, noise prediction in item space by a feed-forward network, the whole
        pre-noise row as condition, dropped for 20 % of the rows, the best epoch by nDCG@10.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> CFGDiffusionRecommender.paper(guidance_scale=2.0).prediction_type
        'epsilon'
        """
        return cls(**{**PAPER, **parameters})

    def fit(self, X: MatrixLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to the rows of X.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories; non-negative, a stored non-zero is an interaction.
        y : object, default=None
            Ignored, always.
        sample_weight : float or array-like of float, shape (n_users,), default=None
            How much each user counts; a weight of 2 is as good as a second copy of the row, one
            of 0 as good as none. None weighs all alike.

        Returns
        -------
        self : object
            If fitting fails, the estimator is left as it was. Ctrl-C after the first epoch does
            not: it ends training, with a warning, and the best weights so far are kept; inside a
            search of scikit-learn's it ends the search.

        Raises
        ------
        ValueError
            If `X` has missing, infinite or negative values or no interaction, `sample_weight` is
            negative or has another length, or a parameter is out of its range.

        Notes
        -----
        Callbacks of scikit-learn (1.9 and later, ``set_callbacks``) hear of every epoch. They
        score on the histories and hidden items of early stopping, with
        ``ScoringMonitor(scoring={"ndcg": RankingScorer("ndcg")})`` for one; without early stopping
        on `X` and `y`. A callback may end training; such a model is not kept in `memory`.
        """
        return self._fit_or_restore(X, y=y, sample_weight=sample_weight)

    def _fit(self, X, y, sample_weight):
        sample_weight = check_sample_weight(sample_weight, X.shape[0])
        parameters = {k: v for k, v in vars(self).items() if not (k[0] == "_" or k[-1] == "_")}
        parameters = SimpleNamespace(**parameters)  # get_params leaves out what a subclass fixes
        self._sampling_settings(new_diffusion(parameters))
        if self.guidance_scale != "auto":
            check_guidance_scale(self.guidance_scale, 1)
        device = resolve_device(self.device, fitting=True)
        seed = draw_seed(self.random_state)
        given_seed = None if self.random_state is None else seed
        of_training = {k: v for k, v in vars(parameters).items() if k not in FREE_PARAMETERS}
        callbacks = EpochCallbacks(self, self.max_epochs, X, y, FittedModel.attributes)
        model = remembered(
            self.memory,
            lambda: training_key(X, sample_weight, of_training, given_seed, device),
            lambda: fit_model(X, sample_weight, parameters, seed, device, self._blocks, callbacks),
            keep=lambda model: model.complete,
        )
        self._adopt(model)
        callbacks.end()
