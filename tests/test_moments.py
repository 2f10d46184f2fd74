"""What the classifier says at single frames: between its windows, and never across a hole or a cut."""

from dataclasses import replace

import numpy as np
import pytest
from test_classifier import seen

from kinetag.analyzer import label_person
from kinetag.classifier import Classifier
from kinetag.exercises.library import load_library
from kinetag.moments import REACH, at_times
from kinetag.sequence import PoseSequence
from kinetag.timeline import Person

TWO = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


def squats_then_jacks() -> tuple[PoseSequence, float]:
    """Somebody who squats for nine seconds and then does jumping jacks, and when (s) that changes."""
    squat, jacks = seen("squat", duration=9.0), seen("jumping_jack", duration=9.0)
    change = float(squat.times[-1] + 1 / 15)
    times = np.concatenate([squat.times, jacks.times - jacks.times[0] + change])
    keypoints = np.concatenate([squat.keypoints, jacks.keypoints])
    return replace(squat, times=times, keypoints=keypoints, confidence=np.ones(keypoints.shape[:2])), change


@pytest.fixture(scope="module")
def both() -> tuple[PoseSequence, float]:
    return squats_then_jacks()


def test_between_windows_the_answer_changes_evenly_and_at_the_ends_it_stays():
    said = at_times([1.5, 0.9, 1.0, 1.25, 2.0, 2.2], np.array([1.0, 2.0]), TWO)
    assert said[:, 1].tolist() == pytest.approx([0.5, 0.0, 0.0, 0.25, 1.0, 1.0])
    assert said.sum(axis=1).tolist() == pytest.approx([1.0] * 6)


def test_nothing_is_said_far_from_all_windows():
    said = at_times([1.0, 1 + REACH, 5.0, 10 - REACH, 10.0, 12.0], np.array([1.0, 10.0]), TWO)
    assert np.isnan(said[:, 0]).tolist() == [False, False, True, False, False, True]
    assert said[[1, 3], 1].tolist() == [0.0, 1.0]  # of the window that is near, all of it
    assert np.isnan(at_times([1.0, 2.0], np.zeros(0), np.zeros((0, 2)))).all()


def test_a_cut_is_as_sharp_as_it_is():
    centres = np.array([1.0, 1.5])
    assert at_times([1.1, 1.2, 1.3, 1.4], centres, TWO, cuts=(1.3,))[:, 1].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_frames_are_those_of_the_poses_and_agree_with_the_windows(both, classifier):
    sequence, _ = both
    times, said = classifier.frames(sequence)
    assert np.array_equal(times, sequence.times)
    assert said.shape == (len(sequence), len(classifier.labels))
    assert np.allclose(said.sum(axis=1), 1, atol=1e-4)
    centres, windows = classifier.predict(sequence)
    assert np.allclose(said[np.searchsorted(times, centres[0])], windows[0], atol=1e-6)


def test_what_is_said_changes_within_half_a_second_of_the_truth(both, classifier):
    sequence, change = both
    times, said = classifier.frames(sequence)
    labels = np.array(classifier.labels)[said.argmax(axis=1)]
    assert set(labels[(times > change - 3) & (times < change - 0.5)]) == {"squat"}
    assert set(labels[(times > change + 0.5) & (times < change + 3)]) == {"jumping_jack"}


def test_the_shots_of_a_film_are_judged_one_by_one(both, classifier):
    sequence, change = both
    _, said = classifier.frames(replace(sequence, cuts=(change,)))
    first, second = sequence.times < change, sequence.times >= change
    assert np.array_equal(said[first], classifier.frames(sequence.rows(first))[1])
    assert np.array_equal(said[second], classifier.frames(sequence.rows(second))[1])


def test_too_little_to_say_is_not_a_number(classifier):
    for short in (seen("squat").between(0, 0.2), seen("squat").rows(slice(0, 0))):
        times, said = classifier.frames(replace(short, cuts=()))
        assert said.shape == (len(times), len(classifier.labels))
        assert np.isnan(said).all()
    assert classifier.frames(replace(short, cuts=(1.0,)))[1].shape == (0, len(classifier.labels))


def test_a_person_tells_the_same_as_the_classifier(both, classifier):
    person = label_person(both[0], classifier, load_library())
    times, said = classifier.frames(person.poses)
    found = person.probabilities_at(times)
    assert found is not None
    assert np.array_equal(found, said)
    assert Person(1, person.segments).probabilities_at(times) is None
