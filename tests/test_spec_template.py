import re
from pathlib import Path

import pytest
import yaml
from tao_reference import FACTS, reference_folder

from kinetag.cli import main
from kinetag.datasets.augment import RECIPES
from kinetag.errors import KinetagError
from kinetag.spec import ACTIONS, load_spec
from kinetag.spec.schema import action_schema
from kinetag.spec.template import page, template

PAGE = Path(__file__).parent.parent / "docs" / "spec.md"
NEEDED = {
    "train": "dataset.train_dataset.data_path",
    "evaluate": "evaluate.test_dataset.data_path",
    "inference": "inference.test_dataset.data_path",
    "dataset_convert": "dataset_convert.data",
}


def leaves(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict) and name != "label_map":
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_the_published_page_is_the_generated_one():
    assert PAGE.read_text("utf-8") == page(), "run: python -m kinetag.spec.template > docs/spec.md"


@pytest.mark.parametrize("action", ACTIONS)
def test_a_template_asks_for_what_is_missing_and_then_loads(action, tmp_path):
    path = tmp_path / f"{action}.yaml"
    path.write_text(template(action))
    if action in NEEDED:
        with pytest.raises(KinetagError, match=NEEDED[action]):
            load_spec(path, action=action)
    spec = load_spec(path, [f"{NEEDED[action]}=here"] if action in NEEDED else [], action=action)
    assert spec.results_folder(action) == Path("results") / action


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("tao", [False, True], ids=["ours", "tao"])
def test_what_is_commented_out_changes_nothing(action, tao):
    """With the '#' of every key taken away the template is still a spec, of the defaults or the recipe's values."""
    text = template(action, tao=tao)
    active = {key for key, value in leaves(yaml.safe_load(text)) if value is not None}
    shown = dict(leaves(yaml.safe_load(re.sub(r"(?m)^( *)#(?=\w)", r"\1", text))))
    defaults = dict(leaves(action_schema()["default"])) | (RECIPES["kinetag"] if action == "train" and not tao else {})
    assert set(shown) <= set(defaults)
    assert {key: shown[key] for key in shown.keys() - active} == {key: defaults[key] for key in shown.keys() - active}
    assert not tao or shown.keys() == active


def test_a_template_for_new_work_takes_our_model_and_recipe(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text(template("train"))
    spec = load_spec(path, ["dataset.train_dataset.data_path=videos"], action="train")
    assert (spec.model.model_type, spec.train.recipe) == ("Fold-GCN", "kinetag")
    assert not any(key.startswith("train.optim.") for key in spec.explicit), "the recipe's values must win"


@pytest.mark.parametrize("action", ACTIONS)
def test_lines_are_short_enough_to_read(action):
    assert max(map(len, template(action).splitlines())) <= 120


def test_a_tao_template_has_only_taos_keys(capsys):
    assert main(["spec", "evaluate", "--tao"]) == 0
    shown = dict(leaves(yaml.safe_load(capsys.readouterr().out)))
    known = {key: fact.get("default") for key, fact in FACTS["options"].items() if fact["type"] != "object"}
    assert {key: value for key, value in shown.items() if key != "dataset.label_map"} == {
        key: value for key, value in known.items() if key.split(".")[0] not in ("inference", "export")
    }


@pytest.mark.skipif(reference_folder() is None, reason="TAO's files are not here: set KINETAG_DATA")
@pytest.mark.parametrize("action", ACTIONS)
def test_a_tao_template_says_what_taos_says(action):
    folder = reference_folder()
    assert folder is not None
    theirs = yaml.safe_load((folder / f"spec_template_{action}.yaml").read_text())
    assert yaml.safe_load(template(action, tao=True)) == theirs
