"""The agent skill: a folder from which a coding agent learns to use kinetag (the open Agent Skills format).

What is written by hand lies in ``files``; the spec templates, the schemas and skill_info.yaml are made from what the
program itself goes by, so that none of them can say anything else.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from kinetag import __version__
from kinetag.errors import KinetagError
from kinetag.whole_file import whole_file

NAME = "kinetag"  # also of the folder that the skill is installed in: the format wants them to be equal
MAIN = "SKILL.md"
_TAGS = re.compile(r"^tags:\n(?:- .*\n)+", re.MULTILINE)


def skill_files(*, standard: bool = False) -> dict[str, str]:
    """Every file of the skill: its path within the folder -> its text.

    ``standard``: without the field ``tags``, which skill collections read, but which is none of the open format's.
    """
    from kinetag.jobs.contract import ACTIONS_INFO
    from kinetag.spec.schema import schema_files
    from kinetag.spec.template import template

    made = dict(_written(files(__name__) / "files"))
    made[MAIN] = made[MAIN].replace("{version}", __version__)
    if standard:
        made[MAIN] = _TAGS.sub("", made[MAIN])
    made["references/skill_info.yaml"] = _yaml(skill_info())
    for action in ACTIONS_INFO:
        made[template_path(action)] = template(action, job=True)
    for name, text in schema_files().items():
        made[f"schemas/{name}"] = text
    return made


def skill_info() -> dict[str, Any]:
    """What services read of the skill: TAO's keys, from the contract that jobs go by."""
    from kinetag.jobs import contract

    return {
        "name": NAME,
        "network_arch": contract.NETWORK,
        "automl_enabled": True,
        "install": "pip install 'kinetag[train,tune,cloud]'",
        "data_format": "default",
        "gpu_spec_key": "train.num_gpus",
        "actions": contract.ACTIONS_INFO,
        "data_sources": contract.DATA_SOURCES,
        "spec_params": contract.SPEC_PARAMS,
        "key_defaults": {},
        "spec_shorthand_keys": contract.SPEC_SHORTHAND_KEYS,
        "spec_templates": {action: f"../{template_path(action)}" for action in contract.ACTIONS_INFO},
        "description": "Classifies skeleton sequences into exercises or actions, with ST-GCN and faster networks.",
    }


def template_path(action: str) -> str:
    """Where in the skill the spec template of an action lies."""
    return f"references/spec_template_{action}.yaml"


def write_skill(folder: Path, *, standard: bool = False) -> list[Path]:
    """Write the skill into ``folder``; the paths written. Files of an earlier version that are no more are removed.

    Raises a KinetagError for a folder that holds anything but a kinetag skill.
    """
    made = skill_files(standard=standard)
    try:
        for name in sorted(_there(folder) - set(made)):
            (folder / name).unlink()
        for name, text in made.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as draft:
                draft.write_text(text, "utf-8")
    except OSError as error:
        raise KinetagError(f"cannot write into {folder}: {(error.strerror or str(error)).lower()}") from None
    return [folder / name for name in made]


def _there(folder: Path) -> set[str]:
    """The files of the skill that the folder holds already, by the places where a skill's files lie."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise KinetagError(f"{folder} is a file: give a folder, such as .claude/skills/{NAME}")
    main = folder / MAIN
    ours = main.is_file() and f"\nname: {NAME}\n" in main.read_text("utf-8", "replace")[:200]
    if any(folder.iterdir()) and not ours:
        raise KinetagError(f"{folder} holds something else than a kinetag skill: give an empty folder")
    names = {MAIN} if ours else set()
    for part in ("references", "schemas", "evals"):
        names |= {path.relative_to(folder).as_posix() for path in (folder / part).glob("*.*") if path.is_file()}
    return names


def _written(folder: Traversable, prefix: str = "") -> Mapping[str, str]:
    found: dict[str, str] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found |= _written(entry, f"{prefix}{entry.name}/")
        elif not entry.name.endswith(".pyc"):
            found[prefix + entry.name] = entry.read_text("utf-8")
    return found


def _yaml(data: Mapping[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)
