import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from workflow_runs import ROOT

from lucaflow.checkpoints.registry import read_checkpoints
from lucaflow.config.datasets import demands_of, read_datasets
from lucaflow.config.resolve import refuse_unavailable, resolve
from lucaflow.config.step_settings import settings_name, write_settings
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import ConfigError
from lucaflow.files.json_files import digest_of_settings
from lucaflow.records.outcomes import Demands
from lucaflow.schemas import read_yaml

CONFIG = read_yaml(ROOT / "config/schemas/config.schema.yaml")
DATASETS = read_yaml(ROOT / "config/schemas/datasets.schema.yaml")
DEFAULTS = resolve({}, CONFIG)
REGISTRY = read_checkpoints(
    ROOT / "resources/checkpoints.tsv", read_yaml(ROOT / "config/schemas/checkpoints.schema.yaml")
)


def options(**changed):
    return EmbeddingOptions.from_config({**DEFAULTS["embedding"], **changed})


def test_defaults_are_those_of_the_contract():
    assert DEFAULTS["datasets"] == "config/datasets.tsv"
    assert DEFAULTS["checkpoints"] == {
        "directory": "resources/checkpoints", "source": "huggingface", "path": None, "revision": None, "server": None,
    }  # fmt: skip
    assert DEFAULTS["model"] == {"llm_version": "lucaone", "llm_step": None}
    assert DEFAULTS["embedding"]["outputs"] == ["mean"]
    assert DEFAULTS["embedding"]["truncation_seq_length"] == 4094
    assert DEFAULTS["compute"] == {"device": "auto", "tokens_per_batch": "auto", "shard_tokens": 20_000_000}
    assert set(DEFAULTS["input"].values()) == {"error"}
    assert DEFAULTS["heads"]["llm_truncation_seq_length"] == 4096


def test_options_of_embedding_have_the_defaults_of_the_configuration():
    assert EmbeddingOptions() == options()


def test_the_packaged_configuration_holds_the_defaults():
    assert resolve(yaml.safe_load((ROOT / "config/config.yaml").read_text()), CONFIG) == DEFAULTS


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
        ({"input": {"zzz": 1}}, "input.zzz: there is no such key; known here: invalid_characters"),
        ({"embedding": []}, r"embedding: \[\] is not of type 'object'"),
        ({"compute": {"shard_tokens": "1e6"}}, "shard_tokens: '1e6' is not of type 'integer'. YAML takes it for text"),
        ({"compute": {"tokens_per_batch": "1e3"}}, "tokens_per_batch: '1e3' is not valid.*YAML takes it for text"),
        ({"embedding": {"embedding_complete": "1"}}, r"'1' is not of type 'boolean'$"),
        ({"embedding": {"layer": "nan"}}, r"layer: 'nan' is not of type 'integer', 'null'$"),
        ({"embedding": {"layer": 2.0}}, "embedding.layer: 2.0 is not of type 'integer', 'null'"),
        (
            {"checkpoints": {"server": "http://me:secret@host"}},
            r"checkpoints.server: .* does not match .* A password belongs into `~/.netrc`",
        ),
        ({"embedding": {"layer": "last"}}, "embedding.layer: 'last' is not of type 'integer', 'null'"),
        ({"embedding": {"outputs": []}}, "embedding.outputs: "),
        ({"compute": {"tokens_per_batch": "many"}}, "compute.tokens_per_batch: 'many' is not valid"),
        ({"heads": {"threshold": 2}}, "heads.threshold: 2 is greater than the maximum of 1"),
    ],
)
def test_wrong_keys_and_values(config, words):
    with pytest.raises(ConfigError, match=words):
        resolve(config, CONFIG)


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
            {"figures": {"tsne": True}, "embedding": {"outputs": ["contacts"]}},
            "figures.tsne: a map takes vectors",
        ),
        ({"export": ["lucaone"], "embedding": {"outputs": ["contacts"]}}, "`lucaone` holds matrices or vectors"),
        (
            {"model": {"llm_version": "lucaone-prot"}},
            "there is no lucaone-prot with 30000000 steps from `huggingface`. Of lucaone-prot, `huggingface` has "
            "38200000; `server` has 30000000",
        ),
        (
            {"model": {"llm_version": "lucaone-prot", "llm_step": 38200000}, "checkpoints": {"source": "server"}},
            "no lucaone-prot with 38200000 steps from `server`",
        ),
        ({"checkpoints": {"directory": __file__}}, "test_settings.py is a file; name a directory"),
        (
            {"model": {"llm_version": "lucaone", "llm_step": 7}},
            "`huggingface` has 36000000, 17600000, 5600000; `server` has 36000000, 17600000, 5600000. Set",
        ),
        (
            {"model": {"llm_version": "lucaone"}, "checkpoints": {"source": "local"}},
            "expected the checkpoint's directory",
        ),
    ],
)
def test_a_named_choice_runs_or_raises(tmp_path, config, words):
    resolved = resolve({"model": {"llm_version": "mini"}, **config}, CONFIG)
    table = tmp_path / "d.tsv"
    table.write_text("dataset\tpath\tseq_type\nd\td.fasta\tprot\n")
    with pytest.raises(ConfigError, match=words):
        refuse_unavailable(resolved, read_datasets(table, DATASETS, resolved), REGISTRY)


@pytest.mark.parametrize(
    ("embedding", "longest"),
    [
        ({"outputs": ["mean"]}, None),
        ({"outputs": ["contacts"]}, 1024),
        ({"outputs": ["contacts"], "contacts_max_length": 50}, 50),
        ({"outputs": ["contacts"], "embedding_fixed_len_a_time": 400}, 400),
        ({"outputs": ["contacts"], "embedding_fixed_len_a_time": 2000}, 1024),
        ({"outputs": ["contacts"], "embedding_complete": False}, 1024),
        ({"outputs": ["contacts"], "embedding_complete": False, "truncation_seq_length": 1024}, None),
        ({"outputs": ["contacts"], "embedding_complete": False, "embedding_fixed_len_a_time": 10}, None),
    ],
)
def test_how_long_a_sequence_may_be_for_contacts(tmp_path, embedding, longest):
    config = resolve({"embedding": embedding}, CONFIG)
    (single,) = datasets(tmp_path, "dataset\tpath\tseq_type\nd\tx\tprot\n").values()
    (pairs,) = datasets(tmp_path, "dataset\tpath\tkind\nd\tx\tpair\n").values()
    assert demands_of(config, single) == Demands(longest)
    assert demands_of({**config, "export": ["lucaone"]}, pairs) == Demands()


def datasets(tmp_path, text, **config):
    table = tmp_path / "d.tsv"
    table.write_text(text)
    return read_datasets(table, DATASETS, resolve(config, CONFIG))


def test_a_table_of_datasets(tmp_path):
    text = (
        "# a comment\ndataset\tpath\tseq_type\theader\tid_column\tllm_version\tllm_step\n"
        "a\tx#1.fasta\tprot\n\nNA\t/y.csv\tgene\tno\t0\tlucaone-gene\t\nc\tz\tgene\t\t\t\t17600000\n"
    )
    found = datasets(tmp_path, text, model={"llm_version": "lucaone", "llm_step": 5600000})
    assert [(d.name, d.model.name, d.step_stated) for d in found.values()] == [
        ("a", "lucaone-5600000", True),
        ("NA", "lucaone-gene-36800000", False),
        ("c", "lucaone-17600000", True),
    ]
    assert str(found["a"].path) == "x#1.fasta"
    assert (found["a"].columns.header, found["NA"].columns.header, found["NA"].columns.id) == (None, False, "0")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dataset\tpath\tseq_type\n", "the table holds no datasets"),
        ("", "the table holds no datasets"),
        ("dataset\tpath\na\tb\tc\n", "line 2: 3 cells, but 2 columns"),
        ("dataset,path\na,b\n", "line 1: one column, 'dataset,path'. Columns must be separated by tabs"),
        ("dataset path\na b\n", "Columns must be separated by tabs"),
        ("dataset\tpath\tseq_type\na\t\tprot\n", "line 2: the file: 'path' is a required property"),
        ("dataset\tpath\tseq_type\nsummary.tsv\tx\tprot\n", "is a name that results/ uses itself"),
        ("dataset\tpath\tseq_type\nvalidation.html\tx\tprot\n", "is a name that results/ uses itself"),
        (f"dataset\tpath\tseq_type\na{'.b' * 20}\tx\tprot\n", "ends in the same 20 times"),
        (f"dataset\tpath\tseq_type\n{'abcdefghij' * 19}abcdefghijk\tx\tprot\n", "is too long"),
        (
            "dataset\tpath\tkind\tseq_type\na\tx\tpair\tgene\n",
            "line 2: seq_type: a file of pairs has LucaOne.s columns",
        ),
        ("dataset\tpath\tseq_type\n#x\n\n.a\tx\tprot\n", "line 4: dataset: '.a' does not match"),
    ],
)
def test_a_wrong_table(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        datasets(tmp_path, text)


@given(st.permutations(["mean", "max", "cls", "matrix"]))
def test_the_order_of_outputs_does_not_matter(outputs):
    assert options(outputs=outputs) == options(outputs=["mean", "max", "cls", "matrix"])


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ({"layer": 3}, True),
        ({"outputs": ["mean", "max"]}, True),
        ({"precision": "bfloat16"}, True),
        ({"dtype": "float16"}, True),
        ({"embedding_complete": False}, True),
        ({"truncation_seq_length": 9}, False),
        ({"trunc_type": "left"}, False),
        ({"matrix_add_special_token": True}, False),
        ({"contacts_max_length": 9}, False),
        ({"embedding_fixed_len_a_time": 100}, True),
        ({"embedding_complete_seg_overlap": False}, False),
        ({"stitching": "centered"}, False),
    ],
)
def test_what_the_fingerprint_depends_on(changed, matters):
    assert (options(**changed).fingerprint("c") != options().fingerprint("c")) == matters
    assert options().fingerprint("c") != options().fingerprint("d")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"trunc_type": "left"}, {"trunc_type": "right"}, False),
        ({"embedding_complete_seg_overlap": False}, {}, False),
        ({"stitching": "centered"}, {}, False),
        ({"stitching": "centered", "trunc_type": "left"}, {"stitching": "centered"}, True),
        ({"truncation_seq_length": 7}, {}, True),
        ({"embedding_complete": False, "truncation_seq_length": 7}, {"embedding_complete": False}, True),
    ],
)
def test_what_matters_for_windows(one, other, same):
    window = {"embedding_fixed_len_a_time": 100}
    assert (options(**window, **one).fingerprint("c") == options(**window, **other).fingerprint("c")) == same


def test_windows_that_are_too_short():
    with pytest.raises(ConfigError, match=r"embedding\.embedding_fixed_len_a_time is 1, expected at least 2"):
        options(embedding_fixed_len_a_time=1)


def test_settings_replace_the_ones_before(tmp_path):
    first, second = {"a": 1, "b": 2}, {"a": 2}
    assert digest_of_settings(first) == digest_of_settings({"b": 2, "a": 1})
    for settings in (first, second):
        write_settings(tmp_path / f"{settings_name('step', settings)}.json", "step", settings)
        write_settings(tmp_path / f"{settings_name('step-two', settings)}.json", "step-two", settings)
    kept = {f"{settings_name(step, second)}.json" for step in ("step", "step-two")}
    assert {path.name for path in tmp_path.iterdir()} == kept | {f".{name}.sha256" for name in kept}
