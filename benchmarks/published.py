"""Figures of next-item prediction as published, to stand beside those of `next_item.py`."""

PUBLISHED = {  # N@10 and R@10 of arXiv 2508.06450, its Beauty set; the others need text
    "amazon-beauty": {
        "SASRec, sampled softmax": {"R@10": 0.0921, "N@10": 0.0531},
        "eSASRec": {"R@10": 0.0928, "N@10": 0.0523},
        "HSTU": {"R@10": 0.0788, "N@10": 0.0439},
        "FuXi-alpha": {"R@10": 0.0809, "N@10": 0.0451},
        "ActionPiece": {"R@10": 0.0775, "N@10": 0.0424},
        "TIGER": {"R@10": 0.0648, "N@10": 0.0384},
    }
}
