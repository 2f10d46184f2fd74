import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_models import CLASSES, RATE, made_clips, trained

from kinetag.clip_windows import clip_windows
from kinetag.errors import KinetagError
from kinetag.models.card import ModelCard
from kinetag.sequence import PoseSequence

CARD = ModelCard(
    kind="clips", labels=CLASSES, layout="coco", channels=("x", "y", "confidence"), window=60, rate=RATE, length=60,
    coordinates="body", recipe="tao",
)  # fmt: skip


def moving(label: int, *, frames: int = 180, start: float = 0.0, layout: str = "coco") -> PoseSequence:
    """A made-up movement as somebody filmed it: pixels, at 15 poses a second."""
    clips, labels = made_clips(3, frames=frames, seed=20, layout=layout)
    points = 320 + 50 * np.moveaxis(clips[list(labels).index(label), :2, ..., 0], 0, -1)  # (T, V, 2)
    times = start + np.arange(frames) / RATE
    return PoseSequence(times, points, np.ones(points.shape[:2]), layout, (640, 480))


def all_windows(
    sequence: PoseSequence, card: ModelCard = CARD, hop: float = 0.25
) -> tuple[np.ndarray, list[np.ndarray]]:
    parts = list(clip_windows(sequence, card, hop=hop, size=7))
    return np.concatenate([part.times for part in parts]), [part.clips[i] for part in parts for i in part.which]


def test_a_window_is_made_as_training_clips_are():
    """The same frames through the reader of data sets."""
    from kinetag.datasets.coordinates import normalise, stack

    sequence = moving(1)
    times, clips = all_windows(sequence)
    middle = int(np.abs(times - 6.0).argmin())
    first = round(times[middle] * RATE) - 30
    rows = slice(first, first + 60)
    points = normalise(sequence.keypoints[rows], sequence.confidence[rows], "body", (640, 480))
    expected = stack(points, sequence.confidence[rows], CARD.channels)
    np.testing.assert_allclose(clips[middle], expected, atol=1e-4)


def test_windows_cover_the_sequence_and_stay_inside_it():
    times, clips = all_windows(moving(0))
    assert times[0] == 0
    assert times[-1] == pytest.approx(179 / RATE, abs=0.26)
    assert (np.diff(times) > 0).all()
    assert {clip.shape for clip in clips} == {(3, 60, 17, 1)}
    assert all((clip[2] > 0).all() for clip in clips)  # no padding at the ends


def test_windows_that_hold_the_same_frames_are_made_once():
    parts = list(clip_windows(moving(0), CARD, hop=0.25, size=100))
    assert len(parts) == 1
    assert len(parts[0].times) == len(parts[0].which) == 45
    assert len(parts[0].clips) < 35  # 2 s at each end hold the same


def test_a_short_sequence_is_one_clip_padded_as_in_training():
    _, clips = all_windows(moving(0, frames=30))
    assert {clip.shape for clip in clips} == {(3, 60, 17, 1)}
    assert (clips[0][2, :30] > 0).all()
    assert (clips[0][2, 30:] == 0).all()
    assert not list(clip_windows(moving(0, frames=4), CARD, hop=0.25))


def test_a_hole_splits_the_windows():
    a, b = moving(0, frames=60), moving(1, frames=60, start=10.0)
    joined = PoseSequence(
        np.concatenate([a.times, b.times]),
        np.concatenate([a.keypoints, b.keypoints]),
        np.concatenate([a.confidence, b.confidence]),
        "coco",
        (640, 480),
    )
    times, clips = all_windows(joined)
    assert not ((times > 4.0) & (times < 9.9)).any()
    np.testing.assert_allclose(clips[0], all_windows(a)[1][0], atol=1e-5)


def test_uniform_sampling_and_several_people():
    card = replace(CARD, recipe="kinetag", window=100, length=45, people=2)
    _, clips = all_windows(moving(1), card)
    assert clips[0].shape == (3, 100, 17, 2)
    assert (clips[0][..., 1] == 0).all()


def test_poses_that_cannot_give_it_are_refused():
    with pytest.raises(KinetagError, match="points in space"):
        all_windows(moving(0), replace(CARD, coordinates="metres", channels=("x", "y", "z")))
    with pytest.raises(
        KinetagError, match=r"34 joints of layout 'nvidia', of which poses in layout 'kinetag' give only"
    ):
        all_windows(moving(0, layout="kinetag"), replace(CARD, layout="nvidia"))


# --- from a checkpoint to a timeline ---------------------------------------------------------------------------------


def exported(folder: Path, checkpoint: Path, *overrides: str) -> Path:
    from kinetag.actions.export import export
    from kinetag.spec import load_spec

    path = folder / f"{checkpoint.stem}.onnx"
    given = [f"results_dir={folder}", f"export.checkpoint={checkpoint}", f"export.onnx_file={path}", *overrides]
    export(load_spec(None, given, action="export"))
    return path


@pytest.mark.parametrize("mirrored", [False, True])
def test_an_exported_model_classifies_poses(tmp_path, small_model, mirrored):
    from kinetag.classifier import Classifier

    classifier = Classifier.load(exported(tmp_path, small_model))
    for label in (0, 2):  # waving is with the left hand, which a mirror changes
        times, probabilities = classifier.predict(moving(label), average_mirror=mirrored)
        assert probabilities.shape == (len(times), 3)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        assert (probabilities.argmax(axis=1) == label).mean() > 0.9
    times, probabilities = classifier.predict(moving(0, frames=3))
    assert probabilities.shape == (0, 3)


def test_analyze_with_a_model_of_ones_own(tmp_path, small_model, capsys):
    from kinetag.cli import main
    from kinetag.pose.files import write_poses

    model = exported(tmp_path, small_model)
    a, b = moving(0, frames=120), moving(2, frames=120, start=120 / RATE)
    joined = replace(
        a,
        times=np.concatenate([a.times, b.times]),
        keypoints=np.concatenate([a.keypoints, b.keypoints]),
        confidence=np.concatenate([a.confidence, b.confidence]),
    )
    write_poses([joined], tmp_path / "poses.json")
    assert main(["analyze", str(tmp_path / "poses.json"), "--model", str(model), "--format", "json"]) == 0
    segments = json.loads(capsys.readouterr().out)["people"][0]["segments"]
    assert [segment["label"] for segment in segments] == ["still", "bob"]
    assert segments[0]["end"] == pytest.approx(120 / RATE, abs=1.5)
    counted = [segment["repetitions"] for segment in segments]
    assert counted[0] == 0
    assert counted[1] in (11, 12, 13)  # unknown to the library, so by what repeats itself: 1.5 a second for 8 s


def test_labels_that_the_library_knows_are_counted(tmp_path):
    from test_classifier import seen

    from kinetag.analyzer import label_person
    from kinetag.classifier import Classifier
    from kinetag.exercises.labels import exercises_by_label
    from kinetag.exercises.library import load_library

    library = load_library()
    names = ("Squats", "push-up", "jumping_jacks", "hand stand")
    assert {label: e.name for label, e in exercises_by_label(names, library).items()} == {
        "Squats": "squat",
        "push-up": "push_up",
        "jumping_jacks": "jumping_jack",
    }

    class Sure(Classifier):
        def predict(self, sequence, **options):
            times = np.arange(sequence.times[0], sequence.times[-1], 0.25)
            return times, np.tile([1.0, 0.0, 0.0, 0.0], (len(times), 1))

    card = replace(CARD, labels=names)
    person = label_person(seen("squat", seed=1, repetitions=5), Sure(None, card), library)
    assert [segment.label for segment in person.segments] == ["Squats"]
    assert person.segments[0].repetition_count == 5


@pytest.mark.parametrize(
    ("about", "overrides", "message"),
    [
        ({"coordinates": "array"}, (), r"set dataset\.coordinates"),
        ({"coordinates": "pelvis3d", "channels": ("x", "y", "z")}, (), "DeepStream's 3D poses"),
        ({"rate": None}, (), r"set dataset\.rate"),
        ({"window": None}, (), r"dataset\.window_size"),
        ({"channels": ("x", "y", "z")}, (), "channels x, y, z"),
        ({"coordinates": "array"}, ("dataset.coordinates=body",), None),
        ({"rate": None}, ("dataset.rate=15",), None),
    ],
)
def test_a_model_that_does_not_fit_says_why(tmp_path, about, overrides, message):
    from kinetag.classifier import Classifier

    pytest.importorskip("torch")
    path = exported(tmp_path, trained(tmp_path / "model.safetensors", steps=0, **about), *overrides)
    if message is None:
        assert Classifier.load(path).card.rate == RATE
        return
    with pytest.raises(KinetagError, match=rf"model\.onnx cannot classify poses: .*{message}"):
        Classifier.load(path)


def test_metadata_that_lie_are_found_out(tmp_path, small_model):
    onnx = pytest.importorskip("onnx")
    from kinetag.classifier import Classifier

    path = exported(tmp_path, small_model)
    proto = onnx.load(str(path))
    card = json.loads(proto.metadata_props[0].value)
    for change, message in (
        ({"layout": "nvidia"}, "does not take what its metadata say"),
        ({"labels": ["a", "b"]}, "3 outputs, but its metadata name 2 labels"),
        ({"kind": "video"}, "newer kinetag"),
        ({"layout": "octopus"}, "unknown skeleton layout"),
    ):
        proto.metadata_props[0].value = json.dumps(card | change)
        onnx.save(proto, str(path))
        with pytest.raises(KinetagError, match=message):
            Classifier.load(path)


def test_a_checkpoint_in_place_of_an_onnx_file(small_model):
    from kinetag.classifier import Classifier

    with pytest.raises(KinetagError, match="is a checkpoint: export it first"):
        Classifier.load(small_model)


@pytest.mark.slow
def test_a_rendered_video_with_a_model_of_ones_own(tmp_path, squat_clip):
    """All the way: a model in the blazepose layout, a video, a timeline."""
    import kinetag

    about = {"layout": "blazepose", "class_names": CLASSES}
    model = exported(tmp_path, trained(tmp_path / "model.safetensors", steps=0, **about))
    timeline = kinetag.analyze(squat_clip[0], model=model)
    (person,) = timeline.people
    assert {segment.label for segment in person.segments} <= set(CLASSES)
    assert person.probabilities is not None
    assert len(person.probabilities) > 10
