"""Scores of a model without a ranking head."""

from .ranking import Tiles


class EstimateScores:
    """Scores read off the estimate of x_0 itself, where there is no ranking head.

    Parameters
    ----------
    space : chain space
    half_life : float or None
        With which the space reads aged histories.
    wanted : WantedItems or None
    """

    read_hidden = False

    def __init__(self, space, half_life, wanted=None):
        self.space, self.half_life, self.wanted = space, half_life, wanted

    def tiles(self, estimate, known, scale, unseen=None, *, unknown=None, screen=False):
        """As `HeadScores.tiles`; ``unseen(dim)`` draws the noise that the space does not hold."""
        scores = self.space.decode(estimate[0], known.history.weighted(self.half_life), unseen)
        write = lambda start, stop, out: out.copy_(scores[:, start:stop])  # noqa: E731
        if known.wanted is not None:
            write = self.wanted.added_to(write, known.wanted, scale[:, -1])
        return Tiles(write, len(scores), scores.device)
