"""The bench of the classifier on a made-up classifier and made-up clips: who is asked, and what is left out."""

import numpy as np
import pytest
from classifier import accuracy, answer, occluded
from clip_scores import by_class, doubt, score
from clip_sets import Clip

from kinetag.exercises.library import load_library
from kinetag.sequence import PoseSequence

LIBRARY = load_library()


class FromTheWrist:
    """Says 'biceps_curl' as far as it sees the left wrist, 'squat' if not, and nothing of an empty sequence."""

    labels = ("biceps_curl", "other", "squat")

    def predict(self, sequence: PoseSequence, *, hop: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
        if len(sequence) < 5:
            return np.zeros(0), np.zeros((0, 3), np.float32)
        seen = float((sequence.to_layout("kinetag").confidence[:, 5] > 0).mean())
        rows = np.tile([0.2 + 0.6 * seen, 0.1, 0.7 - 0.6 * seen], (4, 1))
        return np.arange(4) * hop, rows.astype(np.float32)


def clip(truth: str, frames: int = 20) -> Clip:
    poses = PoseSequence(np.arange(frames) / 10, np.ones((frames, 13, 2)), np.ones((frames, 13)), "kinetag", (9, 9))
    return Clip(truth, truth, poses, truth)


@pytest.fixture
def found():
    clips = [clip("biceps_curl"), clip("squat"), clip("burpee"), clip("burpee"), clip("other", frames=3)]
    return answer(FromTheWrist(), clips, LIBRARY)  # pyright: ignore


def test_clips_of_classes_that_the_model_lacks_are_left_out_and_counted(found) -> None:
    assert [found.labels[t] for t in found.truth] == ["biceps_curl", "squat", "other"]
    assert found.left_out == {"burpee": 2}
    assert score("", found)["left out"] == 2


def test_a_clip_without_windows_is_answered_other(found) -> None:
    assert found.probabilities[2].tolist() == [0, 1, 0]
    assert doubt("", found)["recalled"] == 1


def test_each_class_tells_what_it_is_taken_for(found) -> None:
    rows = {row["class"]: row for row in by_class(found)}
    assert rows["squat"]["taken for"] == "biceps_curl 1"
    assert accuracy(found) == pytest.approx(2 / 3, abs=6e-4)


def test_of_two_sides_the_worse_counts() -> None:
    rows = occluded(FromTheWrist(), [clip("biceps_curl")], LIBRARY)  # pyright: ignore
    kept = {row["hidden"]: row["kept"] for row in rows}
    assert kept["one arm, the worse"] == 0
    assert kept["knees and ankles"] == kept["cut off at the waist"] == 1
