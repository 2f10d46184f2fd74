"""The page of a search."""

import re
from itertools import pairwise

import pytest
from test_report_html import parse

from kinetag.report.tuning import Scale, report_html

HOSTILE = "<script>alert('&')</script>"


def row(number, **more):
    made = {"number": number, "state": "done", "how": "", "value": 0.5 + number / 10, "epoch": 2, "seconds": 1.0}
    return made | {"parameters": {HOSTILE: HOSTILE}, "curve": [[1, 0.4], [2, 0.5]]} | more


def test_whatever_a_spec_holds_is_text_on_the_page():
    trials = [row(0, how="baseline"), row(1), row(2, state=HOSTILE, error=HOSTILE)]
    content = {
        "algorithm": HOSTILE,
        "metric": HOSTILE,
        "direction": "maximize",
        "epochs_trained": 4,
        "seconds": 3.0,
        "finished": True,
        "notes": [HOSTILE],
        "search": {HOSTILE: {"start": HOSTILE, "kind": "choice", "ranges": [{"options": [HOSTILE, 1]}]}},
        "importance": {HOSTILE: 1.0},
        "before": {"metrics": {HOSTILE: 0.1}},
        "baseline": trials[0],
        "best": trials[1],
        "final": {"metrics": {HOSTILE: 0.6}},
        "trials": trials,
    }
    page = report_html(content)
    assert "<script" not in page
    assert sum("<script>alert" in text for text in parse(page).text) > 10
    assert "default-src 'none'; style-src 'unsafe-inline'\"" in page


def content_of(values, **more):
    trials = [row(number, value=value, parameters={"a.b": 0.1 * number}) for number, value in enumerate(values)]
    content = {"algorithm": "asha", "metric": "val_acc", "direction": "maximize", "epochs_trained": 4, "seconds": 3.0,
               "finished": True, "notes": [], "importance": {}, "before": None, "final": None, "trials": trials,
               "search": {"a.b": {"start": 0.1, "kind": "float", "ranges": [{"minimum": 0.0, "maximum": 1.0}]}},
               "baseline": trials[0], "best": max(trials, key=lambda trial: trial["value"])}  # fmt: skip
    return content | more


@pytest.mark.parametrize(
    "values", [[1.0] * 6, [0.7, 1.0, 1.0, 1.0, 1.0], [0.91, 0.93, 0.95, 0.97], [0.0, 0.0, 0.001], [0.0] * 3]
)
def test_an_axis_of_accuracies_spans_something_within_0_and_1_and_its_numbers_are_round(values):
    scale = Scale.of(values, content_of(values))
    assert 0 <= scale.low < scale.high <= 1
    assert scale.high - scale.low >= 0.01 * max(values)
    labels = re.findall(r">([\d.]+)<", scale.labels())
    assert 2 <= len(labels) <= 7
    assert len({round(float(b) - float(a), 9) for a, b in pairwise(labels)}) == 1  # and told with the digits needed
    assert max(map(len, labels)) <= 6


def test_an_axis_of_losses_may_go_beyond_1():
    scale = Scale.of([0.5, 1.5, 2.0], content_of([1.0], metric="val_loss", direction="minimize"))
    assert scale.high > 1.5


def test_the_reasons_of_failures_can_be_read_without_a_mouse():
    content = content_of([0.5, 0.6, 0.7, 0.8])
    for number, reason in ((1, "it diverged"), (2, "it was killed"), (3, "it diverged")):
        content["trials"][number] |= {"state": "failed", "value": None, "curve": [], "error": reason}
    text = parse(report_html(content | {"best": content["trials"][0]})).text
    assert "trials 1, 3: it diverged" in text
    assert "trial 2: it was killed" in text


def test_an_importance_that_is_not_known_is_not_spoken_of():
    assert "Importance" not in report_html(content_of([0.5, 0.6]))
    assert "Importance" in report_html(content_of([0.5, 0.6], importance={"a.b": 1.0}))
