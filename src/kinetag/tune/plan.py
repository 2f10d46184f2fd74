"""A search made ready: what is searched, by which rules, on what; everything that can be wrong is found here."""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinetag.checkpoint import LATEST
from kinetag.cores import core_count
from kinetag.datasets.augment import RECIPES
from kinetag.errors import KinetagError
from kinetag.spec import Spec, masked
from kinetag.spec.automl import AutomlSettings
from kinetag.spec.errors import shown
from kinetag.tune import evolution, halving, sampling
from kinetag.tune.jobs import INHERITED
from kinetag.tune.schema import build_space, read_schema
from kinetag.tune.space import Space
from kinetag.tune.store import need_server
from kinetag.tune.trials import Decision, Rules, Trial

TRIALS = "trials"  # folder of the trials within the results folder


@dataclass(frozen=True)
class Algorithm:
    """``decide``: what to do next; ``propose``: which options a new trial gets; ``stops``: some trials end early."""

    decide: Callable[[Sequence[Trial], Rules], Decision]
    propose: Callable[[Space, Sequence[sampling.Result], int, int], dict[str, Any]]
    stops: bool = True


ALGORITHMS = {
    "bayesian": Algorithm(halving.full, sampling.model, stops=False),
    "random": Algorithm(halving.full, sampling.random, stops=False),
    "hyperband": Algorithm(halving.hyperband, sampling.random),
    "asha": Algorithm(halving.asha, sampling.model),
    "bohb": Algorithm(halving.hyperband, sampling.density),
    "dehb": Algorithm(evolution.dehb, sampling.random),
    "pbt": Algorithm(evolution.pbt, sampling.random),
}

# What a training that is under way cannot change: its network, its steps, and what its state is made of.
_SETTLED = ("model.", "dataset.batch_size", "dataset.num_classes", "dataset.validation_split",
            "train.optim.optimizer_type",
            "train.seed", "train.ema", "train.num_epochs", "train.max_steps", "train.precision")  # fmt: skip
_BY_PLATEAU = ("train.optim.lr", "train.optim.min_lr", "train.optim.patience", "train.optim.lr_decay")

# Options that may differ from one start of a search to the next: no result depends on them.
_FREE = re.compile(
    r"train\.(results_dir|gpu_ids|num_gpus|logger|accelerator|checkpoint_interval.*)|dataset\.(num_workers|cache_dir)"
)


@dataclass(frozen=True)
class Plan:
    """Everything that a search goes by. ``slots``: trials at once; ``cards``: of each slot, () without any."""

    spec: Spec
    settings: AutomlSettings
    algorithm: Algorithm
    space: Space
    rules: Rules
    maximize: bool
    folder: Path
    slots: int
    threads: int
    cards: tuple[tuple[int, ...], ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def metric(self) -> str:
        return self.settings.metric

    def trial_folder(self, number: int) -> Path:
        return self.folder / TRIALS / str(number)

    def identity(self) -> dict[str, Any]:
        """What makes a search this search; none of it may change between two starts."""
        rules = self.rules
        data = masked(self.spec)
        options = {
            key: value
            for part in ("model", "dataset", "train")
            for key, value in _flat(data[part], f"{part}.")
            if not _FREE.fullmatch(key) and key not in self.space.describe()
        }
        settings = {
            name: getattr(self.settings, name) for name in ("algorithm", "metric", "direction", "seed", "baseline")
        }
        settings |= {
            "automl_reduction_factor": rules.eta,
            "min_epochs": rules.first,
            "epochs of a full trial": rules.epochs,
        }
        settings |= {"automl_population_size": rules.population, "pbt_interval": rules.interval}
        return {**settings, "search": self.space.describe(), **options}

    def trial_spec(self, trial: Trial, slot: int) -> Spec:
        """The spec of one trial: the user's, with the trial's options."""
        spec = self.spec.model_copy(deep=True)
        train, folder = spec.train, self.trial_folder(trial.number)
        for key, value in trial.values.items():
            parent, _, name = key.rpartition(".")
            setattr(spec.get(parent), name, value)
        train.num_epochs, train.results_dir = self.rules.epochs, str(folder)
        if self.cards:
            train.gpu_ids, train.num_gpus = list(self.cards[slot]), len(self.cards[slot])
        if self.algorithm.stops and not trial.baseline:
            train.validation_interval = 1  # every rung must be judged, and judging changes what AutoReduce does
        if self.tidies:
            train.checkpoint_interval, train.checkpoint_interval_unit = 1, "epoch"
        if (folder / LATEST).exists():
            train.resume_training_checkpoint_path = ""
        elif trial.parent >= 0:
            train.resume_training_checkpoint_path = str(folder / INHERITED)
        spec.automl_policy, spec.automl_settings = "off", AutomlSettings()
        return spec

    @property
    def tidies(self) -> bool:
        """Whether a trial keeps only its latest and its best checkpoint: where nobody asked for others."""
        return not {"train.checkpoint_interval", "train.checkpoint_interval_unit"} & self.spec.explicit


def make_plan(spec: Spec, drawn_seed: int | None = None) -> Plan:
    """Read the settings of a spec; KinetagError for what cannot be. ``drawn_seed``: of an earlier start."""
    settings = spec.automl_settings
    spec = spec.with_defaults(RECIPES[spec.train.recipe])
    space = search_space(spec)
    if spec.train.seed == -1:
        spec.train.seed = drawn_seed if drawn_seed is not None else secrets.randbelow(1 << 31)
    rules = _rules(spec, space)
    slots, threads, cards, note = _workplaces(spec)
    return Plan(
        spec=spec,
        settings=settings,
        algorithm=ALGORITHMS[settings.algorithm],
        space=space,
        rules=rules,
        maximize=settings.direction == "maximize" or (settings.direction == "auto" and "loss" not in settings.metric),
        folder=spec.results_folder("train"),
        slots=slots,
        threads=threads,
        cards=cards,
        notes=(*space.notes, *filter(None, [_unbred(settings, rules), note])),
    )


def search_space(spec: Spec) -> Space:
    """What a spec with its recipe's defaults searches; KinetagError for settings that no machine could search by."""
    settings = spec.automl_settings
    if settings.storage:
        need_server(settings.storage)
    _check(spec, ALGORITHMS[settings.algorithm])
    space = build_space(spec, read_schema(settings.search_schema))
    return _changeable(space, spec) if settings.algorithm == "pbt" else space


def _check(spec: Spec, algorithm: Algorithm) -> None:
    if not spec.dataset.val_dataset.data_path and not spec.dataset.validation_split:
        raise KinetagError(
            "a search needs validation data to judge trials by: set dataset.val_dataset.data_path, or "
            "dataset.validation_split=0.2"
        )
    if spec.train.num_nodes > 1:
        raise KinetagError(
            "train.num_nodes is above 1: a search gives each machine trials of its own; set it to 1, and "
            "automl_settings.storage to a PostgreSQL server that all machines reach"
        )
    if spec.train.max_steps:
        raise KinetagError(
            "train.max_steps has no place in a search: give the length in automl_settings.automl_max_epochs"
        )
    if spec.train.resume_training_checkpoint_path and algorithm.stops:
        raise KinetagError(
            f"{spec.automl_settings.algorithm} cannot begin within a run (train.resume_training_checkpoint_path): set "
            "model.pretrained_model_path to begin with its weights, or take bayesian"
        )


def _rules(spec: Spec, space: Space) -> Rules:
    settings, name = spec.automl_settings, spec.automl_settings.algorithm
    written = {key.removeprefix("automl_settings.") for key in spec.explicit}
    epochs = settings.automl_max_epochs
    if "automl_max_epochs" not in written and "train.num_epochs" in spec.explicit:
        epochs = spec.train.num_epochs
    most: int | None = settings.automl_max_recommendations - settings.baseline
    if name in ("hyperband", "bohb", "dehb", "pbt") and "automl_max_recommendations" not in written:
        most = None
    population = settings.automl_population_size
    if name == "pbt" and most is not None:
        population = min(population, most)
    return Rules(
        space=space,
        epochs=epochs,
        eta=settings.automl_reduction_factor,
        first=min(settings.min_epochs, epochs),
        most=most,
        population=population,
        interval=settings.pbt_interval or max(1, round(epochs / 10)),
        seed=settings.seed,
    )


def _unbred(settings: AutomlSettings, rules: Rules) -> str:
    """That dehb would breed nothing, in a sentence, where the trials are too few for it."""
    first = halving.brackets_of(rules)[0].sizes[0]
    if settings.algorithm != "dehb" or rules.most is None or rules.most > first:
        return ""
    least = first + settings.baseline + 1
    return (
        f"dehb breeds after its first bracket of {first} trials, so this search is hyperband's: for more set "
        f"automl_settings.automl_max_recommendations to {least} at least, or leave it out"
    )


def _changeable(space: Space, spec: Spec) -> Space:
    """Without what a training under way cannot change, for pbt."""

    def settled(key: str) -> bool:
        by_plateau = spec.train.optim.lr_scheduler == "AutoReduce" and key in _BY_PLATEAU
        return (key.startswith(_SETTLED) and key != "model.dropout") or by_plateau

    gone = [dimension.key for dimension in space.dimensions if settled(dimension.key)]
    kept = tuple(dimension for dimension in space.dimensions if dimension.key not in gone)
    if named := [key for key in gone if key in spec.automl_settings.automl_hyperparameters]:
        raise KinetagError(
            f"pbt cannot search {named[0]}, which a training under way cannot change; take asha or bayesian"
        )
    if not kept:
        raise KinetagError("nothing is left that pbt could change while training; take asha or bayesian")
    notes = [f"{key} is not searched: pbt cannot change it while training" for key in gone]
    fixed = {**space.fixed, **{key: spec.get(key) for key in gone}}
    return Space(kept, fixed, (*space.notes, *notes))


def _workplaces(spec: Spec) -> tuple[int, int, tuple[tuple[int, ...], ...], str]:
    """Trials at once, threads of each, cards of each; and what limits them, in a sentence."""
    from kinetag.learning.devices import choose_devices

    settings = spec.automl_settings
    wanted, each = settings.automl_max_concurrent, settings.gpus_per_trial
    devices = choose_devices(spec)
    cores = core_count()
    if devices.accelerator == "cuda":
        if each > len(devices.ids):
            raise KinetagError(
                f"automl_settings.gpus_per_trial is {each}, but train.gpu_ids has {len(devices.ids)}: add cards to it"
            )
        cards = tuple(devices.ids[i : i + each] for i in range(0, len(devices.ids) - each + 1, each))
        slots = min(wanted, len(cards))
        why = f"train.gpu_ids has {shown(list(devices.ids))}"
    else:
        cards, slots = (), max(1, min(wanted, cores // devices.count))
        why = f"there are {cores} cores" if cores > 1 else "there is 1 core"
    note = f"{slots} trial{'s' if slots > 1 else ''} at once instead of {wanted}: {why}" if slots < wanted else ""
    return slots, max(1, cores // slots // devices.count), cards, note


def _flat(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in tree.items():
        whole = not isinstance(value, dict) or key == "label_map"
        items += [(prefix + key, value)] if whole else _flat(value, f"{prefix}{key}.")
    return items
