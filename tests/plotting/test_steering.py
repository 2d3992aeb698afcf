"""SteeringDisplay: lists as scales move, in Python and in a browser."""

import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from rated_models import rated_data

from skdiffrec.plotting import SteeringDisplay
from skdiffrec.preprocessing import InteractionEncoder

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
NASTY = "</script><b>&\"' 「x」"


@pytest.fixture(name="steered", scope="module")
def steered_fixture():
    """(model, data) with every condition."""
    data = rated_data()
    model = tiny_cfg(values="rating", item_features=data.item_features)
    return model.fit(data.train, user_features=data.user_features), data


@pytest.fixture(name="display", scope="module")
def display_fixture(steered):
    model, data = steered
    names = [*data.item_names[:-1], NASTY]
    return SteeringDisplay.from_estimator(model, 7, names=names, k=6)


class TestLists:
    def test_are_those_of_recommend(self, steered, display):
        model, _ = steered
        assert list(display.parts) == ["user_features", "history", "disliked", "wanted"]
        for scale in (
            {},
            {"disliked": 3.0},
            {"history": 0.0, "user_features": 2.0},
            {"history": 1.7, "disliked": 0.0},
        ):
            ids, scores = model.recommend(7, 6, guidance_scale=scale)
            assert_array_equal(display.list_at(scale), ids)
            places = np.searchsorted(display.items, ids)
            assert_allclose(display.scores_at(scale)[places], scores, rtol=1e-4, atol=1e-4)

    def test_what_is_wanted_is_a_condition_where_it_is_given(self, steered):
        model, _ = steered
        display = SteeringDisplay.from_estimator(model, 7, wanted={2: 1}, k=5)
        scale = {"wanted": 4.0, "disliked": 2.0}
        ids, _ = model.recommend(7, 5, wanted={2: 1}, guidance_scale=scale)
        assert_array_equal(display.list_at(scale), ids)

    def test_of_a_row_and_of_given_scales(self, steered):
        model, data = steered
        rows = {"X": data.train[[9]], "user_features": data.user_features[[9]]}
        scales = {"disliked": [0, 2, 5]}
        display = SteeringDisplay.from_estimator(model, **rows, scales=scales)
        for scale in ({"disliked": 5.0}, {"history": 2.0}, 1.6):
            ids, _ = model.recommend(**rows, guidance_scale=scale)
            assert_array_equal(display.list_at(scale), ids[0])
        assert display.ax_.get_xlabel() == "Guidance scale of 'disliked'"

    def test_few_of_many_items_hold_all_lists(self, steered, monkeypatch):
        model, _ = steered
        monkeypatch.setattr("skdiffrec.plotting._steering._MAX_ITEMS", 40)
        display = SteeringDisplay.from_estimator(model, 7, k=4)
        assert len(display.items) < 55
        for scale in ({}, {"disliked": 4.0}, {"history": 0.0, "user_features": 0.0}):
            expected, _ = model.recommend(7, 4, guidance_scale=scale)
            assert set(display.list_at(scale)) == set(expected)

    def test_few_of_many_items_hold_all_that_can_be_wanted(self, steered, monkeypatch):
        model, data = steered
        monkeypatch.setattr("skdiffrec.plotting._steering._MAX_ITEMS", 10)
        monkeypatch.setattr("skdiffrec.plotting._steering._MOST_ITEMS", 1000)
        display = SteeringDisplay.from_estimator(model, 7, k=4)
        added = display.features.toarray()
        for feature in range(data.item_features.shape[1]):
            for scale in (1.0, 3.0, 8.0):  # as the page has it
                scores = display.scores_at() + scale * added[:, feature]
                found = display.items[np.lexsort((display.items, -scores))[:4]]
                options = {"wanted": {feature: 1}, "guidance_scale": {"wanted": scale}}
                assert_array_equal(found, model.recommend(7, 4, **options)[0])

    def test_scales_for_all_conditions(self, steered):
        model, _ = steered
        display = SteeringDisplay.from_estimator(model, 7, scales=[0, 1, 2])
        assert set(display.scales) == {"user_features", "history", "disliked"}

    def test_picture(self, display):
        assert len(display.ax_) == 3
        labels = {text.get_text() for text in display.ax_[1].texts}
        names = {display._name(item)[:28] for item in display.list_at()}
        assert names <= labels

    def test_names_of_an_encoder(self, steered):
        model, data = steered
        rows, columns = data.train.nonzero()
        encoder = InteractionEncoder().fit(
            [(r, f"i{c:02}") for r, c in zip(rows, columns, strict=True)]
        )
        display = SteeringDisplay.from_estimator(model, 3, names=encoder)
        assert display.names[0] == f"i{display.items[0]:02}"

    def test_bad_input(self, steered):
        model, data = steered
        plain = tiny_cfg(max_epochs=1).fit(data.train)
        with pytest.raises(ValueError, match="'wishes'"):
            SteeringDisplay.from_estimator(model, 7, scales={"wishes": [0, 1]})
        with pytest.raises(ValueError, match="Nothing is known"):
            SteeringDisplay.from_estimator(plain, X=np.zeros((1, model.n_features_in_)))
        with pytest.raises(ValueError, match="One user is asked for"):
            SteeringDisplay.from_estimator(plain)
        with pytest.raises(ValueError, match="n_sampling_steps=3"):
            SteeringDisplay.from_estimator(plain.set_params(n_sampling_steps=3), 7)
        for scales in ({}, [], {"history": []}, {"history": 2.0}, 2.0):
            with pytest.raises(ValueError, match="scales (is an empty dict|must be a 1-D)"):
                SteeringDisplay.from_estimator(model, 7, scales=scales)
        for names in (["a"], np.array(["a", "b"]), pd.DataFrame({"a": ["b"]})):
            with pytest.raises(ValueError, match="one name for each item"):
                SteeringDisplay.from_estimator(model, 7, names=names)

    @pytest.mark.parametrize(
        ("scales", "error", "message"),
        [
            ({"dislike": 3.0}, ValueError, "'dislike', but the conditions"),
            ({"disliked": np.nan}, ValueError, "between -1000 and 1000"),
            ({"disliked": "3x"}, TypeError, "must be a number"),
            ({"disliked": [1, 2]}, ValueError, "1 users were asked for"),
        ],
    )
    def test_bad_scales(self, display, scales, error, message):
        with pytest.raises(error, match=message):
            display.list_at(scales)


class TestPage:
    def test_one_small_file_without_a_network(self, display, tmp_path):
        display.to_html(tmp_path / "list.html")
        text = (tmp_path / "list.html").read_text("utf-8")
        assert len(text) < 300_000
        assert not re.search(r"https?:|src=|@import|<link", text)
        assert NASTY not in text and text.count("</script>") == 1
        data = json.loads(re.search(r"const data = (\{.*\});", text)[1])
        assert data["items"] == display.items.tolist() and data["names"][-1] in (
            NASTY,
            display._name(display.items[-1]),
        )
        assert_allclose(np.array(data["base"]) * data["step"], display.base, atol=data["step"])

    def test_names_like_marks_of_the_page(self, steered, tmp_path):
        model, data = steered
        names = ["UNTITLED", "/*DATA*/null", *data.item_names[2:]]
        display = SteeringDisplay.from_estimator(model, 7, names=names)
        display.title = "/*DATA*/null TITLE"
        display.to_html(tmp_path / "list.html")
        text = (tmp_path / "list.html").read_text("utf-8")
        assert json.loads(re.search(r"const data = (\{.*\});", text)[1])["names"] == [
            display._name(item) for item in display.items
        ]
        assert "<title>/*DATA*/null TITLE</title>" in text

    @pytest.mark.parametrize(
        ("scales", "expected"), [([2, 3, 4], [1, 4]), ([0.33, 3], [0.3, 3]), ([0, 0.5], [0, 1])]
    )
    def test_sliders_can_stand_at_1(self, steered, tmp_path, scales, expected):
        model, _ = steered
        display = SteeringDisplay.from_estimator(model, 7, scales={"history": scales})
        display.to_html(tmp_path / "list.html")
        text = (tmp_path / "list.html").read_text("utf-8")
        ranges = json.loads(re.search(r"const data = (\{.*\});", text)[1])["ranges"]
        assert ranges["history"] == expected

    @pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
    @pytest.mark.parametrize(
        ("scale", "wanted"),
        [
            pytest.param({}, None, marks=pytest.mark.slow),
            pytest.param({"disliked": 3.0}, None, marks=pytest.mark.slow),
            pytest.param({"history": 0.0, "user_features": 2.0}, None, marks=pytest.mark.slow),
            ({"wanted": 3.0, "history": 1.5, "disliked": 2.0}, 2),
        ],
    )
    def test_sliders_of_a_browser_make_the_lists_of_recommend(
        self, steered, display, tmp_path, scale, wanted
    ):
        model, _ = steered
        display.to_html(tmp_path / "list.html")
        moves = "".join(f'm("scale-{name}", "{value}");' for name, value in scale.items())
        if wanted is not None:
            moves += f'm("wanted", "feature {wanted}");'
        script = (
            "<script>function m(id, value) { const e = document.getElementById(id);"
            f'e.value = value; e.dispatchEvent(new Event("input")); }} {moves}</script>'
        )
        text = (tmp_path / "list.html").read_text("utf-8")
        (tmp_path / "moved.html").write_text(text.replace("</body>", script + "</body>"), "utf-8")
        found = subprocess.run(
            [
                BROWSER,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--dump-dom",
                (tmp_path / "moved.html").as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
        rows = re.findall(r'<tr data-id="(\d+)" data-score="([^"]+)"( class="entered")?', found)
        options = {} if wanted is None else {"wanted": {wanted: 1}}
        ids, scores = model.recommend(7, 6, guidance_scale=scale, **options)
        assert [int(item) for item, *_ in rows] == ids.tolist()
        assert_allclose([float(score) for _, score, _ in rows], scores, rtol=1e-4, atol=1e-4)
        plain = set(model.recommend(7, 6)[0])
        assert [bool(entered) for *_, entered in rows] == [item not in plain for item in ids]
