"""CFGDiffusionRecommender: its parameters."""

import os
from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from joblib import Memory

from ._parameters import PAPER, PARAMETER_CONSTRAINTS, REPAIRED
from ._trainable import TrainableDiffusion
from ._utils.canonical import RATING, VALUES
from ._utils.flags import check_flag
from ._utils.results import TrainingHistory
from ._utils.saving import add_library_classes
from ._utils.typing import ArrayLike, MatrixLike, RandomState, Values
from .baselines import (
    EASERecommender,
    ItemItemRecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
)


class CFGDiffusionRecommender(TrainableDiffusion):
    """Diffusion recommender with classifier-free guidance.

    One network learns to denoise a user's interaction row, with the user's history as condition
    and, for a share of the training rows, without it. At prediction the two are combined as
    ``uncond + guidance_scale * (cond - uncond)``: 0 ranks by popularity, 1 is the plain conditional
    model, more is more personal.

    Parameters
    ----------
    guidance_scale : float, "auto" or dict, default=1.0
        **Guidance and sampling**: these parameters do not affect `fit`; change them later with
        `set_params`. Weight of the conditional branch, between -1000 and 1000; a dict has one
        for each condition (see `recommend`). 1 is no guidance: the conditional branch alone, to
        the bit, whatever `cond_drop_prob`. "auto" is the best of nine from 0.1 to 3 on the
        held-out items of early stopping, if it is a hundredth better than 1 (1 without it, or with
        ``ranking_head=False``): less than 1 where users have few items.
    n_sampling_steps : int, default=1
        Denoiser evaluations at prediction, from `start_timestep` down.
    start_timestep : int or None, default=None
        Where sampling starts. None starts from noise at the last timestep; an int t starts from
        the history, noised to level t (DiffRec's T′), which the unconditional branch sees too.
    eta : float, default=0.0
        0 is deterministic DDIM, 1 ancestral DDPM.
    temperature : float, default=0.0
        Factor of all noise in sampling. 0 follows its mean, which ranks best; 1 draws samples.
    n_draws : int, default=1
        Draws whose estimates are averaged, where there is a `temperature`.
    values : {"binary", "weight", "time", "rating"}, default="binary"
        **Data.** What the values of X mean: nothing; a confidence, count or the like; the time of
        the interaction, in any unit, > 0; or an opinion. With times, training cuts a row at a
        random point and learns to predict later interactions from earlier ones, and histories are
        weighted by recency. With ratings the model predicts what users will like, from what they
        like (the condition "history") and from what they do not ("disliked").
    liked_from : float or "auto", default="auto"
        The least rating of a liked item (``values="rating"``). "auto" is a user's mean rating,
        where they rated five items or more and not all alike; else the mean of all ratings.
    half_life : float or None, default=5.0
        Age, in items, at which the closed form gives an item of the history half the weight
        (``values="time"``); no weight falls below 0.1. Where items come in sets such as orders
        (four and more of one time, on average) it is an age in sets, counted as so many items of
        the mean size. The network reads the history at an eighth of it, at half of it and at twice
        it. None gives all items the same weight. With a `horizon` the closed form that "auto"
        chooses reads at this or at .4 of it, with no floor.
    item_features : {array-like, sparse matrix, data frame} of shape \
(n_items, n_item_features), default=None
        What is known of the items, one row for each column of X, as finite numbers, for what is
        `wanted` of a list and for `add_items`. Nothing is learned of it in training.
    horizon : int or None, default=None
        What is to be predicted from a history, where values are times: the next `horizon` items,
        or None, everything later. A model is good at the question that it was trained for; `score`,
        `RankingScorer` and early stopping ask it. With a horizon the network reads the last six
        items each by weights of its own and the rest as sums that fade at half of `half_life`, at
        1.5 and at 7 times it, and up to 50 moments of every row are examples in an epoch.
    target_share : "auto", float or tuple of 2 floats, default="auto"
        Share of a training row's items that are the target and that the condition does not show: a
        number, or a range from which each row draws its own. Drawn at random, or the latest items
        where values are times. 0 shows the whole row, which is then the target too, so that
        copying solves the task. "auto" is (0.05, 0.5) for times, else (0.3, 0.7). With a
        `horizon` it says between which shares a row's moments are examples; "auto" is all of them.
    cond_drop_prob : float, default=0.2
        Probability that a training row's condition is replaced by the learned null token. 0 trains
        no unconditional branch; a ranking head has one all the same, since popularity is counted
        and not learned, so that scales 0 and 1 still differ. 1 trains nothing else: a diffusion
        without condition as DiffRec is, which needs ``early_stopping=False``, and whose lists are
        personal with ``guidance_scale=0`` and a `start_timestep` ("pseudo-guidance").
    n_timesteps : int, default=100
        **Noise.** Length T of the noise schedule.
    noise_schedule : {"cosine", "linear", "linear_variance"} or array-like, default="cosine"
        "linear" is the paper's, "linear_variance" DiffRec's. An array holds the cumulative alphas
        ᾱ_0 = 1 … ᾱ_T, and decides T; `skdiffrec.cosine_schedule`, `linear_schedule` and
        `linear_variance_schedule` make such arrays.
    prediction_type : {"x0", "epsilon", "v"}, default="x0"
        What the network estimates; "epsilon", the noise, is the paper's.
    ranking_head : bool, default=True
        **Network.** Whether items are ranked by a head of their own, trained on the multinomial
        log-likelihood of the target items, beside the squared error of the estimate that drives
        the sampler. False ranks by that estimate of x_0 itself, as the papers do.
    latent_dim : int or None, default=128
        Dimension of the linear image of item space (leading right singular vectors of X) in which
        noise is added and removed; None is item space itself.
    hidden_dims : "auto" or array-like of int, default="auto"
        Widths of the layers; one as wide as the layer before it is a residual block. "auto" is one
        layer 240 wide, and a residual block after it where at least 1.5 % of X is filled.
    dropout : "auto" or float, default="auto"
        On hidden layers; "auto" is 0.5 where values are times and X is not as dense as that,
        else 0.3.
    closed_form : "auto", recommender or None, default="auto"
        Closed-form item-item model whose scores are added to those of the ranking head after
        training. A recommender of `skdiffrec.baselines` (`EASERecommender`,
        `NeighborhoodRecommender`, `ItemKNNRecommender`) is cloned and fitted; its parameters are
        ``closed_form__reg`` and so on in searches; its `values` say what it learns from ("binary"
        is who took what), and its `half_life` is not used, for that of the model says how histories
        are read. "auto" is EASE where at least 1.5 % of X is
        filled and there are at most 5,000 items, else the neighbourhood form; from 0.4 % on popular
        items get less, and cosines of the nearest items join. Where less than 1.5 % is filled, the
        held-out items of early stopping are asked: EASE with much ridge takes its place if it is
        clearly better (up to 5,000 items), and scores of low rank are added if they help (PureSVD
        of scaled rows, EigenRec, arXiv 1511.06033). With times held-out items choose all of that,
        the ridge, and how much of the model is fitted on transitions from earlier to later items
        (SLIST, arXiv 2103.16104); scores of low rank are added only with a `horizon`.
    closed_form_weight : "auto" or float, default="auto"
        Weight of the closed form, where 1 makes its scores spread over the items as wide as the
        network's. "auto" takes the one of 0.5, 1, 2, 4, 16 and 64 that is best on the held-out
        items of early stopping (0.5 without it); with a `horizon` one of nine from 0.015 to 16
        (0.06).
    max_epochs : int, default=14
        **Training.** Passes over the users.
    batch_size : "auto" or int, default="auto"
        Users in a training step; "auto" makes about 24 steps an epoch where 1.5 % of X and more is
        filled, else 48, of 64 to 1,024 users; with a `horizon` steps of about 2,048 moments.
    n_loss_items : "auto", int or None, default="auto"
        Items that a step's ranking loss is computed on, its targets among them; drawn ones stand
        for the rest. None is all; "auto" is 2,048 above 8,192 items, with a `horizon` 1,024 above
        2,048.
    learning_rate : "auto" or float, default="auto"
        The highest of AdamW: it rises over the first tenth of `max_epochs` and falls to 0 at the
        last. "auto" is 3e-3, and 6e-3 with a `horizon`; where X is sparse and holds no times it
        rises with the users of a step to 5e-3.
    early_stopping : bool, default=True
        Hold out a fifth of some users' items (the latest where values are times), stop when
        nDCG@10 on them no longer rises, and keep the best weights. With a `horizon` the last
        moments of these users are held out, each with the next items.
    validation_fraction : float, default=0.25
        Share of users with held-out items, at most 1,000 users, 2,000 with a `horizon`. The
        network never learns from these items; the closed form does, in the end, where they are
        more than a hundredth of all.
    n_iter_no_change : int, default=10
        Epochs without a better nDCG@10 after which training stops.
    device : str or torch.device, default="auto"
        **Machine.** "auto" takes a GPU if there is one.
    memory : None, str, os.PathLike or joblib.Memory, default=None
        Folder in which trained models are kept. A fit on the same rows and weights with the same
        parameters (but for those of guidance and sampling, `memory` and `verbose`) and library
        versions is read from there instead of trained again, so that a search over guidance scales
        trains once per fold, whatever its ``n_jobs``. Entries are checked files without pickle; one
        that is damaged is trained again, with a warning.
    checkpoint : None, str or os.PathLike, default=None
        File in which a fit writes down how far it is. If it is killed, the same call of `fit` (the
        same data, parameters and versions; a `random_state` that is None, an int, or as it was
        then) goes on from there, and ends with the weights of a fit that was not killed. A fit that
        ends well removes the file. Each fit that runs at the same time needs a path of its own.
    checkpoint_every : float, default=60
        Seconds between two checkpoints; at the end of an epoch they are written earlier where that
        takes less than a hundredth of the time.
    random_state : int, RandomState instance or None, default=None
        Of the fit and, with a `temperature`, of the draws. With `memory`, None takes any model
        that was trained with None.
    verbose : int, default=0
        1 shows a progress bar with the loss and, with early stopping, nDCG@10 of held-out items.

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
        Best nDCG@10 of held-out items.
    closed_form_weight_ : float
        The weight of the closed form that is used.
    n_user_features_in_ : int
        Number of columns of `user_features`, where some were given.
    user_feature_names_in_ : ndarray of str
        Their names, where they were those of a data frame.
    liked_from_ : float
        With ratings, the least one of a liked item where a user has no mean of their own.
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
    history_: TrainingHistory
    best_validation_score_: float | None
    closed_form_weight_: float
    best_guidance_scale_: float

    _parameter_constraints = PARAMETER_CONSTRAINTS
    _values_read = (*VALUES, RATING)
    # that a file may name as the closed form
    _nested_classes = {
        "closed_form": (EASERecommender, NeighborhoodRecommender, ItemKNNRecommender),
    }

    def __init__(
        self,
        *,
        guidance_scale: float | Literal["auto"] | Mapping[str, float] = 1.0,
        n_sampling_steps: int = 1,
        start_timestep: int | None = None,
        eta: float = 0.0,
        temperature: float = 0.0,
        n_draws: int = 1,
        values: Values = "binary",
        liked_from: float | Literal["auto"] = "auto",
        half_life: float | None = 5.0,
        item_features: MatrixLike | None = None,
        horizon: int | None = None,
        target_share: float | tuple[float, float] | Literal["auto"] = "auto",
        cond_drop_prob: float = 0.2,
        n_timesteps: int = 100,
        noise_schedule: Literal["cosine", "linear", "linear_variance"] | ArrayLike = "cosine",
        prediction_type: Literal["x0", "epsilon", "v"] = "x0",
        ranking_head: bool = True,
        latent_dim: int | None = 128,
        hidden_dims: ArrayLike = "auto",
        dropout: float | Literal["auto"] = "auto",
        closed_form: Literal["auto"] | ItemItemRecommender | None = "auto",
        closed_form_weight: float | Literal["auto"] = "auto",
        max_epochs: int = 14,
        batch_size: int | Literal["auto"] = "auto",
        n_loss_items: int | Literal["auto"] | None = "auto",
        learning_rate: float | Literal["auto"] = "auto",
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        n_iter_no_change: int = 10,
        device: str | torch.device = "auto",
        memory: str | os.PathLike[str] | Memory | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.guidance_scale = guidance_scale
        self.n_sampling_steps = n_sampling_steps
        self.start_timestep = start_timestep
        self.eta = eta
        self.temperature = temperature
        self.n_draws = n_draws
        self.values = values
        self.liked_from = liked_from
        self.half_life = half_life
        self.item_features = item_features
        self.horizon = horizon
        self.target_share = target_share
        self.cond_drop_prob = cond_drop_prob
        self.n_timesteps = n_timesteps
        self.noise_schedule = noise_schedule
        self.prediction_type = prediction_type
        self.ranking_head = ranking_head
        self.latent_dim = latent_dim
        self.hidden_dims = hidden_dims
        self.dropout = dropout
        self.closed_form = closed_form
        self.closed_form_weight = closed_form_weight
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.n_loss_items = n_loss_items
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.memory = memory
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def paper(cls, *, repaired: bool = False, **parameters: Any) -> Self:
        """The configuration of arXiv 2409.10494; any parameter can be overridden.

        Linear schedule, noise prediction in item space by a feed-forward network, the whole
        pre-noise row as condition, dropped for 20 % of the rows, the best epoch by nDCG@10. For
        reference, not for use: on MovieLens 100K and 1M its lists are at chance, below popularity,
        at every guidance scale.

        Parameters
        ----------
        repaired : bool, default=False
            Whether to change what keeps it from ranking, and nothing else:
            ``prediction_type="x0"``, since a layer with fewer units than there are items cannot
            carry their noise (DiffRec predicts x_0 too); ``target_share="auto"``, a condition that
            does not show the target; and ``temperature=0`` with ``n_sampling_steps=1``, lists from
            the mean and not from a draw. On the same data it ranks above popularity, and below the
            default. "The paper's configuration" in the user guide measures each change.
        **parameters : object
            Of `CFGDiffusionRecommender`, in place of those above.

        Returns
        -------
        model : CFGDiffusionRecommender
            Not fitted.

        Raises
        ------
        TypeError
            If `repaired` is neither True nor False, or a parameter is unknown.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> CFGDiffusionRecommender.paper(guidance_scale=2.0).prediction_type
        'epsilon'
        >>> CFGDiffusionRecommender.paper(repaired=True).prediction_type
        'x0'
        """
        settings = REPAIRED if check_flag("repaired", repaired) else PAPER
        return cls(**{**settings, **parameters})


add_library_classes(CFGDiffusionRecommender)
