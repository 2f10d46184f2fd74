"""The options of a search (AutoML), and the ranges that an option is searched in.

A range is declared with its option, because most options have no upper bound of their own that a search could use.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from kinetag.spec.options import Section, option

ALGORITHMS = ("bayesian", "random", "hyperband", "asha", "bohb", "dehb", "pbt")
_BY_LANGUAGE_MODEL = ("llm", "hybrid", "autoresearch")


def _policy(value: Any) -> Any:
    """YAML reads a bare off as false."""
    return {False: "off", True: "auto"}.get(value, value) if isinstance(value, bool) else value


def _algorithm(value: Any) -> Any:
    if isinstance(value, str) and any(word in value.lower() for word in _BY_LANGUAGE_MODEL):
        raise ValueError(
            f"a search that a language model drives would send your settings to it, so there is none here; choose one "
            f"of {', '.join(ALGORITHMS)}"
        )
    return value


Policy = Annotated[Literal["auto", "off"], BeforeValidator(_policy)]
Algorithm = Annotated[
    Literal["bayesian", "random", "hyperband", "asha", "bohb", "dehb", "pbt"], BeforeValidator(_algorithm)
]


class ParamRange(BaseModel):
    """The range of one option, given by the user."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    valid_min: float | None = None
    valid_max: float | None = None
    valid_options: list[Any] | None = None
    option_weights: list[float] | None = None


class AutomlSettings(Section):
    """How a search goes about it."""

    algorithm: Algorithm = option(
        "bayesian",
        "Algorithm",
        "bayesian and random train every trial in full; asha, hyperband and bohb stop the weak ones early, dehb and "
        "pbt breed new ones from the best. Up to about 50 trials: bayesian; where trainings are long: asha.",
        ours=True,
    )
    metric: Literal["val_acc", "val_loss"] = option(
        "val_acc", "Metric", "What a trial is judged by, on the validation data.", ours=True
    )
    direction: Literal["auto", "maximize", "minimize"] = option(
        "auto", "Direction", "auto minimises a metric with 'loss' in its name, and maximises any other.", ours=True
    )
    automl_max_recommendations: int = option(
        20,
        "Trials",
        "How many combinations are tried, the first of them yours. hyperband, bohb and dehb do one round of all their "
        "brackets when this is not written, pbt its whole population with all that it breeds.",
        ours=True,
        ge=1,
    )
    automl_max_epochs: int = option(
        27,
        "Epochs of a full trial",
        "The length of a trial that is not stopped early. Where this is not written: train.num_epochs, if that is.",
        ours=True,
        ge=1,
    )
    automl_reduction_factor: int = option(
        3,
        "Reduction factor",
        "One of so many trials goes on at each rung, for so many times the epochs.",
        ours=True,
        ge=2,
    )
    automl_max_concurrent: int = option(
        4, "Trials at once", "At most; no more than there are cores, or cards in train.gpu_ids.", ours=True, ge=1
    )
    automl_population_size: int = option(10, "Population", "Members of pbt's population.", ours=True, ge=2)
    automl_delete_intermediate_ckpt: bool = option(
        False,
        "Delete checkpoints",
        "Remove the checkpoints of trials that no longer matter; those of the best trial are always kept.",
        ours=True,
    )
    automl_hyperparameters: list[str] = option(
        list,
        "Parameters",
        "The options to search, by dotted key, instead of the default ones.",
        ours=True,
        automl=False,
    )
    custom_param_ranges: dict[str, ParamRange] = option(
        dict,
        "Ranges",
        "By dotted key: valid_min and valid_max, or valid_options with option_weights.",
        ours=True,
        automl=False,
    )
    override_automl_disabled_params: bool = option(
        False,
        "Search disabled ones",
        "Let a search vary options that are marked as not searched; never folders, data, cards or checkpoints.",
        ours=True,
    )
    seed: int = option(
        0, "Seed", "Another seed draws other combinations; train.seed is each training's.", ours=True, ge=0
    )
    baseline: bool = option(
        True, "Baseline", "Train the spec as it is first, in full length; what is found is compared with it.", ours=True
    )
    min_epochs: int = option(
        1,
        "First rung (epochs)",
        "asha, hyperband, bohb and dehb judge a trial after so many epochs first.",
        ours=True,
        ge=1,
    )
    pbt_interval: int = option(
        0,
        "Epochs of a generation",
        "pbt: epochs between two selections; 0: a tenth of the full length.",
        ours=True,
        ge=0,
    )
    gpus_per_trial: int = option(1, "Cards a trial", "How many of train.gpu_ids a trial takes.", ours=True, ge=1)
    storage: str = option(
        "",
        "Storage",
        "Where trials are recorded; empty: a file in the results folder. postgresql://user@host/db lets several "
        "machines work on one study. A password is better given in the variable PGPASSWORD; it is never written out.",
        ours=True,
    )
    study_name: str = option(
        "", "Study", "The name under which a shared storage keeps the study; empty: the results folder's.", ours=True
    )
    search_schema: str = option(
        "",
        "Schema",
        "A train.schema.json, or a skill folder that holds one with its template, to search by; empty: kinetag's own.",
        ours=True,
    )
