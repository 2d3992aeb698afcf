"""From a trained network to scores, lists and explanations."""
