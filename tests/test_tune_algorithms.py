"""The algorithms of a search, on functions whose best place is known."""

from collections import Counter

import numpy as np
import pytest
from made_search import SPACE, bowl, simulate

pytest.importorskip("optuna")

from kinetag.tune import evolution, sampling
from kinetag.tune.halving import Bracket, asha, brackets_of, hyperband, ladder
from kinetag.tune.plan import ALGORITHMS
from kinetag.tune.trials import Go, New, Rest, Rules, Trial


def rules(**changes) -> Rules:
    return Rules(**{"space": SPACE, "epochs": 9, "most": None, "population": 6, "interval": 3, **changes})


def best_of(trials: list[Trial]) -> float:
    return max(trial.best for trial in trials)[0]


def test_the_brackets_of_hyperband_are_those_of_its_paper():
    """Table 1: R = 81, eta = 3."""
    assert brackets_of(rules(epochs=81)) == [
        Bracket((81, 27, 9, 3, 1), (1, 3, 9, 27, 81)),
        Bracket((34, 11, 3, 1), (3, 9, 27, 81)),
        Bracket((15, 5, 1), (9, 27, 81)),
        Bracket((8, 2), (27, 81)),
        Bracket((5,), (81,)),
    ]


@pytest.mark.parametrize(
    ("epochs", "eta", "first", "rungs"),
    [(27, 3, 1, (1, 3, 9, 27)), (20, 3, 1, (2, 7, 20)), (16, 4, 1, (1, 4, 16)), (9, 3, 4, (9,)), (1, 3, 1, (1,))],
)
def test_rungs(epochs, eta, first, rungs):
    assert ladder(rules(epochs=epochs, eta=eta, first=first)) == rungs


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("workers", [1, 4])
def test_it_ends_and_trains_no_epoch_twice(name, workers):
    order = np.random.default_rng(workers)
    trials, trained = simulate(
        name, bowl(1), rules(most=None if name in ("hyperband", "bohb", "dehb") else 12), workers=workers, order=order
    )
    assert max(Counter(trained).values()) == 1
    for trial in trials:
        epochs = [epoch for number, epoch in trained if number == trial.number]
        assert epochs == list(range(trial.start + 1, trial.target + 1))
        assert set(trial.values) == {dimension.key for dimension in SPACE.dimensions}
    assert any(trial.state == "done" for trial in trials)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_same_seed_is_the_same_search(name):
    one, two, other = (simulate(name, bowl(1), rules(seed=seed, epochs=3, most=10))[0] for seed in (1, 1, 2))
    assert one == two
    assert [trial.values for trial in one] != [trial.values for trial in other]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_is_next_follows_from_the_record_alone(name):
    """A record that went through JSON, as a restart reads it, leads to the same decisions at every step."""
    asked = []
    decide = ALGORITHMS[name].decide

    def twice(trials, settings):
        decision = decide(trials, settings)
        again = [Trial(**{**vars(trial), "values": dict(trial.values)}) for trial in trials]
        assert decide(again, settings) == decision
        asked.append(decision)
        return decision

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ALGORITHMS, name, type(ALGORITHMS[name])(twice, ALGORITHMS[name].propose))
        simulate(name, bowl(2), rules(epochs=4, eta=2, most=10))
    assert asked[-1] is Rest.DONE


@pytest.mark.parametrize("name", ALGORITHMS)
def test_failed_trials_do_not_stop_a_search(name):
    trials, _ = simulate(name, bowl(1), rules(), fails=lambda trial: trial.number % 3 == 0)
    assert any(trial.failed for trial in trials)
    assert any(trial.state == "done" for trial in trials)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_all_failed_is_an_end_too(name):
    trials, trained = simulate(name, bowl(1), rules(), fails=lambda trial: True)
    assert trials
    assert not trained


def test_importances_that_are_all_the_same_are_left_out(monkeypatch):
    import optuna

    trials, _ = simulate("random", bowl(1), rules(epochs=1, most=20))
    assert sampling.importances(SPACE, trials)
    same = {dimension.key: 0.2 for dimension in SPACE.dimensions}
    monkeypatch.setattr(optuna.importance, "get_param_importances", lambda *args, **more: same)
    assert sampling.importances(SPACE, trials) == {}


# --- what each is known for ------------------------------------------------------------------------------------------


def test_the_number_of_trials_is_kept():
    for name in ALGORITHMS:
        for most in (7, 13):
            trials, _ = simulate(name, bowl(1), rules(most=most))
            assert len(trials) == min(most, 8) if name == "pbt" else len(trials) == most, name  # as many as it breeds
            assert any(trial.state == "done" for trial in trials), name


def test_pbt_with_enough_trials_goes_on_without_breeding_also_when_asked_again():
    settings = rules(epochs=12, interval=3, most=6, population=6)
    trials, trained = simulate("pbt", bowl(1), settings)
    assert [trial.parent for trial in trials] == [-1] * 6
    assert all(trial.state == "done" for trial in trials)
    assert len(trained) == 12 * 6
    assert evolution.pbt(trials, rules(epochs=12, interval=3, most=9, population=6)) is Rest.DONE  # too late for more


def test_a_member_of_a_population_is_judged_when_all_that_it_came_to_is_on_record():
    """Its last epoch is told a little before that, and it must not pass for the weakest then."""
    score = {3: (0.9, 0.0)}
    others = [Trial(n, {"x0": 0.5}, 3, slot=n, kept={3: (0.1 * n, 0.0)}, latest={3: (0.1 * n, 0.0)}) for n in range(5)]
    last = Trial(5, {"x0": 0.5}, 3, state="running", slot=5, kept=score)
    assert evolution.pbt([*others, last], rules()) is Rest.WAIT


def test_hyperband_does_one_round_of_all_brackets():
    trials, _ = simulate("hyperband", bowl(1), rules(epochs=27))
    assert Counter(trial.bracket for trial in trials) == {0: 27, 1: 12, 2: 6, 3: 4}
    for trial in trials:
        rivals = [t for t in trials if t.bracket == trial.bracket and t.target >= trial.target]
        if trial.target < 27:  # those that went on were not worse
            further = [t for t in rivals if t.target > trial.target]
            assert all(t.at(trial.target) >= trial.at(trial.target) for t in further)


def test_asha_promotes_the_best_share_of_a_rung(monkeypatch):
    promoted = []

    def watched(trials, settings):
        decision = asha(trials, settings)
        if isinstance(decision, Go):
            rung = trials[decision.number].target
            here = sorted((t.at(rung) for t in trials if t.reached(rung)), reverse=True)
            assert trials[decision.number].at(rung) >= here[max(0, len(here) // settings.eta - 1)]
            promoted.append(rung)
        return decision

    monkeypatch.setitem(ALGORITHMS, "asha", type(ALGORITHMS["asha"])(watched, sampling.random))
    settings = rules(epochs=27, most=40)
    trials, trained = simulate("asha", bowl(3), settings, workers=4, order=np.random.default_rng(0))
    assert len(trials) == 40
    assert set(promoted) == {1, 3, 9}
    assert [sum(trial.target >= rung for trial in trials) for rung in (1, 3, 9, 27)] == [40, 13, 4, 1]
    assert len(trained) < 40 * 27 / 4


def test_asha_brings_one_trial_to_the_end_though_few_are_asked_for():
    trials, _ = simulate("asha", bowl(3), rules(epochs=27, most=4))
    assert sum(trial.state == "done" for trial in trials) == 1


def test_dehb_breeds_within_the_ranges_and_gets_better():
    trials, _ = simulate("dehb", bowl(4), rules(epochs=27))
    bred = [trial for trial in trials if trial.bracket > 0]
    assert bred
    assert all(0 <= trial.values[f"x{i}"] <= 1 for trial in trials for i in range(4))
    holders = evolution.population(trials, 27, rules(epochs=27))
    assert len(holders) == 4  # as many as the last bracket trains in full
    gains = []
    for seed in range(12):
        mine, cost = simulate("dehb", bowl(seed), rules(epochs=27, seed=seed))
        number = len(cost) // 27
        drawn, _ = simulate("random", bowl(seed), rules(epochs=27, most=number, seed=seed))
        gains.append(best_of(mine) - best_of(drawn))
    assert np.mean(gains) > 0


def test_pbt_copies_the_strong_and_changes_a_little():
    settings = rules(epochs=12, interval=3, population=10)
    trials, trained = simulate("pbt", bowl(5), settings)
    assert len({trial.slot for trial in trials}) == 10
    children = [trial for trial in trials if trial.parent >= 0]
    assert children
    for child in children:
        rivals = [t for t in trials if t.start < child.start <= t.target]
        scores = sorted(t.now(child.start) for t in rivals)
        parent = trials[child.parent]
        assert parent.now(child.start) >= scores[-2]  # one of the best fifth of ten
        replaced = max((t for t in rivals if t.slot == child.slot), key=lambda t: t.number)
        assert replaced.now(child.start) <= scores[1]
        changed = [key for key in child.values if child.values[key] != parent.values[key]]
        assert changed
    assert len(trained) == 12 * 10  # every member trains every epoch, whoever's weights it has
    gains = []
    for seed in range(8):
        mine, _ = simulate("pbt", bowl(seed), rules(epochs=12, population=10, seed=seed))
        drawn, _ = simulate("random", bowl(seed), rules(epochs=12, most=10, seed=seed))
        gains.append(best_of(mine) - best_of(drawn))
    assert np.mean(gains) > 0


def test_bayesian_beats_random():
    gains = []
    for seed in range(4):
        both = (simulate(name, bowl(seed), rules(epochs=1, most=14, seed=seed))[0] for name in ("bayesian", "random"))
        learned, drawn = map(best_of, both)
        gains.append(learned - drawn)
    assert np.mean(gains) > 0
    assert sum(gain > 0 for gain in gains) >= 3


def test_bohb_learns_where_hyperband_draws():
    gains = []
    for seed in range(12):
        both = (simulate(name, bowl(seed), rules(epochs=27, seed=seed))[0] for name in ("bohb", "hyperband"))
        learned, drawn = map(best_of, both)
        gains.append(learned - drawn)
    assert np.mean(gains) > 0


def test_a_model_learns_from_the_highest_epoch_that_enough_have_come_to():
    def trial(number, epoch, score, state="paused"):
        values = SPACE.start()
        return Trial(number, values, epoch, state, kept={e: (score * e, 0.0) for e in range(1, epoch + 1)})

    trials = [trial(i, 1, 0.1) for i in range(5)] + [trial(5 + i, 3, 0.2) for i in range(3)]
    assert [r.score for r in sampling.results_of(trials, SPACE, enough=3)] == [pytest.approx(0.6)] * 3
    assert len(sampling.results_of(trials, SPACE, enough=4)) == 8
    failed = [*trials, Trial(8, SPACE.start(), 1, "failed"), Trial(9, SPACE.start(), 1, "running")]
    assert [r.score for r in sampling.results_of(failed, SPACE, enough=4)][-2:] == [pytest.approx(0.1), None]


def test_asha_and_hyperband_wait_only_for_what_runs():
    running = [Trial(i, {}, 1, "running") for i in range(2)]
    assert hyperband(running, rules(most=2)) is Rest.WAIT
    assert asha(running, rules(most=2)) is Rest.WAIT
    came = [Trial(i, {}, 1, kept={1: (i, 0.0)}) for i in range(2)]
    assert hyperband(came, rules(most=2)) == Go(1, 3)
    assert isinstance(asha(came, rules(most=3)), New)
