"""Every question to a fitted diffusion recommender: docstring, checks, one call to its model."""
