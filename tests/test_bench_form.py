"""The bench of form: what it does wrong on purpose."""

import sys
from pathlib import Path

import pytest

from kinetag.exercises.library import Variant, load_library

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
from form_wrong import WRONG

LIBRARY = load_library()


def test_every_fault_is_done_on_purpose():
    assert {name: set(wrong) for name, wrong in WRONG.items()} == {
        name: set(exercise.faults) for name, exercise in LIBRARY.items() if exercise.faults
    }


@pytest.mark.parametrize("name", WRONG)
def test_what_is_done_wrong_is_a_variant_of_the_exercise(name):
    for wrong in WRONG[name].values():
        variant = Variant.model_validate({"name": "wrong", **wrong})
        assert set(variant.poses) <= set(LIBRARY[name].poses)
