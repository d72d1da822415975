"""Models by name: the versions of LucaOne with their training steps, and names of one's own."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from lucaflow.errors import ConfigError, quoted

DEFAULT_STEPS = {"lucaone": 36000000, "lucaone-gene": 36800000, "lucaone-prot": 30000000, "mini": 1}
SEQ_TYPE_OF_VERSION = {"lucaone-gene": "gene", "lucaone-prot": "prot"}
_WITH_STEP = re.compile(rf"({'|'.join(map(re.escape, DEFAULT_STEPS))})-([1-9][0-9]*)")


@dataclass(frozen=True)
class Model:
    """A version of LucaOne and its number of training steps; or a name of one's own, without steps."""

    llm_version: str
    llm_step: int | None

    @property
    def name(self) -> str:
        return self.llm_version if self.llm_step is None else f"{self.llm_version}-{self.llm_step}"


class RequestedModel(NamedTuple):
    """A model as a user asks for it. step_stated: whether its step was given, or is the default."""

    model: Model
    step_stated: bool


def named_model(name: str) -> Model | None:
    """Return the model of a name with its step, such as `lucaone-36000000`; None for another name."""
    found = _WITH_STEP.fullmatch(name)
    return Model(found[1], int(found[2])) if found else None


def requested_models(text: str, step: int | None, own: Collection[str]) -> tuple[RequestedModel, ...]:
    """Return the models of a list separated by commas, each a version, a version with its step, or a name of one's own.

    step: beside a single version, or None; own: the names of one's own. Raises ConfigError that says what is wrong.

    >>> [requested.model.name for requested in requested_models("mini, lucaone-17600000, ours", None, ["ours"])]
    ['mini-1', 'lucaone-17600000', 'ours']
    """
    names = [name.strip() for name in text.split(",")]
    if step is not None and len(names) > 1:
        raise ConfigError("llm_step beside several models is ambiguous; give each its own, such as `lucaone-17600000`")
    found = tuple(_requested(name, step, own) for name in names)
    names = [each.model.name for each in found]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ConfigError(f"llm_version: {quoted(sorted(repeated)[0])} is given twice")
    return found


def _requested(name: str, step: int | None, own: Collection[str]) -> RequestedModel:
    with_step = named_model(name)
    if name in own and name not in DEFAULT_STEPS and not with_step:
        if step is not None:
            raise ConfigError(f"llm_step: {quoted(name)}, a name in checkpoints.path, has no steps; leave it empty")
        return RequestedModel(Model(name, None), True)
    if with_step and step is not None:
        raise ConfigError(f"llm_step: {quoted(name)} gives the step already; leave it empty")
    if not with_step and name not in DEFAULT_STEPS:
        known = ", ".join((*DEFAULT_STEPS, *sorted(set(own) - set(DEFAULT_STEPS))))
        raise ConfigError(
            f"llm_version: {quoted(name)} is not a model. Expected one or several, separated by commas, of {known}, or "
            "a version with its step, such as `lucaone-17600000`. checkpoints.path can name models of your own."
        )
    model = with_step or Model(name, step or DEFAULT_STEPS[name])
    if model.llm_version == "mini" and model.llm_step != DEFAULT_STEPS["mini"]:
        raise ConfigError(f"llm_step: `mini` exists only with step {DEFAULT_STEPS['mini']}, not {model.llm_step}")
    return RequestedModel(model, bool(with_step) or step is not None)
