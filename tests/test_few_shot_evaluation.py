"""`teach --evaluate`: in which space clips are judged, what is left out, and what is said of it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from test_few_shot_profile import NAMES, made_embeddings

from kinetag.few_shot import evaluation
from kinetag.few_shot.prototypes import Seen
from kinetag.few_shot.space import space_of
from kinetag.few_shot.teach import learned
from kinetag.report.teaching import scores_table


class Classifier:
    """In place of the real one: a clip is its windows' embeddings, of which nothing is known."""

    session, card, fingerprint = None, SimpleNamespace(labels=NAMES), "made"

    def predict(self, embeddings):
        return np.arange(len(embeddings)), np.tile(np.eye(len(NAMES), dtype=np.float32)[3], (len(embeddings), 1))


@pytest.fixture
def see(monkeypatch):
    def see(clip, classifier, space):
        placed = space.place(clip.part)
        return Seen(placed, placed)

    monkeypatch.setattr(evaluation, "see", see)
    return see


def profile_of(see, **windows):
    """What is taught by clips with so many windows each, and the space it is in."""
    rng = np.random.default_rng(0)
    embeddings, labels = made_embeddings(rng)
    space = space_of(embeddings, labels, NAMES, rng)
    exercises, seen = {}, []
    for centre, (name, counts) in enumerate(windows.items(), start=6):
        parts = [3 * np.eye(12)[centre] + 0.5 * rng.normal(size=(count, 12)) for count in counts]
        exercises[name] = SimpleNamespace(clips=[SimpleNamespace(part=part, made=False) for part in parts])
        seen.append([see(clip, None, space) for clip in exercises[name].clips])
    return learned(exercises, seen, "made", space)


def turned(space):
    """The same space with other axes."""
    order, signs = np.roll(np.arange(12), 5), np.where(np.arange(12) % 3, 1, -1)
    mixed = {name: getattr(space, name)[:, order] * signs for name in ("whitening", "prototypes", "negatives")}
    return replace(space, **mixed), order, signs


def said(found):
    console = Console(width=400)
    with console.capture() as captured:
        console.print(scores_table(found))
    return " ".join(captured.get().split())


def test_clips_of_a_finetuned_profile_are_seen_in_the_space_that_is_trained_in(see, monkeypatch):
    finetune, judged = pytest.importorskip("kinetag.few_shot.finetune"), []
    pytest.importorskip("torch")
    profile = replace(profile_of(see, wave=[6, 6], bow=[6, 6]), finetuned=True)
    train, rng = finetune.finetuned, np.random.default_rng(1)
    others, labels = made_embeddings(rng, count=10)
    library = evaluation._probabilities(profile.space.place(others), profile, profile.space)

    def training(profile, seen):
        judged.append(np.concatenate([clip.filmed for clips in seen for clip in clips]))
        return train(profile, seen, steps=3)

    monkeypatch.setattr(finetune, "finetuned", training)
    monkeypatch.setattr(evaluation, "library_embeddings", lambda classifier, seed: (others, labels))
    monkeypatch.setattr(evaluation, "build_space", lambda classifier: profile.space)
    found = evaluation.evaluate(profile, Classifier())
    space, order, signs = turned(profile.space)
    monkeypatch.setattr(evaluation, "build_space", lambda classifier: space)
    assert evaluation.evaluate(profile, Classifier()) == found
    for plain, mixed in zip(judged[:2], judged[2:], strict=True):
        np.testing.assert_allclose(mixed, plain[:, order] * signs, atol=1e-5)
    assert [score.false for score in found.scores] == list((library > 0.5).mean(axis=0))  # the profile's own


@pytest.mark.parametrize("finetuned", [False, True])
def test_a_clip_of_one_window_is_not_tested_by_itself(see, monkeypatch, finetuned):
    if finetuned:
        pytest.importorskip("torch")
    profile = replace(profile_of(see, wave=[1], bow=[6, 6]), finetuned=finetuned)
    monkeypatch.setattr(evaluation, "build_space", lambda classifier: profile.space)
    monkeypatch.setattr(evaluation, "library_embeddings", lambda *_: made_embeddings(np.random.default_rng(1), 10))
    wave, bow = (found := evaluation.evaluate(profile, Classifier())).scores
    assert (wave.windows, wave.right, wave.weak) == (0, None, "")
    assert (bow.windows, bow.right) == (12, 1.0)
    assert "wave 1 not tested" in said(found)
    assert "Not tested: wave, whose one clip is too short for halves" in said(found)
    assert "by halves of it" not in said(found)


@pytest.mark.parametrize("finetuned", [False, True])
def test_nothing_is_said_of_how_where_nothing_can_be_tested(see, monkeypatch, finetuned):
    if finetuned:
        pytest.importorskip("torch")
    profile = replace(profile_of(see, wave=[1]), finetuned=finetuned)
    monkeypatch.setattr(evaluation, "build_space", lambda classifier: profile.space)
    monkeypatch.setattr(evaluation, "library_embeddings", lambda *_: made_embeddings(np.random.default_rng(1), 10))
    found = evaluation.evaluate(profile, Classifier())
    assert (found.folds, found.scores[0].windows) == (0, 0)
    assert "Each clip" not in said(found)


def test_halves_are_said_where_every_exercise_has_one_clip(see):
    found = evaluation.evaluate(profile_of(see, wave=[6], bow=[5]), Classifier())
    assert [(score.windows, score.right) for score in found.scores] == [(6, 1.0), (5, 1.0)]
    assert "Each half of a clip was left out by itself, and known by the other half." in said(found)
    trained = said(replace(found, folds=2))
    assert "trained 2 times anew, each without another half of each clip" in trained
    both = evaluation.evaluate(profile_of(see, wave=[6], bow=[5, 5]), Classifier())
    assert "Each clip was left out by itself" in said(both)
