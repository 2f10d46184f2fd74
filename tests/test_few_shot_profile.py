"""The space of embeddings, calibration, and the file that keeps what was taught."""

import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_teaching import salutes, still

from kinetag.errors import KinetagError
from kinetag.few_shot.clips import TaughtClip, candidate, cut_clips
from kinetag.few_shot.profile import Profile, Taught, load_profile, save_profile
from kinetag.few_shot.prototypes import Seen, calibrate, library_similarities, prototype, taught_probabilities
from kinetag.few_shot.space import cluster, space_of, unit

NAMES = ("a", "b", "c", "other")


def made_embeddings(rng, count=60, width=12):
    """Embeddings (N, D) around one centre a class, with one direction that says nothing, and their labels (N,)."""
    centres = 3 * np.eye(len(NAMES), width)
    labels = np.repeat(np.arange(len(NAMES)), count)
    found = centres[labels] + 0.5 * rng.normal(size=(len(labels), width))
    found[:, -1] += 20 * rng.normal(size=len(labels))
    return found, labels


@pytest.fixture(scope="module")
def space():
    rng = np.random.default_rng(0)
    return space_of(*made_embeddings(rng), NAMES, rng)


def windows_of(space, centre, rng, count=20):
    """A clip of something whose embeddings lie around ``centre`` of the made ones."""
    points = 3 * np.eye(12)[centre] + 0.5 * rng.normal(size=(2, count, 12))
    points[..., -1] += 20 * rng.normal(size=(2, count))
    return Seen(*space.place(points))


def test_what_differs_within_classes_counts_less(space):
    rng = np.random.default_rng(1)
    embeddings, labels = made_embeddings(rng)
    plain = unit(embeddings - embeddings.mean(axis=0))

    def right(points):
        means = np.stack([unit(points[labels == k].mean(axis=0)) for k in range(len(NAMES))])
        return ((points @ means.T).argmax(axis=1) == labels).mean()

    assert right(space.place(embeddings)) > 0.95 > right(plain)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 6))
def test_clusters_are_unit_vectors_and_no_more_than_asked(seed, count):
    rng = np.random.default_rng(seed)
    centres = cluster(unit(rng.normal(size=(int(rng.integers(1, 20)), 5))), count, rng)
    assert 1 <= len(centres) <= count
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1)


@pytest.mark.parametrize("shots", [1, 2, 5])
def test_what_was_taught_is_recognised_and_the_library_is_kept(space, shots):
    rng = np.random.default_rng(2)
    exercises = [[windows_of(space, centre, rng) for _ in range(shots)] for centre in (6, 7)]
    biases, temperature = calibrate(exercises, space)
    points = np.stack([prototype(clips) for clips in exercises])

    def probabilities(placed):
        return taught_probabilities(placed @ points.T, library_similarities(placed, space), biases, temperature)

    for place, centre in enumerate((6, 7)):
        found = probabilities(windows_of(space, centre, rng).filmed)
        assert (found.argmax(axis=1) == place).mean() == 1
        assert found[:, place].mean() > 0.8
    kept = 1 - probabilities(space.negatives).sum(axis=1)
    assert (kept > 0.5).mean() > 0.97


def test_a_replaced_class_does_not_compete(space):
    placed = space.negatives[space.negative_labels == 1]
    less = space.without(["b", "salute"])
    with_it, without_it = (library_similarities(placed, each).max(axis=1) for each in (space, less))
    assert library_similarities(placed, less).shape[1] == len(NAMES) - 1
    assert set(less.negative_labels) == {0, 2, 3}
    assert (without_it < with_it).mean() > 0.9


@pytest.fixture
def profile(space):
    clips = {"salute.mp4": salutes(), "zweiter Gruß.mov": salutes(azimuth=90)}
    cut, rule, _ = cut_clips([candidate(name, [poses]) for name, poses in clips.items()])
    held = still(world=False)
    pose = TaughtClip("pose.json", held, float(held.times[0]), float(held.times[-1]))
    exercises = {"salute": Taught("salute", "Salute", rule, tuple(cut)), "pose": Taught("pose", "Pose", None, (pose,))}
    points = unit(np.random.default_rng(3).normal(size=(2, 12))).astype(np.float32)
    return Profile(exercises, "0123abcd", space, points, np.array([0.1, 0.2], np.float32), 0.07)


def test_a_profile_comes_back_as_it_was(profile, tmp_path):
    path = tmp_path / "mine.npz"
    save_profile(profile, path)
    back = load_profile(path)
    assert list(back.exercises) == ["salute", "pose"]
    assert (back.fingerprint, back.temperature, back.space.labels) == ("0123abcd", 0.07, NAMES)
    np.testing.assert_array_equal(back.prototypes, profile.prototypes)
    np.testing.assert_allclose(back.space.whitening, profile.space.whitening, rtol=1e-3, atol=1e-3)
    for name, taught in profile.exercises.items():
        assert back.exercises[name].counting == taught.counting
        for clip, kept in zip(taught.clips, back.exercises[name].clips, strict=True):
            assert (kept.name, kept.start, kept.end) == (clip.name, clip.start, clip.end)
            np.testing.assert_array_equal(kept.poses.times, clip.poses.times)
            np.testing.assert_allclose(kept.poses.keypoints, clip.poses.keypoints, atol=0.2)
            np.testing.assert_allclose(kept.poses.confidence, clip.poses.confidence, atol=0.003)
            assert (kept.poses.world is None) == (clip.poses.world is None)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.npz"]


def test_the_cuts_of_a_film_are_kept_and_a_profile_of_before_has_none(profile, tmp_path):
    clip = profile.exercises["pose"].clips[0]
    clip.poses.cuts = (float(clip.poses.times[3]), float(clip.poses.times[9]))
    save_profile(profile, tmp_path / "mine.npz")
    assert load_profile(tmp_path / "mine.npz").exercises["pose"].clips[0].poses.cuts == clip.poses.cuts

    def as_before(arrays, about):
        for exercise in about["exercises"]:
            for each in exercise["clips"]:
                del each["cuts"]

    changed(profile, tmp_path / "old.npz", as_before)
    assert load_profile(tmp_path / "old.npz").exercises["pose"].clips[0].poses.cuts == ()


def test_writing_where_nothing_can_be_written_is_told(profile, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KinetagError, match="cannot write"):
        save_profile(profile, tmp_path / "file" / "profile.npz")


def changed(profile, path, change):
    """A profile whose arrays were changed by somebody."""
    save_profile(profile, path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(arrays["about"].tobytes())
    change(arrays, about)
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, allow_pickle=True, **arrays)


HOSTILE = {
    "newer": (lambda a, about: about.update(version=2), "version"),
    "other format": (lambda a, about: about.update(format="zip"), "format"),
    "unknown key": (lambda a, about: about.update(run="me"), "run"),
    "name": (lambda a, about: about["exercises"][0].update(name="../x"), "name"),
    "counting": (lambda a, about: about["exercises"][0]["counting"].update(signal="nose"), "signal"),
    "temperature": (lambda a, about: about.update(temperature=0), "temperature"),
    "layout": (lambda a, about: about["exercises"][0]["clips"][0].update(layout="octopus"), "octopus"),
    "times": (lambda a, about: a.update(times_0=a["times_0"][::-1]), "do not increase"),
    "cuts": (lambda a, about: about["exercises"][0]["clips"][0].update(cuts=[2, 1]), "cuts .* do not increase"),
    "lengths": (lambda a, about: a.update(keypoints_0=a["keypoints_0"][:5]), "shape|broadcast"),
    "missing": (lambda a, about: a.pop("whitening"), "whitening"),
    "not finite": (lambda a, about: a.update(taught=a["taught"] * np.nan), "finite"),
    "shape": (lambda a, about: a.update(taught=a["taught"][:, :3]), "'taught' has shape"),
    "labels": (lambda a, about: a.update(negative_labels=a["negative_labels"] + 9), "names a class"),
    "text": (lambda a, about: a.update(mean=np.array(["x"] * 12)), "finite numbers"),
    "pickle": (lambda a, about: a.update(mean=np.array([{}], object)), "pickle"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_profile_that_was_tampered_with_is_refused_in_one_line(profile, tmp_path, kind):
    change, said = HOSTILE[kind]
    changed(profile, tmp_path / "bad.npz", change)
    with pytest.raises(KinetagError, match=rf"bad\.npz cannot be read as a profile.*({said})") as caught:
        load_profile(tmp_path / "bad.npz")
    assert "\n" not in str(caught.value)


def test_what_is_no_profile_is_refused(profile, tmp_path):
    path = tmp_path / "mine.npz"
    with pytest.raises(KinetagError, match=r"no profile at .*kinetag teach"):
        load_profile(path)
    save_profile(profile, path)
    for content in (b"", b"hello", path.read_bytes()[:-2000], pickle.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(KinetagError, match="cannot be read as a profile"):
            load_profile(path)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("mean.npy", "w", force_zip64=True) as stream,
    ):
        for _ in range(300):
            stream.write(bytes(1 << 20))
    with pytest.raises(KinetagError, match="unpacks to more than"):
        load_profile(path)


def test_a_profile_too_big_to_be_read_is_not_written(profile, tmp_path, monkeypatch):
    path = tmp_path / "mine.npz"
    save_profile(profile, path)
    before = path.read_bytes()
    monkeypatch.setattr("kinetag.few_shot.profile._MOST_ARRAYS", 10)
    with pytest.raises(KinetagError, match=r"mine\.npz would hold .* fewer clips, or from shorter ones"):
        save_profile(profile, path)
    assert path.read_bytes() == before


def test_finetuning_keeps_unit_vectors_and_separates_what_was_taught(profile, space):
    pytest.importorskip("torch")
    from kinetag.few_shot.finetune import finetuned

    rng = np.random.default_rng(4)
    seen = [[windows_of(space, 6, rng), windows_of(space, 6, rng)], [windows_of(space, 7, rng)]]
    points = np.stack([prototype(clips) for clips in seen]).astype(np.float32)
    before = replace(profile, prototypes=points)
    after = finetuned(before, seen)
    np.testing.assert_allclose(np.linalg.norm(after.prototypes, axis=1), 1, atol=1e-5)
    assert after.finetuned

    def loss(of):
        """Of the windows that it was trained on: those of what was taught, and the library's."""
        total = 0.0
        own = [(place, clip.filmed) for place, clips in enumerate(seen) for clip in clips]
        for place, placed in [*own, (2, space.negatives)]:
            rivals = library_similarities(placed, of.space)
            found = taught_probabilities(placed @ of.prototypes.T, rivals, of.biases, of.temperature)
            total -= np.log(np.column_stack([found, 1 - found.sum(axis=1)])[:, place]).mean()
        return total

    assert loss(after) < loss(before)
