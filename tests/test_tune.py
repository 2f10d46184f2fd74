"""A search as a whole: what it leaves behind, how it goes on, and what it says when something is wrong."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lightning")
pytest.importorskip("optuna")
from made_search import FakeNursery
from made_training import training_spec, write_spec

from kinetag.actions.evaluate import evaluate
from kinetag.actions.train import train
from kinetag.checkpoint import load_checkpoint
from kinetag.cli import main
from kinetag.cores import core_count
from kinetag.errors import KinetagError
from kinetag.spec import load_spec
from kinetag.tune import plan, policy, search, store, tune
from kinetag.tune.schema import NOT_RUNNABLE


def settings(**values) -> list[str]:
    one = {"automl_max_recommendations": 3, "automl_max_concurrent": 1, **values}
    return [f"automl_settings.{name}={value}" for name, value in one.items()]


def summary_of(folder: Path) -> dict:
    return json.loads((folder / "train" / "automl.json").read_text())


def table(summary: dict) -> list:
    """What must not depend on interruptions: who tried what, how far, with what result."""
    shown = ("number", "state", "parameters", "value", "epoch", "curve", "bracket")
    return [[trial[key] for key in shown] for trial in summary["trials"]]


@pytest.fixture
def pretended(monkeypatch):
    """Searches that train nothing: val_acc is 1 minus the dropout, growing with the epochs."""
    fake = type("Fake", (FakeNursery,), {"jobs": [], "value": staticmethod(_by_dropout)})
    monkeypatch.setattr(search, "Nursery", fake)
    return fake


def _by_dropout(spec, epoch):
    return (1 - spec.model.dropout) * epoch / (epoch + 1)


# --- with real trainings ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """One real search of three trials in full length."""
    folder = tmp_path_factory.mktemp("search")
    said: list[str] = []
    result = tune(training_spec(folder, *settings(), "train.optim.weight_decay=0.001"), tell=said.append)
    return folder, result, said


def test_what_a_search_leaves_behind(searched):
    folder, result, said = searched
    here = folder / "out" / "train"
    names = {path.name for path in here.iterdir() if not path.name.startswith(".")}
    assert names == {"automl.html", "automl.json", "experiment.yaml", "pc_model_best.pth", "pc_model_latest.pth",
                     "status.json", "study.db", "trials"}  # fmt: skip
    assert sorted(path.name for path in (here / "trials").iterdir()) == ["0", "1", "2"]
    assert {path.name for path in (here / "trials" / "1").iterdir()} == {
        "experiment.yaml", "pc_model_best.pth", "pc_model_latest.pth", "status.json"}  # fmt: skip
    summary = summary_of(folder / "out")
    assert summary["finished"] is True
    values = [trial["value"] for trial in summary["trials"]]
    assert result.value == summary["best"]["value"] == max(values)
    assert result.baseline == values[0]
    assert result.trial == summary["best"]["number"]
    assert summary["trials"][0]["parameters"]["train.optim.lr"] == 0.003
    assert all("train.optim.weight_decay" not in trial["parameters"] for trial in summary["trials"])
    best = here / "trials" / str(result.trial)
    assert (here / "pc_model_best.pth").read_bytes() == (best / "pc_model_best.pth").read_bytes()
    assert any("weight_decay stays 0.001" in line for line in said)


def test_the_status_has_a_record_of_each_trial(searched):
    folder, result, _ = searched
    lines = [json.loads(line) for line in (folder / "out/train/status.json").read_text().splitlines()]
    assert (lines[0]["status"], lines[-1]["status"]) == ("STARTED", "SUCCESS")
    trials = {line["kpi"]["trial"]: line["kpi"] for line in lines if "trial" in line.get("kpi", {})}
    assert list(trials) == [0, 1, 2]
    assert trials[result.trial]["val_acc"] == result.value


def test_the_best_is_evaluated_as_a_plain_training_is(searched):
    folder, result, _ = searched
    data = folder / "data"
    overrides = [f"evaluate.checkpoint={result.checkpoint}", f"evaluate.test_dataset.data_path={data}"]
    found = evaluate(load_spec(result.latest.parent / "experiment.yaml", overrides, action="evaluate"))
    assert found.accuracy == pytest.approx(result.value)
    assert result.evaluated["val_acc"] == pytest.approx(result.value)
    header, _ = load_checkpoint(result.checkpoint)
    assert header.metrics["val_loss"] == pytest.approx(result.evaluated["val_loss"], rel=1e-4)


@pytest.fixture
def _as_many_threads_as_a_trial():
    """Sums in another order differ in the last digit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(core_count())
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_as_many_threads_as_a_trial")
def test_the_spec_of_the_best_trains_the_best(searched):
    folder, result, _ = searched
    spec = load_spec(
        result.latest.parent / "experiment.yaml", [f"train.results_dir={folder / 'again'}"], action="train"
    )
    assert spec.automl_policy == "off"
    again = train(spec)
    assert again.metrics["val_acc"] == result.value
    assert load_checkpoint(again.checkpoint)[0].metrics == load_checkpoint(result.checkpoint)[0].metrics


def test_a_search_that_is_over_is_skipped_and_more_trials_go_on(searched):
    folder, _, _ = searched
    again = tune(training_spec(folder, *settings(), "train.optim.weight_decay=0.001"))
    assert "raise automl_settings.automl_max_recommendations" in again.notes[-1]
    before = table(summary_of(folder / "out"))
    more = tune(training_spec(folder, *settings(automl_max_recommendations=4), "train.optim.weight_decay=0.001"))
    assert more.trials == 4
    assert table(summary_of(folder / "out"))[:3] == before


@pytest.mark.slow
@pytest.mark.usefixtures("_as_many_threads_as_a_trial")
def test_a_trial_that_stops_at_rungs_equals_an_unbroken_training(tmp_path):
    options = settings(algorithm="asha", automl_max_recommendations=5, automl_reduction_factor=2, automl_max_epochs=4)
    result = tune(training_spec(tmp_path, *options, "train.optim.lr_scheduler=Cosine"))
    summary = summary_of(tmp_path / "out")
    further = [t for t in summary["trials"] if t["how"] != "baseline" and t["state"] == "done"]
    assert further
    assert result.epochs == sum(trial["epoch"] for trial in summary["trials"]) < 5 * 4
    folder = tmp_path / "out" / "train" / "trials" / str(further[0]["number"])
    starts = [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]
    assert sum(line["status"] == "STARTED" for line in starts) == 3  # at epochs 1, 2 and 4
    whole = train(load_spec(folder / "experiment.yaml", [f"train.results_dir={tmp_path / 'whole'}"], action="train"))
    mine, theirs = (load_checkpoint(path / "pc_model_latest.pth")[1] for path in (folder, whole.latest.parent))
    assert all((mine[name] == theirs[name]).all() for name in theirs)


def test_pbt_hands_weights_on(tmp_path):
    options = settings(algorithm="pbt", automl_max_recommendations=6, automl_population_size=4, automl_max_epochs=4,
                       pbt_interval=2, baseline="false")  # fmt: skip
    tune(training_spec(tmp_path, *options, "automl_settings.automl_delete_intermediate_ckpt=true"))
    summary = summary_of(tmp_path / "out")
    children = [trial for trial in summary["trials"] if "parent" in trial]
    assert children
    child = children[0]
    folder = tmp_path / "out" / "train" / "trials" / str(child["number"])
    told = [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]
    assert any("going on from" in line["message"] and "inherited.pth" in line["message"] for line in told)
    assert [epoch for epoch, _ in child["curve"]] == [3, 4]
    parent = summary["trials"][child["parent"]]
    assert child["value"] >= dict(parent["curve"])[2]  # the parent's best came along
    left = {path.parent.name for path in (tmp_path / "out/train/trials").glob("*/*.pth")}
    assert left == {str(summary["best"]["number"])}


# Python runs this when it starts: in the nursery, the first process of each trial waits after its second epoch. Without
# that a busy machine may have trained the third before the test has killed anything.
WAITS = """
import sys, time
if "kinetag.tune.nursery" in sys.orig_argv:
    import kinetag.tune.jobs as jobs
    from kinetag.actions.train import spec_of
    do = jobs.do
    def waits(work, emit):
        mark = spec_of(work).results_folder("train") / "begun"
        first = work["kind"] == "train" and not mark.exists()
        if first:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        def told(event):
            emit(event)
            if first and event["event"] == "epoch" and event["kpi"]["epoch"] == 2:
                time.sleep(600)
        return do(work, told)
    jobs.do = waits
"""


def test_a_killed_trial_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    """The first process of a trial is killed in or after its second epoch: the table is that of a search left alone."""
    left_alone = tune(training_spec(tmp_path, *settings(automl_max_recommendations=2), name="alone"))
    (tmp_path / "sitecustomize.py").write_text(WAITS)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    killed: list[int] = []

    def kill(picture):
        for number, hand in picture.hands.items():
            if hand.epoch == 2 and number not in killed:
                killed.append(number)
                _kill_trials()

    disturbed = tune(training_spec(tmp_path, *settings(automl_max_recommendations=2), name="out"), watch=kill)
    assert killed == [0, 1]
    assert table(summary_of(tmp_path / "out")) == table(summary_of(tmp_path / "alone"))
    assert disturbed.value == left_alone.value
    status = (tmp_path / "out/train/status.json").read_text()
    assert status.count("was killed (code -9)") == 2


def _kill_trials() -> None:
    import psutil

    for nursery in psutil.Process().children():
        if "kinetag.tune.nursery" in " ".join(nursery.cmdline()):
            for trial in nursery.children():
                trial.kill()


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_running_and_the_search_goes_on(tmp_path):
    import psutil

    def interrupt(picture):
        if any(hand.epoch == 2 for hand in picture.hands.values()):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(training_spec(tmp_path, *settings(automl_max_recommendations=1)), watch=interrupt)
    assert not [p for p in psutil.Process().children(recursive=True) if p.is_running() and p.status() != "zombie"]
    last = json.loads((tmp_path / "out/train/status.json").read_text().splitlines()[-1])
    assert (last["status"], last["message"]) == ("FAILURE", "interrupted by the user")
    result = tune(training_spec(tmp_path, *settings(automl_max_recommendations=1)))
    assert result.trials == 1
    epochs = [epoch for epoch, _ in summary_of(tmp_path / "out")["trials"][0]["curve"]]
    assert epochs == [1, 2, 3]


# --- without trainings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["bayesian", "random", "hyperband", "asha", "bohb", "dehb", "pbt"])
def test_every_algorithm_searches_and_finds_better_than_the_baseline(pretended, tmp_path, algorithm):
    options = settings(
        algorithm=algorithm,
        automl_max_recommendations=10,
        automl_max_epochs=4,
        automl_reduction_factor=2,
        automl_population_size=4,
        pbt_interval=2,
    )
    result = tune(training_spec(tmp_path, *options))
    assert result.value > result.baseline == pytest.approx(0.5 * 0.8)
    summary = summary_of(tmp_path / "out")
    assert result.value == max(t["value"] for t in summary["trials"])
    assert result.trials <= 10
    done = [(name, stop) for name, stop in pretended.jobs]
    assert len(set(done)) == len(done)  # nothing twice
    assert (tmp_path / "out/train/pc_model_best.pth").read_text().split()[0] == str(result.trial)
    page = (tmp_path / "out/train/automl.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "algorithm", ["bayesian", "pbt", *(pytest.param(name, marks=SLOW) for name in ("asha", "hyperband", "dehb"))]
)
def test_a_search_that_dies_at_every_step_ends_as_one_that_does_not(pretended, tmp_path, algorithm, monkeypatch):
    options = settings(algorithm=algorithm, automl_max_recommendations=8, automl_max_epochs=4,
                       automl_reduction_factor=2, automl_population_size=4, pbt_interval=2)  # fmt: skip
    tune(training_spec(tmp_path, *options, name="alone"))
    lives = _dies_while_writing(monkeypatch)
    for _ in range(200):
        try:
            tune(training_spec(tmp_path, *options, name="out"))
            break
        except Dead:
            continue
    else:
        pytest.fail("it came to no end")
    assert lives() > 5
    assert table(summary_of(tmp_path / "out")) == table(summary_of(tmp_path / "alone"))


class Dead(BaseException):
    pass


def _dies_while_writing(monkeypatch):
    """Every life ends after some writes to the record, before or after the last of them took place."""
    from optuna.storages import RDBStorage

    lives, writes = 1, 0

    def dying(method):
        def wrapped(self, *args, **kwargs):
            nonlocal lives, writes
            writes += 1
            due = writes == 6 + 5 * lives % 7
            if due:
                lives, writes = lives + 1, 0
            if due and lives % 2:
                raise Dead
            result = method(self, *args, **kwargs)
            if due:
                raise Dead
            return result

        return wrapped

    for name in ("create_new_trial", "set_trial_user_attr", "set_trial_state_values", "set_trial_intermediate_value",
                 "set_study_user_attr"):  # fmt: skip
        monkeypatch.setattr(RDBStorage, name, dying(getattr(RDBStorage, name)))
    return lambda: lives


def test_a_search_is_not_mixed_with_another(pretended, tmp_path):
    tune(training_spec(tmp_path, *settings()))
    for change, words in (
        ("automl_settings.algorithm=random", "with algorithm 'bayesian', but now it is 'random'"),
        ("automl_settings.seed=1", "with seed 0"),
        ("dataset.batch_size=4", "with dataset.batch_size 5"),
        ("train.num_epochs=4", "epochs of a full trial 3"),
    ):
        with pytest.raises(KinetagError, match=re.escape(words)) as caught:
            tune(training_spec(tmp_path, *settings(), change))
        assert "use another results_dir" in str(caught.value)
    tune(training_spec(tmp_path, *settings(), "dataset.num_workers=2"))
    tune(training_spec(tmp_path, *settings(automl_max_concurrent=2)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("{model.dropout: {valid_max: 0.3}}", "with model.dropout in 0 to 0.2, but now it is 0 to 0.3: use"),
        ("{}", "with model.dropout in 0 to 0.2, but now it is 0 to 0.6: use another results_dir"),
        (
            "{model.dropout: {valid_max: 0.2}, model.graph_strategy: {valid_options: [uniform]}}",
            "with model.graph_strategy not searched, but now it is searched",
        ),
    ],
)
def test_another_range_is_named_with_both(pretended, tmp_path, changed, words):
    ranges = "automl_settings.custom_param_ranges="
    tune(training_spec(tmp_path, *settings(), ranges + "{model.dropout: {valid_max: 0.2}}"))
    with pytest.raises(KinetagError, match=re.escape(words)):
        tune(training_spec(tmp_path, *settings(), ranges + changed))


def test_pbt_keeps_the_number_of_trials_and_dehb_says_when_they_are_too_few_for_it(pretended, tmp_path):
    assert tune(training_spec(tmp_path, *settings(algorithm="pbt", automl_max_recommendations=2))).trials == 2
    few = settings(algorithm="dehb", automl_max_recommendations=3, automl_max_epochs=3)
    result = tune(training_spec(tmp_path, *few, name="dehb"))
    words = "dehb breeds after its first bracket of 3 trials, so this search is hyperband's"
    assert any(note.startswith(words) for note in result.notes)
    more = settings(algorithm="dehb", automl_max_recommendations=5, automl_max_epochs=3)
    result = tune(training_spec(tmp_path, *more, name="more"))
    assert not any(note.startswith("dehb") for note in result.notes)


def test_a_plain_training_is_not_written_over(pretended, tmp_path):
    folder = tmp_path / "out" / "train"
    folder.mkdir(parents=True)
    (folder / "pc_model_latest.pth").write_text("dear to somebody")
    with pytest.raises(KinetagError, match="holds a training that is no search"):
        tune(training_spec(tmp_path, *settings()))
    assert (folder / "pc_model_latest.pth").read_text() == "dear to somebody"


def test_trials_that_diverge_are_counted_and_no_end(pretended, tmp_path):
    class DivergedError(KinetagError):
        pass

    def value(spec, epoch):
        if spec.model.dropout < 0.3:
            raise DivergedError("training diverged in epoch 1")
        return _by_dropout(spec, epoch)

    pretended.value = staticmethod(value)
    result = tune(training_spec(tmp_path, *settings(automl_max_recommendations=10)))
    failed = [trial for trial in summary_of(tmp_path / "out")["trials"] if trial["state"] == "failed"]
    assert 0 < result.failed == len(failed) < 9
    assert all(trial["parameters"]["model.dropout"] < 0.3 for trial in failed)
    assert result.parameters["model.dropout"] >= 0.3


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_mistake_that_every_trial_would_make_ends_it_and_can_be_mended(pretended, tmp_path, at_once):
    def broken(spec, epoch):
        raise KinetagError("no such data")

    pretended.value = staticmethod(broken)
    with pytest.raises(KinetagError, match="no such data"):
        tune(training_spec(tmp_path, *settings(automl_max_concurrent=at_once)))
    assert len(pretended.jobs) <= 2
    pretended.value = staticmethod(_by_dropout)
    assert tune(training_spec(tmp_path, *settings(), "dataset.batch_size=4")).trials == 3


def test_direction_and_metric(pretended, tmp_path):
    result = tune(training_spec(tmp_path, *settings(metric="val_loss", automl_max_recommendations=6)))
    values = [trial["value"] for trial in summary_of(tmp_path / "out")["trials"]]
    assert result.value == min(values) < result.baseline
    assert summary_of(tmp_path / "out")["direction"] == "minimize"
    worst = tune(training_spec(tmp_path, *settings(direction="minimize"), name="min"))
    assert worst.value == min(t["value"] for t in summary_of(tmp_path / "min")["trials"])


def test_what_a_length_is(pretended, tmp_path):
    spec = ["train.num_epochs=3"]
    for number, (options, length) in enumerate(
        [(settings(), 3), (settings(algorithm="asha"), 3), (settings(automl_max_epochs=6), 6),
         (settings(algorithm="asha", automl_max_epochs=6), 6)]
    ):  # fmt: skip
        tune(training_spec(tmp_path, *options, *spec, name=str(number)))
        assert summary_of(tmp_path / str(number))["epochs_of_a_full_trial"] == length
    path = tmp_path / "0.yaml"
    path.write_text(path.read_text().replace("num_epochs: 3", "num_gpus: 1"))
    for algorithm in ("bayesian", "asha"):
        spec_without = load_spec(path, settings(algorithm=algorithm), action="train")
        assert plan.make_plan(spec_without).rules.epochs == 27


def test_a_search_that_was_begun_before_an_option_existed_goes_on(pretended, tmp_path, monkeypatch):
    whole = search.Plan.identity
    with monkeypatch.context() as patch:
        without = lambda plan: {key: value for key, value in whole(plan).items() if key != "dataset.frame_size"}  # noqa: E731
        patch.setattr(search.Plan, "identity", without)
        tune(training_spec(tmp_path, *settings(automl_max_recommendations=1)))
    assert tune(training_spec(tmp_path, *settings(automl_max_recommendations=2))).trials == 2
    with pytest.raises(KinetagError, match=r"a search with dataset\.frame_size \[\], but now it is \[2, 1\]"):
        tune(training_spec(tmp_path, *settings(), "dataset.frame_size=[2,1]"))


def test_checkpoints_are_deleted_when_that_is_asked_for_but_never_the_best(pretended, tmp_path):
    options = settings(algorithm="asha", automl_max_recommendations=6, automl_max_epochs=4, automl_reduction_factor=2)
    result = tune(training_spec(tmp_path, *options, "automl_settings.automl_delete_intermediate_ckpt=true"))
    left = {path.parent.name for path in (tmp_path / "out/train/trials").glob("*/*.pth")}
    assert left == {str(result.trial)}
    assert result.checkpoint.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["dataset.val_dataset.data_path="], "needs validation data"),
        (["train.num_nodes=2"], "automl_settings.storage"),
        (["train.max_steps=5"], "automl_max_epochs"),
        (["automl_settings.storage=mysql://a:hush@b/c"], "give postgresql://"),
        (["automl_settings.storage=postgresql://a:hush@127.0.0.1:9/c"], "cannot be used"),
        (["automl_settings.storage=sqlite:////tmp/study.db"], "or nothing for a file in the results folder"),
        (["automl_settings.search_schema=/nowhere"], NOT_RUNNABLE),
        (
            ["automl_settings.algorithm=asha", "train.resume_training_checkpoint_path=a.pth"],
            "cannot begin within a run",
        ),
        (
            ["automl_settings.algorithm=pbt", "automl_settings.automl_hyperparameters=[dataset.batch_size]"],
            "pbt cannot",
        ),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_trained(pretended, tmp_path, options, words):
    with pytest.raises(KinetagError) as caught:
        tune(training_spec(tmp_path, *settings(), *options))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)
    assert not pretended.jobs
    last = json.loads((tmp_path / "out/train/status.json").read_text().splitlines()[-1])
    assert last["status"] == "FAILURE"
    assert "hush" not in last["message"]


def test_a_password_that_the_spec_hides_is_that_of_the_environment(pretended, tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    hidden = "automl_settings.storage=postgresql://a:***@127.0.0.1:9/c"
    with pytest.raises(KinetagError, match=r"hidden in this spec \(\*\*\*\): give it in the variable PGPASSWORD"):
        tune(training_spec(tmp_path, *settings(), hidden))
    monkeypatch.setenv("PGPASSWORD", "hush@:/")
    assert store._with_password("a:***@db/c") == "a:hush%40%3A%2F@db/c"
    with pytest.raises(KinetagError, match=r"storage postgresql://a:\*\*\*@127.0.0.1:9/c cannot be used") as caught:
        tune(training_spec(tmp_path, *settings(), hidden))
    assert "hush" not in str(caught.value)


def test_the_reason_of_a_storage_is_told_in_full_without_secrets(pretended, tmp_path, monkeypatch):
    import sqlite3

    long = "role 'kinetag' has no right to create tables in the schema public of studies, ask the owner of the database"

    def refuse(*args, **kwargs):
        raise sqlite3.OperationalError(f"FATAL:  {long} at postgresql://a:hush@b/c{' and so on' * 50}")

    monkeypatch.setattr(store, "_file", refuse)
    with pytest.raises(KinetagError) as caught:
        tune(training_spec(tmp_path, *settings()))
    assert f"cannot be used: {long} at" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_damaged_record_is_said_plainly(pretended, tmp_path):
    tune(training_spec(tmp_path, *settings()))
    (tmp_path / "out/train/study.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(KinetagError, match=r"storage .*study\.db cannot be used"):
        tune(training_spec(tmp_path, *settings()))


def test_secrets_stay_out_of_what_is_written(pretended, tmp_path, monkeypatch):
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", "open-sesame")
    tune(training_spec(tmp_path, *settings(), "encryption_key=hush-hush"))
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"hush-hush" not in content, path
            assert b"open-sesame" not in content, path


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_command(pretended, tmp_path, capsys):
    path = write_spec(tmp_path)
    assert main(["tune", "-e", str(path), "-r", str(tmp_path / "here"), *settings()]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"trial 1: val_acc 0\.\d+ at epoch 3 \(dropout", err)
    assert re.search(r"value +0\.\d+", out)
    assert str(tmp_path / "here" / "pc_model_best.pth") in out
    assert main(["tune", "-e", str(path), "automl_settings.algorithm=llm"]) == 2
    out, err = capsys.readouterr()
    assert "language model" in err
    assert err.count("\n") == 1


def test_train_searches_where_the_policy_says_so(pretended, tmp_path, capsys):
    path = write_spec(tmp_path)
    assert main(["train", "-e", str(path), "automl_policy=auto", *settings()]) == 0
    err = capsys.readouterr().err
    assert "searching instead of one plain training: automl_policy is auto" in err
    assert (tmp_path / "out/train/automl.json").exists()
    lines = [json.loads(line)["message"] for line in (tmp_path / "out/train/status.json").read_text().splitlines()]
    assert "searching instead of one plain training: automl_policy is auto" in lines
    assert policy(training_spec(tmp_path)) == ("off", "automl_policy is not written, and off here")
    assert policy(training_spec(tmp_path), "auto")[0] == "auto"
    assert policy(training_spec(tmp_path, "automl_policy=off"), "auto") == ("off", "automl_policy is off")


@pytest.mark.parametrize("written", [(), ("automl_policy=off",)])
def test_a_plain_training_says_that_it_is_no_search_and_why(tmp_path, capsys, written):
    path = write_spec(tmp_path)
    assert main(["train", "-e", str(path), "train.num_epochs=1", *written]) == 0
    why = "automl_policy is off" if written else "automl_policy is not written, and off here"
    line = f"one plain training, no search: {why}"
    assert line in capsys.readouterr().err.splitlines()
    told = [json.loads(text)["message"] for text in (tmp_path / "out/train/status.json").read_text().splitlines()]
    assert told.count(line) == 1


def test_tune_says_that_it_searches_whatever_the_policy(pretended, tmp_path, capsys):
    path = write_spec(tmp_path)
    assert main(["tune", "-e", str(path), "automl_policy=off", *settings()]) == 0
    line = "searching, though automl_policy is off: that is for 'kinetag train'"
    assert line in capsys.readouterr().err.splitlines()
    assert line in (tmp_path / "out/train/status.json").read_text()


def test_the_module_loads_nothing_heavy():
    code = (
        "import sys, kinetag.tune; print([n for n in ('torch', 'optuna', 'pydantic', 'lightning') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


def test_the_record_is_a_study_of_optunas(pretended, tmp_path):
    import optuna

    result = tune(training_spec(tmp_path, *settings()))
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/out/train/study.db")
    assert study.best_value == pytest.approx(result.value)
    assert len(study.trials) == 3
    with sqlite3.connect(tmp_path / "out/train/study.db") as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
