"""Recipes of the documentation for packages that no extra installs; where they are not, skipped."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from skdiffrec import metrics, persistence
from skdiffrec.baselines import EASERecommender, PopularityRecommender

DOCS = Path(__file__).parent.parent / "docs"


def recipe(page, package):
    """The block of a page that imports a package, which the test of the pages does not run."""
    blocks = re.findall(r"^```python notest\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    (found,) = [block for block in blocks if re.search(rf"^import {package}", block, re.M)]
    return found


class TestMlflow:
    @pytest.fixture(autouse=True)
    def needs_mlflow(self, monkeypatch, tmp_path):
        pytest.importorskip(
            "mlflow", reason="mlflow cannot be installed beside all of constraints.txt"
        )
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize("model", [PopularityRecommender(), EASERecommender()], ids=repr)
    def test_recipe(self, model, interactions):
        self.check(model.fit(interactions))

    def test_recipe_for_the_network(self, fitted):
        self.check(fitted)

    def check(self, model):
        # else mlflow loads the model in another process to find out what it needs
        code = recipe("saving.md", "mlflow.sklearn").replace(
            "types)\nmodel", "types, pip_requirements=[])\nmodel"
        )
        assert "pip_requirements" in code
        names = {"model": model}
        exec(code, names)
        assert names["model"] is not model
        for found, expected in zip(
            (names["ids"], names["scores"]), model.recommend(k=10), strict=True
        ):
            assert_array_equal(found, expected)

    def test_fails_without(self, interactions):
        import mlflow.sklearn

        model = PopularityRecommender().fit(interactions)
        with pytest.raises(Exception, match="untrusted types.*PopularityRecommender"):
            mlflow.sklearn.save_model(model, "model", pip_requirements=[])

    def test_own_file(self, interactions):
        model = PopularityRecommender().fit(interactions)
        model.save("model.safetensors")
        loaded = persistence.load("model.safetensors")
        assert_array_equal(loaded.recommend()[0], model.recommend()[0])


class TestTrecEval:
    MEASURES = {
        "ndcg_cut_10": metrics.ndcg_at_k,
        "recall_10": metrics.recall_at_k,
        "P_10": metrics.precision_at_k,
        "success_10": metrics.hit_rate_at_k,
        "recip_rank": metrics.mrr_at_k,
        "map_cut_10": lambda *a, **options: metrics.map_at_k(*a, divisor="holdout", **options),
    }

    @pytest.fixture(autouse=True)
    def needs_pytrec_eval(self):
        pytest.importorskip("pytrec_eval", reason="pytrec_eval is in no extra")

    def test_recipe(self):
        """Short and empty lists, users without a holdout and with more than k, ties everywhere."""
        rng = np.random.default_rng(0)
        holdout = csr_array((rng.random((60, 40)) < rng.random((60, 1))).astype(float))
        holdout.data[holdout.indptr[7] : holdout.indptr[8]] = 0
        holdout.eliminate_zeros()
        ids = np.array([rng.permutation(40)[:12] for _ in range(60)])
        ids[3, 4:], ids[4] = -1, -1
        names = {"holdout": holdout, "ids": ids, "np": np}
        code = recipe("evaluation.md", "pytrec_eval").replace(
            '"map_cut.10"', '"map_cut.10", "P.10", "recip_rank", "success.10"'
        )
        exec(code, names)
        assert "7" not in names["found"] and len(names["found"]) >= 55
        for measure, metric in self.MEASURES.items():
            expected = metric(ids, holdout, k=10, per_user=True)
            for user, values in names["found"].items():
                assert values[measure] == pytest.approx(expected[int(user)], abs=1e-12)

    def test_scores_would_not_do(self):
        """The reason for the recipe."""
        import pytrec_eval

        evaluator = pytrec_eval.RelevanceEvaluator({"u": {"1": 1}}, {"recip_rank"})
        with pytest.raises(TypeError):
            evaluator.evaluate({"u": {"1": np.float32(0.5)}})
        tied = evaluator.evaluate({"u": {"1": 0.5, "2": 0.5}})
        assert tied["u"]["recip_rank"] == 0.5  # item 1 stands before item 2 here
