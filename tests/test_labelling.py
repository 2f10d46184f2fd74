"""What is said of a segment beside its label: kind of exercise, and way of doing it."""

from dataclasses import replace

import numpy as np
import pytest
from made_poses import body, seen

from kinetag.classifier import Classifier
from kinetag.labelling import describe
from kinetag.models.card import ModelCard
from kinetag.timeline import OTHER, Segment, Timeline

LABELS = ("bench_press", "push_up", "squat", OTHER)
CARD = ModelCard(
    labels=LABELS,
    families={"bench_press": "push", "push_up": "push", "squat": "legs"},
    variants=(("squat", "plain"), ("squat", "sumo"), ("push_up", "plain"), (OTHER, "plain")),
)


class _Output:
    name = "variants"


class _Session:
    """Gives every window the same logits of variants."""

    def __init__(self, variants: list[float]) -> None:
        self.variants = np.array(variants, np.float32)

    def get_outputs(self) -> list[_Output]:
        return [_Output()]

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert names == ["variants"]
        return [np.tile(self.variants, (len(inputs["mask"]), 1))]


def described(
    label: str, probabilities: list[float], variants: tuple[float, ...] = (0, 0, 0, 0), end: float = 6.0
) -> Segment:
    times = np.arange(0, 6, 0.25)
    segment = Segment(label, 0.0, end, probabilities[LABELS.index(label)])
    classifier = Classifier(_Session(list(variants)), CARD, "")
    moments = np.arange(0, 6, 1 / 15)
    poses = seen(body(len(moments)), moments)
    describe([segment], times, np.tile(probabilities, (len(times), 1)), poses, classifier)
    return segment


def test_the_family_is_as_sure_as_all_its_exercises_together():
    segment = described("bench_press", [0.4, 0.35, 0.05, 0.2])
    assert segment.family == "push"
    assert segment.family_confidence == pytest.approx(0.75)
    assert segment.doubtful
    assert (segment.name(), segment.sure) == ("some pressing movement", pytest.approx(0.75))


def test_a_sure_label_needs_no_kind_beside_it():
    segment = described("squat", [0.02, 0.03, 0.85, 0.1])
    assert (segment.family, segment.name()) == ("legs", "squat")


@pytest.mark.parametrize(("push", "said"), [(0.56, "some pressing movement"), (0.4, "other")])
def test_other_is_some_exercise_of_a_kind_only_where_that_is_probable(push, said):
    segment = described(OTHER, [push / 2, push / 2, 0.0, 1 - push])
    assert segment.name() == said
    assert bool(segment.family) == (said != "other")


@pytest.mark.parametrize(("sumo", "said"), [(3.0, "sumo"), (0.1, ""), (-3.0, "")])
def test_the_way_is_told_where_it_is_clear(sumo, said):
    segment = described("squat", [0.0, 0.0, 0.9, 0.1], (0.0, sumo, 9.0, 9.0))
    assert segment.variant == said
    assert segment.name() == ("squat (sumo)" if said else "squat")


def test_no_way_is_told_of_a_moment():
    ways = [described("squat", [0.0, 0.0, 0.9, 0.1], (0.0, 3.0, 9.0, 9.0), end).variant for end in (1.5, 2.0)]
    assert ways == ["", "sumo"]


def test_no_way_is_told_of_a_doubtful_label():
    assert described("squat", [0.0, 0.0, 0.6, 0.4], (0.0, 3.0, 9.0, 9.0)).variant == "sumo"
    segment = described("squat", [0.15, 0.15, 0.45, 0.25], (0.0, 3.0, 9.0, 9.0))
    assert (segment.variant, segment.family, segment.name()) == ("", "legs", "squat?")


def test_it_is_in_the_timeline_and_left_out_where_unknown():
    segment = described("squat", [0.0, 0.0, 0.9, 0.1], (0.0, 3.0, 0.0, 0.0))
    found = segment.to_dict()
    assert (found["variant"], found["family"], found["family_confidence"]) == ("sumo", "legs", 0.9)
    plain = replace(segment, variant="", family="").to_dict()
    assert not {"variant", "family", "family_confidence"} & set(plain)
    assert Timeline("x", 6.0, 30.0).to_dict()["people"] == []


def test_a_classifier_without_families_and_ways_says_nothing_more():
    card = ModelCard(labels=LABELS)
    segment = Segment("squat", 0.0, 6.0, 0.9)
    times = np.arange(0, 6, 0.25)
    moments = np.arange(0, 6, 1 / 15)
    poses = seen(body(len(moments)), moments)
    describe([segment], times, np.full((len(times), 4), 0.25), poses, Classifier(_Session([0.0]), card, ""))
    assert (segment.variant, segment.family, segment.family_confidence) == ("", "", 0.0)
