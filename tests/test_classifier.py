import json
from dataclasses import replace

import numpy as np
import pytest

from kinetag.analyzer import known_exercises
from kinetag.classifier import DEFAULT_MODEL, Classifier, with_long
from kinetag.errors import KinetagError
from kinetag.exercises.bank import select_joints
from kinetag.exercises.labels import exercises_by_label
from kinetag.exercises.library import load_library
from kinetag.exercises.motion import generate
from kinetag.finishing import prior
from kinetag.labelling import label_poses
from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout


def seen(
    exercise: str, *, seed: int = 0, azimuth: float = 0.6, duration: float = 8.0, repetitions: int | None = None
) -> PoseSequence:
    """An exercise as a camera a little to the side sees it, without any noise; exactly ``repetitions`` where given."""
    motion = generate(exercise, np.random.default_rng(seed), duration=duration, rate=15.0, repetitions=repetitions)
    joints = select_joints(motion.joints, get_layout("kinetag").joints)  # (T, 13, 3)
    x = joints[..., 0] * np.cos(azimuth) - joints[..., 2] * np.sin(azimuth)
    keypoints = np.stack([320 + 120 * x, 400 - 120 * joints[..., 1]], -1)
    return PoseSequence(motion.times, keypoints, np.ones(keypoints.shape[:2]), "kinetag", (640, 480))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


def test_probabilities_and_times(classifier):
    times, probabilities = classifier.predict(seen("squat"))
    assert probabilities.shape == (len(times), len(classifier.labels))
    assert (np.diff(times) > 0).all()
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert classifier.labels[-1] == "other"


@pytest.mark.parametrize("exercise", ["squat", "push_up", "pull_up", "jumping_jack", "walking", "sit_up"])
def test_an_exercise_seen_by_a_camera_is_recognised(classifier, exercise):
    right = 0
    for seed in range(5):
        _, probabilities = classifier.predict(seen(exercise, seed=seed, azimuth=0.3 + 0.5 * seed))
        right += classifier.labels[probabilities.mean(axis=0).argmax()] == exercise
    assert right >= 4


def test_mirror_average_keeps_the_answer(classifier):
    sequence = seen("squat")
    _, plain = classifier.predict(sequence)
    _, averaged = classifier.predict(sequence, average_mirror=True)
    assert plain.mean(axis=0).argmax() == averaged.mean(axis=0).argmax()


def test_too_little_to_say(classifier):
    short = seen("squat").between(0, 0.2)
    times, probabilities = classifier.predict(short)
    assert times.shape == (0,)
    assert probabilities.shape == (0, len(classifier.labels))


def test_long_sequences_run_in_batches_like_short_ones(classifier):
    sequence = seen("squat", duration=90.0)
    times, probabilities = classifier.predict(sequence)
    assert len(times) > 256
    start = times[300]
    part = sequence.between(start - 4, start + 4)
    near, values = classifier.predict(part)
    at = np.abs(near - start).argmin()
    assert np.allclose(values[at], probabilities[300], atol=0.1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(KinetagError, match=r"no classifier at .*nothing\.onnx"):
        Classifier.load(tmp_path / "nothing.onnx")


def test_what_is_no_onnx_is_refused(tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(KinetagError, match=r"bad\.onnx cannot be read as an ONNX file"):
        Classifier.load(path)


def rewritten(tmp_path, change):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(str(DEFAULT_MODEL))
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, change(metadata))
    path = tmp_path / "changed.onnx"
    onnx.save(proto, str(path))
    return path


def test_an_onnx_file_without_metadata_is_refused(tmp_path):
    with pytest.raises(KinetagError, match="without kinetag's metadata"):
        Classifier.load(rewritten(tmp_path, lambda metadata: {}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("temperature", 0, "temperature"),
        ("labels", None, "cannot be read"),
        ("layout", "coco", "layout 'coco'"),
        ("channels", ["x"], "train it again"),
        ("prior", [], "prior must map"),
        ("prior", {"squat": 1e9}, "20 at most"),
        ("prior", {"squat": "much"}, "cannot be read"),
        ("slow", None, "slow must map"),
        ("slow", {"squat": 1.0}, "more than a window"),
        ("slow", {"squat": 1e9}, "at most 60 s"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(tmp_path, key, value, message):
    def change(metadata):
        return {"kinetag": json.dumps(json.loads(metadata["kinetag"]) | {key: value})}

    with pytest.raises(KinetagError, match=message):
        Classifier.load(rewritten(tmp_path, change))


def test_the_shipped_file_tells_where_it_comes_from(classifier):
    card = classifier.card
    assert card.licence == "Apache-2.0"
    assert card.data
    assert card.training["steps"] > 0
    assert DEFAULT_MODEL.stat().st_size < 4e6


def test_among_few_exercises_the_answer_is_one_of_them(classifier):
    few = classifier.only(["squat", "push_up"])
    assert few.labels == tuple(label for label in classifier.labels if label in ("squat", "push_up", "other"))
    _, probabilities = few.predict(seen("squat"))
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert few.labels[probabilities.mean(axis=0).argmax()] == "squat"
    _, all_of_them = classifier.predict(seen("squat"))
    columns = [classifier.labels.index(label) for label in few.labels]
    share = all_of_them[:, columns] / all_of_them[:, columns].sum(axis=1, keepdims=True)
    assert np.allclose(probabilities, share, atol=1e-4)  # the same odds


def test_what_is_likelier_beforehand_has_better_odds(classifier):
    priors = {}, {"lunge": np.log(3), "other": -1.0}
    asked = [Classifier(classifier.session, replace(classifier.card, prior=nats)) for nats in priors]
    (_, before), (_, after) = (each.predict(seen("lunge")) for each in asked)
    expected = before * np.array([{"lunge": 3, "other": np.exp(-1)}.get(label, 1) for label in classifier.labels])
    assert np.allclose(after, expected / expected.sum(axis=1, keepdims=True), atol=1e-4)


def test_in_the_shipped_file_common_exercises_are_somewhat_likelier(classifier):
    library = load_library()
    assert classifier.card.prior == prior(classifier.labels, library)
    assert classifier.card.prior["squat"] > 0 > classifier.card.prior["clamshell"]


@pytest.mark.parametrize(("name", "labels"), [("squat", {"squat"}), ("Push-ups", {"push_up"}), ("hinge", {"deadlift"})])
def test_only_takes_names_other_names_and_families(classifier, name, labels):
    few, *_ = known_exercises(only=[name])
    assert labels < set(few.labels)
    assert len(few.labels) < len(classifier.labels) / 2


def test_only_may_be_one_name_by_itself():
    assert known_exercises(only="squat")[0].labels == known_exercises(only=["squat"])[0].labels


def test_a_name_that_means_nothing_is_explained():
    with pytest.raises(KinetagError, match=r"knows no exercise or family 'squatt', did you mean 'squat'\?"):
        known_exercises(only=["squatt"])


def test_the_therapy_classifier_opens_by_its_name(classifier):
    therapy = Classifier.load("therapy")
    assert therapy.labels == classifier.labels
    assert "UI-PRMD" in therapy.card.data
    assert "UI-PRMD" not in classifier.card.data
    assert therapy.card.slow == classifier.card.slow
    assert not therapy.card.prior  # in a clinic what is rare in a gym is common
    assert known_exercises(model="therapy")[0].fingerprint == therapy.fingerprint
    right = 0
    for seed in range(6):
        _, probabilities = therapy.predict(seen("shoulder_abduction", seed=seed, azimuth=0.2 + 0.4 * seed))
        right += therapy.labels[probabilities.mean(axis=0).argmax()].startswith("shoulder")
    assert right >= 4


def slow_lift(repetition: float = 18.0, seed: int = 3) -> PoseSequence:
    """One clean and jerk, drawn out to ``repetition`` seconds."""
    quick = seen("clean_and_jerk", seed=seed, repetitions=1)
    return replace(quick, times=quick.times * repetition / quick.duration)


def test_an_exercise_that_takes_longer_than_a_window_is_one_segment(classifier):
    known = exercises_by_label(classifier.labels, load_library())
    blind = Classifier(classifier.session, replace(classifier.card, slow={}))
    found = {name: [label_poses(slow_lift(seed=seed), use, known)[0] for seed in range(6)]
             for name, use in (("seen whole", classifier), ("in pieces", blind))}  # fmt: skip
    right = {
        name: sum(s.end - s.start for segments in each for s in segments if s.label == "clean_and_jerk")
        for name, each in found.items()
    }
    assert right["seen whole"] > right["in pieces"] + 10


def test_a_long_window_only_ever_raises_its_class():
    rng = np.random.default_rng(0)
    given = rng.dirichlet(np.ones(4), 9).astype(np.float32)
    given[0] = [0, 1, 0, 0]
    times, centres, long = np.arange(9) / 4, np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.9, 0.2])
    raised = with_long(times, given, 1, centres, long, reach=1.0)
    assert np.allclose(raised.sum(axis=1), 1)
    assert (raised[:, 1] >= given[:, 1] - 1e-7).all()
    assert raised[4, 1] == pytest.approx(max(0.9, given[4, 1]))
    assert np.allclose(raised[3, [0, 2, 3]] / raised[3, 0], given[3, [0, 2, 3]] / given[3, 0])  # the rest as before
    assert np.allclose(with_long(times, given, 1, np.zeros(0), np.zeros(0), reach=1.0), given, atol=1e-6)


def test_what_a_long_window_says_does_not_reach_across_a_hole(classifier):
    lift, rest = slow_lift(12.0), seen("squat", duration=0.9)
    late = lift.times[-1] + 60
    both = replace(
        lift,
        times=np.concatenate([lift.times, rest.times - rest.times[0] + late]),
        keypoints=np.concatenate([lift.keypoints, rest.keypoints]),
        confidence=np.concatenate([lift.confidence, rest.confidence]),
    )
    blind = Classifier(classifier.session, replace(classifier.card, slow={}))
    times, probabilities = classifier.predict(both)
    after = times > late - 1
    assert after.any()
    assert np.allclose(probabilities[after], blind.predict(both)[1][after], atol=1e-6)


def test_long_windows_change_no_times_and_concern_their_class_alone(classifier):
    sequence = slow_lift()
    blind = Classifier(classifier.session, replace(classifier.card, slow={}))
    assert np.array_equal(classifier.predict(sequence)[0], blind.predict(sequence)[0])
    few = classifier.only(["squat"])
    assert np.array_equal(few.predict(sequence)[1], blind.only(["squat"]).predict(sequence)[1])
