"""A constitution, with all that it includes, back to one YAML file that loads as the same: what a run keeps of it."""

from dataclasses import asdict

import yaml

from constitution.model import Constitution, Principle
from constitution.templates import Templates

HEADER = "# A constitution as it was used, with all that it included; written by a program.\n"


def dump(constitution: Constitution) -> str:
    """YAML that ``load`` reads back as an equal constitution."""
    usual = asdict(Templates())
    data = {
        "name": constitution.name,
        "version": constitution.version,
        "description": constitution.description,
        "preamble": constitution.preamble,
        "templates": {key: text for key, text in asdict(constitution.templates).items() if text != usual[key]},
        "principles": [_principle(each) for each in constitution.principles],
        "exemplars": {
            "critique_revision": [asdict(each) for each in constitution.critique_revision],
            "judgment": [asdict(each) for each in constitution.judgment],
        },
    }
    content = {key: value for key, value in data.items() if value}
    return HEADER + yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


class _Plain(yaml.SafeDumper):
    """Writes equal objects out twice: aliases are not allowed in a constitution."""

    def ignore_aliases(self, data: object) -> bool:
        return True


# Quoted, whatever it looks like: a text such as 1e5 would else come back as a number.
_Plain.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _principle(principle: Principle) -> dict[str, object]:
    data = asdict(principle)
    data["tags"] = list(principle.tags)
    data["applies_to"] = {key: list(words) for key, words in data["applies_to"].items() if words}
    data["examples"] = [{key: text for key, text in asdict(each).items() if text} for each in principle.examples]
    if principle.weight == 1:
        del data["weight"]
    return {key: value for key, value in data.items() if value}
