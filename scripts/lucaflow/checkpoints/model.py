"""Models by name: the versions of the table of models with their training steps, and names of one's own."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from lucaflow.checkpoints.known_models import MODELS, KnownModel
from lucaflow.errors import ConfigError, quoted

# The name of a model that has steps, as a regular expression.
_VERSIONS_WITH_STEPS = "|".join(re.escape(known.version) for known in MODELS.values() if known.default_step)
NAME_WITH_STEP = rf"({_VERSIONS_WITH_STEPS})-([1-9][0-9]*)"


@dataclass(frozen=True)
class Model:
    """A version and its number of training steps; or a name without steps, of the table of models or one's own."""

    llm_version: str
    llm_step: int | None

    @property
    def name(self) -> str:
        return self.llm_version if self.llm_step is None else f"{self.llm_version}-{self.llm_step}"

    @property
    def known(self) -> KnownModel | None:
        """The row of the table of models; None for a name of one's own."""
        return MODELS.get(self.llm_version)

    @property
    def packaged(self) -> str | None:
        """The folder in the clone of a model that comes with it; None for another one."""
        return self.known.packaged if self.known else None

    @property
    def is_demonstration(self) -> bool:
        """Whether every result says that it is for demonstration."""
        return self.known is not None and self.known.demonstration


class RequestedModel(NamedTuple):
    """A model as a user asks for it. step_stated: whether its step was given, or is the default."""

    model: Model
    step_stated: bool


def named_model(name: str) -> Model | None:
    """Return the model of a full name, such as `lucaone-36000000`; None for another name."""
    if found := re.fullmatch(NAME_WITH_STEP, name):
        return Model(found[1], int(found[2]))
    return Model(name, None) if name in MODELS and MODELS[name].default_step is None else None


def default_model(name: str) -> Model | None:
    """Return the model of a version or a full name; None for another name."""
    return Model(name, MODELS[name].default_step) if name in MODELS else named_model(name)


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
    model = default_model(name) or (Model(name, None) if name in own else None)
    if model is None:
        names = (*MODELS, *sorted(set(own) - set(MODELS)))
        known, meant = ", ".join(names), get_close_matches(name, names, 1)
        hint = f"; did you mean {meant[0]}?" if meant else "."
        raise ConfigError(
            f"llm_version: {quoted(name)} is not a model{hint} Expected one or several, separated by commas, of "
            f"{known}, or a version with its step, such as `lucaone-17600000`. checkpoints.path can name models of "
            "your own."
        )
    if step is not None:
        if model.llm_step is None:
            where = "" if model.known else ", a name in checkpoints.path,"
            raise ConfigError(f"llm_step: {quoted(name)}{where} has no steps; leave it empty")
        if model.name == name:
            raise ConfigError(f"llm_step: {quoted(name)} gives the step already; leave it empty")
        model = Model(model.llm_version, step)
    if model.known and model.packaged and model.llm_step != model.known.default_step:
        raise ConfigError(
            f"llm_step: `{model.llm_version}` exists only with step {model.known.default_step}, not {model.llm_step}"
        )
    return RequestedModel(model, model.name == name or step is not None)
