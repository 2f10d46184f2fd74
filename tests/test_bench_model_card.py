"""The model card says what the results say."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import model_card  # pyright: ignore[reportMissingImports]


def test_the_page_is_what_the_results_say():
    assert model_card.PAGE.read_text("utf-8") == model_card.written(), "run: python bench/model_card.py"


def test_an_interval_is_wilsons():
    assert model_card.interval(0.7, 10) == "70 (40 to 89)"  # (0.397, 0.892) by his formula
    assert model_card.interval(None, 10) == "-"
