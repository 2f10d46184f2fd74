"""The page of a search."""

from test_report_html import parse

from kinetag.report.tuning import report_html

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
