"""Figures as published, to stand beside measured ones: never measured here."""

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

DIFFUSION = {  # arXiv 2304.04971 with its authors' checkpoints; lists from train, its own split
    "ml-1m_clean": {
        "DiffRec": {"recall@10": 0.1058, "recall@20": 0.1787, "ndcg@10": 0.0901, "ndcg@20": 0.1148},
        "L-DiffRec": {
            "recall@10": 0.1060,
            "recall@20": 0.1809,
            "ndcg@10": 0.0868,
            "ndcg@20": 0.1122,
        },
    }
}
