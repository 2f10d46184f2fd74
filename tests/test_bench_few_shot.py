"""The bench of few-shot teaching: what it draws, teaches and tests."""

from argparse import Namespace

import few_shot as bench
import numpy as np
import pytest
from test_few_shot_profile import NAMES, made_embeddings, windows_of

from kinetag.few_shot.space import space_of


@pytest.fixture(scope="module")
def clips():
    """A small library, six clips of each of two exercises that it lacks, and clips of what it has."""
    rng = np.random.default_rng(1)
    embeddings, labels = made_embeddings(rng)
    space = space_of(embeddings, labels, NAMES, rng)
    sure = np.eye(len(NAMES), dtype=np.float32)

    def placed(centre, known):
        return bench.Placed(windows_of(space, centre, rng, 6), np.tile(sure[known], (6, 1)))

    taught = {name: [placed(centre, 0) for _ in range(6)] for name, centre in (("wave", 6), ("bow", 7))}
    return space, taught, [(i, placed(i, i)) for i in (0, 1)]


@pytest.mark.parametrize("finetune", [False, True])
def test_the_same_draws_are_taught_by_prototypes_and_finetuned(clips, finetune):
    if finetune:
        pytest.importorskip("torch")
    space, taught, library = clips
    options = Namespace(people=[], shots=[1, 4], ways=15, draws=2, finetune=finetune)
    rows = bench.measure("made", taught, library, space, options, {})
    methods = ["prototype", "finetuned"] if finetune else ["prototype"]
    assert [(row["taught from"], row["method"], row["tested"]) for row in rows] == [
        (shots, method, 2 * (6 - shots)) for shots in (1, 4) for method in methods
    ]
    assert all(float(row["accuracy"].split()[0]) > 80 for row in rows)
    assert all(set(row["by exercise"]) == {"wave", "bow"} for row in rows)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--people", "10", "--shots", "5"], "--shots does not go with --people"),
        (["--shots", "3", "0"], "--shots 0: at least 1 clip"),
        (["--people", "0"], "--people 0: at least 1"),
    ],
)
def test_what_would_teach_nothing_or_be_ignored_is_refused(given, said, capsys):
    with pytest.raises(SystemExit):
        bench.arguments(given)
    assert f"error: {said}" in capsys.readouterr().err


def test_clips_to_learn_from_are_counted_1_3_and_5_unless_said():
    assert bench.arguments([]).shots == [1, 3, 5]
    assert bench.arguments(["--shots", "2"]).shots == [2]
    assert bench.arguments(["--people", "10"]).people == [10]
