"""The configuration: its defaults, and all wrong keys, values and choices in one error."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT

from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.registry import Registry, read_checkpoints
from lucaflow.config import resolve as resolving
from lucaflow.config.datasets import read_datasets
from lucaflow.config.resolve import refuse_unavailable, resolve
from lucaflow.errors import ConfigError
from lucaflow.schemas import read_yaml

CONFIG = read_yaml(ROOT / "config/schemas/config.schema.yaml")
DATASETS = read_yaml(ROOT / "config/schemas/datasets.schema.yaml")
DEFAULTS = resolve({}, CONFIG)
REGISTRY = read_checkpoints(
    ROOT / "resources/checkpoints.tsv", read_yaml(ROOT / "config/schemas/checkpoints.schema.yaml")
)


def test_defaults_are_those_of_the_contract():
    assert DEFAULTS["datasets"] == "config/datasets.tsv"
    assert DEFAULTS["checkpoints"] == {
        "directory": "resources/checkpoints", "source": "huggingface", "path": None, "revision": None, "server": None,
        "accept_licence": None, "accept_unproven": False,
    }  # fmt: skip
    assert DEFAULTS["model"] == {"llm_version": "lucaone", "llm_step": None}
    assert DEFAULTS["embedding"]["outputs"] == ["mean"]
    assert DEFAULTS["embedding"]["truncation_seq_length"] == 4094
    assert DEFAULTS["compute"] == {"device": "auto", "tokens_per_batch": "auto", "shard_tokens": 20_000_000}
    assert set(DEFAULTS["input"].values()) == {"error"}
    assert DEFAULTS["heads"]["llm_truncation_seq_length"] == 4096


def test_the_packaged_configuration_holds_the_defaults():
    assert resolve(yaml.safe_load((ROOT / "config/config.yaml").read_text()), CONFIG) == DEFAULTS


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("seq_type", "instead of LucaOneApp's `seq_type`: column `seq_type` of the table of datasets"),
        ("embedding_type", "instead of LucaOneApp's `embedding_type`: `embedding.outputs`: `matrix`"),
        ("id_idx", "instead of LucaOneApp's `id_idx`: columns `id_column`, `seq_column`"),
        ("save_path", "LucaOneApp's `save_path` is not needed: results are in `results/<dataset>`"),
        ("truncation_length", "did you mean embedding.truncation_seq_length?"),
    ],
)
def test_an_option_of_lucaone_is_answered_with_its_counterpart(key, said):
    options = read_yaml(ROOT / "config/schemas/lucaone_options.yaml")
    with pytest.raises(ConfigError) as raised:
        resolve({"embedding": {key: 1}}, CONFIG, options)
    assert f"embedding.{key}: there is no such key; {said}" in str(raised.value)


def test_resolving_keeps_what_was_given_and_changes_nothing_twice():
    given_config = {"embedding": {"outputs": ["matrix"]}, "export": []}
    resolved = resolve(given_config, CONFIG)
    assert resolved["embedding"]["outputs"] == ["matrix"]
    assert resolve(resolved, CONFIG) == resolved
    assert given_config == {"embedding": {"outputs": ["matrix"]}, "export": []}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"modle": {}}, r"modle: there is no such key; did you mean model\?"),
        ({"embeding": {}}, r"embeding: there is no such key; did you mean embedding\?"),
        ({"embedding": {"output": ["mean"]}}, r"embedding\.output.*did you mean embedding\.outputs\?"),
        ({"embedding": {"outputs": ["median"]}}, r"embedding\.outputs\.0: 'median' is not one of"),
        ({"compute": {"shard_tokens": 0}}, r"compute\.shard_tokens: 0 is less than the minimum of 1"),
        ({"input": {"zzz": 1}}, "input.zzz: there is no such key; known here: invalid_characters"),
        ({"embedding": []}, r"embedding: \[\] is not of type 'object'"),
        ({"compute": {"shard_tokens": "1e6"}}, "shard_tokens: '1e6' is not of type 'integer'. YAML reads it as text"),
        ({"compute": {"tokens_per_batch": "1e3"}}, "tokens_per_batch: '1e3' is not valid.*YAML reads it as text"),
        ({"embedding": {"embedding_complete": "1"}}, r"'1' is not of type 'boolean'$"),
        ({"embedding": {"layer": "nan"}}, r"layer: 'nan' is not of type 'integer', 'null'$"),
        ({"embedding": {"layer": 2.0}}, "embedding.layer: 2.0 is not of type 'integer', 'null'"),
        (
            {"checkpoints": {"server": "http://me:secret@host"}},
            r"checkpoints.server: .* does not match .* A password belongs into `~/.netrc`",
        ),
        ({"embedding": {"layer": "last"}}, "embedding.layer: 'last' is not of type 'integer', 'null'"),
        ({"compute": {"tokens_per_batch": "many"}}, "compute.tokens_per_batch: 'many' is not valid"),
        ({"heads": {"threshold": 2}}, "heads.threshold: 2 is greater than the maximum of 1"),
        ({"heads": {"threshold": math.nan}}, "heads.threshold: nan is not of type 'number'"),
        ({"heads": {"threshold": math.inf}}, "heads.threshold: inf is not of type 'number'"),
        ({"heads": {"threshold": 10**400}}, "heads.threshold: 10+.* is greater than the maximum of 1"),
        ({"heads": {"threshold": True}}, "heads.threshold: True is not of type 'number'"),
        ({"compute": {"shard_tokens": -math.inf}}, "compute.shard_tokens: -inf is not of type 'integer'"),
        ({"compute": {"tokens_per_batch": math.nan}}, "compute.tokens_per_batch: nan is not valid"),
    ],
)
def test_wrong_keys_and_values(config, words):
    with pytest.raises(ConfigError, match=words):
        resolve(config, CONFIG)


PATHS = [
    ("datasets",),
    ("checkpoints", "directory"),
    ("checkpoints", "path"),
    ("heads", "path"),
    ("heads", "embeddings"),
]


def with_path(key, path):
    return {key[0]: path} if len(key) == 1 else {key[0]: {key[1]: path}}


@pytest.mark.parametrize("key", PATHS, ids=".".join)
def test_a_path_below_the_home_directory_or_with_a_variable(key, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.delenv("NOWHERE", raising=False)

    def resolved(path):
        found = resolve(with_path(key, path), CONFIG)
        assert resolve(found, CONFIG) == found
        return found[key[0]] if len(key) == 1 else found[key[0]][key[1]]

    assert resolved("~/x y") == "/home/me/x y"
    for path in ("./~/x", "a/~", ""):
        assert resolved(path) == path
    name = ".".join(key)
    for path, words in {
        "$SCRATCH/x": f"{name}: '\\$SCRATCH/x' has a variable, \\$SCRATCH, .*; write '/scratch/me/x'",
        "a/${SCRATCH}x": f"{name}: .* has a variable, \\${{SCRATCH}}, .*; write 'a//scratch/mex'",
        "$NOWHERE/x": f"{name}: .* has a variable, \\$NOWHERE, .*; write the directory it stands for",
        "~nobody-here/x": f"{name}: .* there is no such home directory; write the directory, or './~nobody-here/x'",
    }.items():
        with pytest.raises(ConfigError, match=words):
            resolved(path)


def test_a_dollar_that_begins_no_variable_is_a_character():
    assert resolve({"datasets": "$(a) b$ $-.tsv"}, CONFIG)["datasets"] == "$(a) b$ $-.tsv"


def test_every_path_of_the_configuration_is_known_as_one():
    named = [
        (section, key)
        for section, inner in CONFIG["properties"].items()
        for key, value in inner.get("properties", {}).items()
        if value.get("format") == "path"
    ]
    assert sorted(named) == sorted(PATHS[1:])
    assert CONFIG["properties"]["datasets"]["format"] == "path"


@pytest.mark.parametrize("key", ["export", "x", "heads"])
def test_aliases_of_aliases_end_quickly(key):
    """Twelve lines of YAML stand for 10^12 values. Alone, they may even contain themselves."""
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    bomb = yaml.safe_load(text)["a11"]
    itself = yaml.safe_load("&a {x: *a}")
    for value in (bomb, itself, [bomb], {"path": bomb}):
        with pytest.raises(ConfigError, match=r"more than 1000 values, where one that an alias \(`\*name`\) repeats"):
            resolve({key: value}, CONFIG)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ConfigError, match=r"embedding.outputs.0: 'x{190,200}\.\.\. is not one of"):
        resolve({"embedding": {"outputs": ["x" * 10**6]}}, CONFIG)


def test_every_problem_is_said_at_once():
    with pytest.raises(ConfigError) as error:
        resolve({"a": 1, "model": {"b": 2}, "compute": {"shard_tokens": 0}}, CONFIG)
    assert str(error.value).count("there is no such key") == 2
    assert "compute.shard_tokens: 0 is less than the minimum of 1" in str(error.value)
    assert str(error.value).count("\n") == 3


def test_a_section_without_keys_says_nothing():
    assert resolve({"embedding": None, "compute": {}}, CONFIG) == DEFAULTS


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"export": ["npy", "parquet"], "embedding": {"outputs": ["matrix"]}},
            "`npy`, `parquet` hold vectors; add `mean`",
        ),
        (
            {"export": ["by_id"], "embedding": {"outputs": ["mean", "matrix"]}},
            "`by_id` holds one kind of array, but embedding.outputs has mean, matrix; keep one",
        ),
        (
            {"export": ["lucaone"], "embedding": {"outputs": ["mean", "max", "matrix"]}},
            "holds one kind of vector, but embedding.outputs has mean, max",
        ),
        (
            {"figures": {"tsne": True, "umap": True}, "embedding": {"outputs": ["contacts"]}},
            "figures.umap: a map needs vectors",
        ),
        ({"export": ["lucaone"], "embedding": {"outputs": ["contacts"]}}, "`lucaone` holds matrices or vectors"),
        (
            {"embedding": {"outputs": ["mean", "contacts"]}},
            "`contacts` needs a trained contact head, and mini has none",
        ),
        (
            {"model": {"llm_version": "lucaone-prot", "llm_step": 30000000}},
            "there is no lucaone-prot with 30000000 steps from `huggingface`. Available steps of "
            "lucaone-prot: 38200000 from `huggingface`; 30000000 from `server`",
        ),
        (
            {"model": {"llm_version": "lucaone-prot", "llm_step": 38200000}, "checkpoints": {"source": "server"}},
            "no lucaone-prot with 38200000 steps from `server`",
        ),
        (
            {"embedding": {"precision": "tfloat32"}, "compute": {"device": "cpu"}},
            "`tfloat32` needs a GPU, but compute.device is `cpu`; use `float32` or `bfloat16`",
        ),
        ({"embedding": {"outputs": ["contacts"]}}, "or use an ESM-2 for proteins, such as esm2_t33_650M_UR50D"),
        (
            {"neighbours": {"k": 5, "vector": "max"}},
            "neighbours.vector: add `max` to embedding.outputs, or set neighbours.k to 0",
        ),
        ({"embedding": {"layer": 7}}, "embedding.layer: it is 7, but `mini` has layers 0 to 6"),
        ({"checkpoints": {"directory": __file__}}, "test_resolve.py is a file; give a directory"),
        (
            {"model": {"llm_version": "lucaone", "llm_step": 7}},
            "36000000, 17600000, 5600000 from `huggingface`; 36000000, 17600000, 5600000 from `server`. Set",
        ),
        (
            {"model": {"llm_version": "lucaone"}, "checkpoints": {"source": "local"}},
            "expected the directory of the checkpoint",
        ),
    ],
)
def test_a_named_choice_runs_or_raises(tmp_path, config, words):
    resolved = resolve({"model": {"llm_version": "mini"}, **config}, CONFIG)
    table = tmp_path / "d.tsv"
    table.write_text("dataset\tpath\tseq_type\nd\td.fasta\tprot\n")
    with pytest.raises(ConfigError, match=words):
        refuse_unavailable(resolved, read_datasets(table, DATASETS, resolved), REGISTRY)


def test_a_licence_that_forbids_commercial_use_must_be_accepted(tmp_path):
    table = tmp_path / "d.tsv"
    table.write_text("dataset\tpath\tseq_type\nd\td.fasta\tprot\n")
    name = "esm2_t6_8M_UR50D"
    (place,) = REGISTRY.places(Model(name, None), "huggingface")
    registry = Registry(((Model(name, None), replace(place, licence="CC BY-NC-SA 4.0")),))
    resolved = resolve({"model": {"llm_version": name}}, CONFIG)
    for accepted in (None, "MIT"):
        resolved["checkpoints"]["accept_licence"] = accepted
        with pytest.raises(ConfigError, match=f"the licence of {name}, CC BY-NC-SA 4.0, forbids commercial use"):
            refuse_unavailable(resolved, read_datasets(table, DATASETS, resolved), registry)
    resolved["checkpoints"]["accept_licence"] = "CC BY-NC-SA 4.0"
    refuse_unavailable(resolved, read_datasets(table, DATASETS, resolved), registry)
    resolved["checkpoints"]["accept_licence"] = None
    refuse_unavailable(resolved, read_datasets(table, DATASETS, resolved), REGISTRY)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"embedding": {"embedding_fixed_len_a_time": 500}},
            "embedding.stitching is `lucaone`, whose windows overlap, but a row of `dnabert2` covers several",
        ),
        (
            {"embedding": {"embedding_fixed_len_a_time": 500, "stitching": "centered"}},
            "embedding.stitching is `centered`",
        ),
        (
            {"embedding": {"outputs": ["matrix"]}, "export": ["by_id"]},
            "`by_id` has no place for `spans`, the letters that each row of `dnabert2` covers; use `standalone`",
        ),
        ({"embedding": {"outputs": ["contacts"]}}, "`contacts` needs a trained contact head, and dnabert2 has none"),
    ],
)
def test_what_rows_of_several_letters_cannot_be_is_refused(tmp_path, config, words):
    table = tmp_path / "d.tsv"
    table.write_text("dataset\tpath\tseq_type\nd\td.fasta\tgene\n")
    resolved = resolve({"model": {"llm_version": "lucaone,dnabert2"}, **config}, CONFIG)
    with pytest.raises(ConfigError, match=words):
        refuse_unavailable(resolved, read_datasets(table, DATASETS, resolved), REGISTRY)
    resolved["embedding"] |= {"stitching": "separate", "outputs": ["matrix"]}
    resolved["export"] = ["standalone"]
    refuse_unavailable(resolved, read_datasets(table, DATASETS, resolved), REGISTRY)


def test_a_hugging_face_directory_needs_a_step_and_holds_one_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").touch()
    config = resolve(
        {"model": {"llm_version": "lucaone"}, "checkpoints": {"source": "local", "path": str(tmp_path)}}, CONFIG
    )
    table = tmp_path / "d.tsv"
    table.write_text("dataset\tpath\tseq_type\np\tp.fasta\tprot\n")
    with pytest.raises(
        ConfigError, match=f"model.llm_step: must be given, since {tmp_path} is a Hugging Face directory"
    ):
        refuse_unavailable(config, read_datasets(table, DATASETS, config), REGISTRY)
    rows = "p\tp.fasta\tprot\t\t36000000\nq\tp.fasta\tprot\tlucaone-prot\t38200000\n"
    table.write_text(f"dataset\tpath\tseq_type\tllm_version\tllm_step\n{rows}")
    with pytest.raises(
        ConfigError, match="holds one model, but the datasets need lucaone-36000000, lucaone-prot-38200000"
    ):
        refuse_unavailable(config, read_datasets(table, DATASETS, config), REGISTRY)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ({"my model": "x"}, "'my model' is not a name"),
        ({"Heads": "x"}, "'Heads' is a name that LucaFlow uses in results/<dataset>"),
        ({"ours": "x", "Ours": "y"}, "'Ours' and 'ours' differ only in case"),
        ({"ours": 3}, r"checkpoints.path.ours: 3 is not of type 'string'"),
        ({"ours": ""}, r"checkpoints.path.ours: '' should be non-empty"),
        ({2024: "x"}, "2024 is not text; write it in quotation marks"),
        ({"head-x": "x"}, "'head-x' is not a name"),
        ({"head": "x"}, "'head' is not a name"),
        ({"ours": "$DATA/x"}, "has a variable"),
    ],
)
def test_names_of_ones_own(path, said):
    with pytest.raises(ConfigError, match=said):
        resolve({"checkpoints": {"path": path}}, CONFIG)


def test_a_directory_by_name_may_be_at_home():
    found = resolve({"checkpoints": {"path": {"ours": "~/x"}}}, CONFIG)
    assert found["checkpoints"]["path"] == {"ours": str(Path("~/x").expanduser())}


def test_an_approximate_search_without_its_package_is_refused(monkeypatch):
    monkeypatch.setattr(resolving, "find_spec", {}.get)
    resolved = resolve({"neighbours": {"search": "approximate"}}, CONFIG)
    with pytest.raises(ConfigError, match="`approximate` needs the package usearch"):
        refuse_unavailable(resolved, {}, REGISTRY)
