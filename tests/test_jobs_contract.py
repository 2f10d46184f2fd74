"""The declared contract of jobs is TAO's."""

import json
from pathlib import Path

import pytest
import yaml
from tao_reference import reference_folder

from kinetag.jobs import contract, tidying
from kinetag.jobs.inferring import FUNCTIONS
from kinetag.spec import ACTIONS, KEY_VARIABLE, PASSWORD_VARIABLE, Spec

FACTS = json.loads((Path(__file__).parent / "data" / "tao_jobs.json").read_text("utf-8"))
DECLARED = {
    "network_arch": contract.NETWORK,
    "inputs": contract.INPUTS,
    "outputs": contract.OUTPUTS,
    "data_sources": contract.DATA_SOURCES,
    "spec_params": contract.SPEC_PARAMS,
    "spec_shorthand_keys": contract.SPEC_SHORTHAND_KEYS,
}


@pytest.mark.parametrize("name", DECLARED)
def test_the_contract_is_the_one_that_is_kept(name):
    assert DECLARED[name] == FACTS[name]


@pytest.mark.skipif(reference_folder() is None, reason="TAO's files are not here: set KINETAG_DATA")
@pytest.mark.parametrize("name", DECLARED)
def test_the_contract_is_the_published_one(name):
    folder = reference_folder()
    assert folder is not None
    published = yaml.safe_load((folder / "skill_info.yaml").read_text("utf-8"))
    if name in ("inputs", "outputs"):
        assert DECLARED[name] == {action: about[name] for action, about in published["actions"].items()}
    else:
        assert DECLARED[name] == published[name]


def test_every_key_is_an_option_and_every_function_is_there():
    assert set(contract.SPEC_PARAMS) == set(contract.INPUTS) == set(contract.OUTPUTS) == set(ACTIONS)
    spec = Spec()
    for table in (contract.INPUTS, contract.OUTPUTS, contract.DATA_SOURCES, contract.SPEC_PARAMS):
        for keys in table.values():
            for key in keys:
                spec.get(key)
    assert {name for params in contract.SPEC_PARAMS.values() for name in params.values()} == set(FUNCTIONS)


def test_the_variables_of_secrets_have_one_name():
    assert (tidying.KEY_VARIABLE, tidying.PASSWORD_VARIABLE) == (KEY_VARIABLE, PASSWORD_VARIABLE)
