"""The table of models: what is known of each model by its name. No other module of the library knows a name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """A version that a user can name.

    family: of its encoder; seq_types: of the sequences that it reads; default_step: the training steps if nobody says,
    None for a model that has no steps in its name; layers, width: of the network; scope: what it is for; packaged: its
    folder in the clone, None for a model that is fetched; demonstration: whether every result says that it is for
    demonstration; older_name: of LucaOneTasks; paper: its key among the citations, if it differs from the family's;
    has_contacts: whether its contact head is trained, where those of its family are.
    """

    version: str
    family: str
    seq_types: tuple[str, ...]
    default_step: int | None
    layers: int
    width: int
    scope: str
    packaged: str | None = None
    demonstration: bool = False
    older_name: str | None = None
    paper: str | None = None
    has_contacts: bool = True

    @property
    def contacts(self) -> bool:
        """Whether its contact head is trained."""
        return self.has_contacts and FAMILIES[self.family].contacts

    @property
    def byte_pairs(self) -> bool:
        """Whether a row is of a token of several letters, not of one residue."""
        return FAMILIES[self.family].byte_pairs


@dataclass(frozen=True)
class KnownFamily:
    """What a plan, which loads no network, knows of a family of encoders.

    title: in messages, with an article; model_type: what a Hugging Face config.json says of it, None if it may say
    anything; seq_types: that a model of it may read; contacts, byte_pairs: as a model has them.
    """

    name: str
    title: str
    model_type: str | None
    seq_types: tuple[str, ...]
    contacts: bool = False
    byte_pairs: bool = False


FAMILIES = {
    family.name: family
    for family in (
        KnownFamily("lucaone", "a LucaOne", None, ("gene", "prot")),
        KnownFamily("esm2", "an ESM-2", "esm", ("prot",), contacts=True),
        KnownFamily("dnabert", "a DNABERT-2", "bert", ("gene",), byte_pairs=True),
    )
}

_LUCAONE = "sequences of nucleic acids and proteins"
_KNOWN = (
    KnownModel("lucaone", "lucaone", ("gene", "prot"), 36000000, 20, 2560, _LUCAONE, older_name="v2.0"),
    KnownModel("lucaone-gene", "lucaone", ("gene",), 36800000, 20, 2560, "sequences of nucleic acids"),
    KnownModel("lucaone-prot", "lucaone", ("prot",), 38200000, 20, 2560, "sequences of proteins"),
    KnownModel("lucaone-mask", "lucaone", ("gene", "prot"), 36000000, 20, 2560, f"{_LUCAONE}, trained on masks alone"),
    KnownModel(
        "mini", "lucaone", ("gene", "prot"), 1, 6, 128,
        "a small network that comes with LucaFlow: for demonstration, not for science",
        packaged="resources/mini", demonstration=True,
    ),
    KnownModel(
        "mini-esm2", "esm2", ("prot",), None, 3, 384,
        "a small ESM-2 that comes with LucaFlow: for demonstration, not for science",
        packaged="resources/mini_esm2", demonstration=True, has_contacts=False,
    ),
    *(
        KnownModel(f"esm2_{size}_UR50D", "esm2", ("prot",), None, layers, width, "sequences of proteins")
        for size, layers, width in (
            ("t6_8M", 6, 320), ("t12_35M", 12, 480), ("t30_150M", 30, 640),
            ("t33_650M", 33, 1280), ("t36_3B", 36, 2560), ("t48_15B", 48, 5120),
        )
    ),
    *(
        KnownModel(version, "dnabert", ("gene",), None, 12, 768, "sequences of DNA", paper=paper)
        for version, paper in (("dnabert2", None), ("dnaberts", "dnabert-s"))
    ),
)  # fmt: skip


def has_trained_contacts(family: str) -> bool:
    """Return whether the contact heads of a family are trained."""
    return family in FAMILIES and FAMILIES[family].contacts


def untrained_contacts(name: str) -> str:
    """Return why a model gives no contacts, and what to do. name: of the model."""
    trained = next(known.version for known in reversed(_KNOWN) if known.contacts and known.width < 2000)
    of_family = name in MODELS and has_trained_contacts(MODELS[name].family)
    others = "an untrained one" if of_family else "LucaOne's, which no published recipe trains,"
    return (
        f"`contacts` needs a trained contact head, and {name} has none; maps by {others} would be noise. Remove "
        f"`contacts`, or use an ESM-2 for proteins, such as {trained}."
    )


MODELS = {known.version: known for known in _KNOWN}
# Versions by the names that LucaOneTasks had for them.
OLDER_NAMES = {known.older_name: known.version for known in _KNOWN if known.older_name}
