"""The intervals that the bench of architectures gives, against published ones."""

from typing import Any

import pytest

pytest.importorskip("lightning")
from architectures import lead, newcombe, wilson


def found(right: int, clips: int, fold: str = "official") -> dict[str, Any]:
    return {"accuracy": right / clips, "clips": clips, "fold": fold}


def test_intervals_are_those_of_newcombe_1998() -> None:
    assert wilson(found(81, 263)) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # table I of part one
    assert newcombe(found(56, 70), found(48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)  # table II of part two
    assert newcombe(found(10, 10), found(0, 20)) == pytest.approx((0.6791, 1.0), abs=5e-5)


def test_a_lead_is_that_on_the_folds_that_both_have() -> None:
    ours = [found(9, 10, "s01"), found(8, 10, "s02"), found(1, 10, "s03")]
    assert lead(ours, [found(7, 10, "s01"), found(9, 10, "s02")], "prmd") == "+5.0 (folds: 2)"
    assert lead(ours, [], "prmd") == lead(ours, ours, "prmd") == "–"
    assert lead([found(56, 70)], [found(48, 80)], "penn") == "+20.0 (+5.2 to +33.4)"
