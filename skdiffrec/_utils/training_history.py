"""What a fit leaves behind of its epochs."""


class TrainingHistory(list):
    """One dict an epoch, with its number, mean loss and, with early stopping, validation nDCG.

    Examples
    --------
    >>> from skdiffrec._history import TrainingHistory
    >>> history = TrainingHistory([{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0}])
    >>> history.to_frame()
       epoch  loss
    0      1   2.5
    1      2   2.0
    """

    def to_frame(self):
        """The records as a pandas DataFrame, one row an epoch.

        Raises
        ------
        ImportError
            Without pandas.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_frame needs pandas: pip install pandas.") from error
        return pandas.DataFrame(list(self))
