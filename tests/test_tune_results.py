"""Which checkpoint a search publishes, and which ones it removes."""

import pytest

pytest.importorskip("lightning")
pytest.importorskip("optuna")
from made_search import OverlappingNursery
from made_training import training_spec
from test_tune import settings, summary_of

from kinetag.errors import KinetagError
from kinetag.tune import plan, search, tune

DELETING = [
    *settings(algorithm="random", automl_max_recommendations=5, automl_max_concurrent=2, baseline="false"),
    "automl_settings.automl_delete_intermediate_ckpt=true",
]


class DivergedError(KinetagError):
    pass


def _even(spec, epoch):
    return 0.5


def _leads_and_fails(spec, epoch):
    if spec.results_folder("train").name != "2":
        return 0.5
    if epoch > 1:
        raise DivergedError("training diverged in epoch 2")
    return 0.9


def _all_fail(spec, epoch):
    return _leads_and_fails(spec, epoch) if spec.results_folder("train").name == "2" else _diverged()


def _diverged():
    raise DivergedError("training diverged in epoch 1")


@pytest.fixture
def overlapping(monkeypatch):
    fake = type("Fake", (OverlappingNursery,), {"jobs": [], "value": staticmethod(_even)})
    monkeypatch.setattr(search, "Nursery", fake)
    monkeypatch.setattr(plan, "core_count", lambda: 4)
    return fake


@pytest.mark.parametrize("value", [_even, _leads_and_fails])
def test_the_best_checkpoint_outlives_a_trial_under_way_that_ties_or_leads_and_fails(overlapping, tmp_path, value):
    overlapping.value = staticmethod(value)
    result = tune(training_spec(tmp_path, *DELETING))
    here = tmp_path / "out" / "train"
    assert result.trial == summary_of(tmp_path / "out")["best"]["number"] == 0
    assert (here / "trials/0/pc_model_best.pth").read_text() == "0 3"
    assert (here / "pc_model_best.pth").read_text() == "0 3"
    assert {path.parent.name for path in (here / "trials").glob("*/*.pth")} == {"0"}


def test_nothing_stays_published_of_a_leader_that_failed_where_all_fail(overlapping, tmp_path):
    overlapping.value = staticmethod(_all_fail)
    with pytest.raises(KinetagError, match="no trial came to anything"):
        tune(training_spec(tmp_path, *DELETING))
    here = tmp_path / "out" / "train"
    assert not list(here.glob("*.pth"))
    assert summary_of(tmp_path / "out")["best"] is None


def test_a_best_checkpoint_that_is_gone_is_said_and_no_other_takes_its_place(overlapping, tmp_path):
    tune(training_spec(tmp_path, *DELETING))
    gone = tmp_path / "out/train/trials/0/pc_model_best.pth"
    gone.unlink()
    with pytest.raises(KinetagError, match=r"trial 0 is the best, but its checkpoint .*trials/0/.* is gone"):
        tune(training_spec(tmp_path, *DELETING))
