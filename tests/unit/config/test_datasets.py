"""The table of datasets, and what outputs and exports require of each record."""

import os
import re

import pytest
from workflow_runs import ROOT

from lucaflow.config.datasets import read_datasets, requirements_of, stated_tasks
from lucaflow.config.resolve import resolve
from lucaflow.config.step_settings import normalize_settings
from lucaflow.errors import ConfigError
from lucaflow.records.outcomes import Requirements
from lucaflow.schemas import read_yaml

CONFIG = read_yaml(ROOT / "config/schemas/config.schema.yaml")
DATASETS = read_yaml(ROOT / "config/schemas/datasets.schema.yaml")


def datasets(tmp_path, text, **config):
    table = tmp_path / "d.tsv"
    table.write_text(text)
    return read_datasets(table, DATASETS, resolve(config, CONFIG))


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
    assert requirements_of(config, single) == Requirements(longest)
    with_files = {**config, "export": ["lucaone"]}
    assert requirements_of(with_files, single) == Requirements(longest, file_names=True)
    assert requirements_of(with_files, pairs) == Requirements()


THREE = "dataset\tpath\tseq_type\ttasks\np\tx\tprot\tMiniProtLoc\nq\tx\tprot\tMiniProtLoc\nr\tx\tprot\t\n"


def test_a_folder_of_embeddings_is_for_all_datasets_with_tasks_or_for_those_it_is_named_for(tmp_path):
    def folders(embeddings):
        found = datasets(tmp_path, THREE, heads={"embeddings": embeddings}).values()
        return [str(d.made_elsewhere) if d.made_elsewhere else None for d in found]

    assert folders(None) == [None, None, None]
    assert folders("/data/a") == ["/data/a", "/data/a", None]
    assert folders({"q": "b"}) == [None, "b", None]


@pytest.mark.parametrize(
    ("table", "embeddings", "words"),
    [
        (THREE, {"qq": "a"}, "heads.embeddings: there is no dataset 'qq'; did you mean q"),
        (THREE, {"q": "a", "r": "a"}, "heads.embeddings: r has no tasks, which would read them"),
        (THREE.replace("MiniProtLoc", ""), "a", "heads.embeddings: no dataset has tasks, which would read them"),
        (THREE, {"q": ""}, "heads.embeddings"),
        (THREE, ["a", "b"], "heads.embeddings"),
    ],
)
def test_a_folder_of_embeddings_that_nobody_reads(tmp_path, table, embeddings, words):
    with pytest.raises(ConfigError, match=words):
        datasets(tmp_path, table, heads={"embeddings": embeddings})


def test_a_table_of_datasets(tmp_path):
    text = (
        "# a comment\ndataset\tpath\tseq_type\theader\tid_column\tllm_version\tllm_step\n"
        "a\tx#1.fasta\tprot\n\nNA\t/y.csv\tgene\tno\t0\tlucaone-gene\t\nc\tz\tgene\t\t\t\t17600000\n"
    )
    found = datasets(tmp_path, text, model={"llm_version": "lucaone", "llm_step": 5600000})
    assert [(d.name, d.model.name, d.requested[0].step_stated) for d in found.values()] == [
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
        ('dataset\tpath\tseq_type\np\t"x\tprot\nq\ty\tprot\nr\tz"\tprot\n', "line 2: the row cannot be read"),
        ('dataset\tpath\tseq_type\np\tx\tprot\nq\t"y"z\tprot\n', "line 3: the row cannot be read"),
        ("#" * 100_000, "line 1: longer than 100,000 characters"),
        ("", "the table holds no datasets"),
        ("dataset\tpath\na\tb\tc\n", "line 2: 3 cells, but 2 columns"),
        ("dataset,path\na,b\n", "line 1: one column, 'dataset,path'. Columns must be separated by tabs"),
        ("dataset path\na b\n", "Columns must be separated by tabs"),
        ("dataset\tpath\tseq_type\na\t\tprot\n", "line 2: the file: 'path' is a required property"),
        ("dataset\tpath\tseq_type\nsummary.tsv\tx\tprot\n", "is a name that LucaFlow uses in results/"),
        ("dataset\tpath\tseq_type\nvalidation.html\tx\tprot\n", "is a name that LucaFlow uses in results/"),
        (f"dataset\tpath\tseq_type\na{'.b' * 20}\tx\tprot\n", "ends in the same text 20 times"),
        (f"dataset\tpath\tseq_type\n{'abcdefghij' * 19}abcdefghijk\tx\tprot\n", "is too long"),
        (
            "dataset\tpath\tkind\tseq_type\na\tx\tpair\tgene\n",
            "line 2: seq_type: a file of pairs has LucaOne.s columns",
        ),
        ("dataset\tpath\tseq_type\n../p\tx\tprot\n", "line 2: dataset: '../p' does not match"),
        ("dataset\tpath\tseq_type\np\t{a}.fasta\tprot\n", "line 2: path: '{a}.fasta' contains a brace"),
        ("dataset\tpath\tseq_type\np\t$NOWHERE/x\tprot\n", r"line 2: path: '\$NOWHERE/x' has a variable, \$NOWHERE"),
        ("dataset\tpath\tseq_type\np\tx\tpeptide\n", r"line 2: seq_type: 'peptide' is not one of \['gene', 'prot'\]"),
        ("dataset\tpath\tseq_type\np\tx\n", r"line 2: seq_type: expected `gene` \(DNA, RNA\) or `prot`, found noth"),
        (
            "dataset\tpath\tseqtype\np\tx\tprot\n",
            r"line 2: seqtype: there is no such key; did you mean seq_type\?",
        ),
        (
            "dataset\tpath\tseq_type\tllm_version\np\tx\tgene\tlucaone-prot\n",
            "lucaone-prot reads only prot sequences",
        ),
        (
            "dataset\tpath\tseq_type\tllm_version\np\tx\trna\tmini,esm2_t33_650M_UR50D\n",
            "seq_type: esm2_t33_650M_UR50D reads only prot sequences, not gene; use `lucaone`",
        ),
        (
            "dataset\tpath\tseq_type\tllm_version\tllm_step\np\tx\tprot\tmini\t5\n",
            "`mini` exists only with step 1",
        ),
        ("dataset\tpath\tseq_type\np\tx\tprot\nP\tx\tprot\n", "line 3: dataset: 'P' is in the table twice"),
        ("dataset\tpath\tseq_type\n#x\n\n.a\tx\tprot\n", "line 4: dataset: '.a' does not match"),
    ],
)
def test_a_wrong_table(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        datasets(tmp_path, text)


@pytest.mark.parametrize(
    ("word", "seq_type"),
    [("dna", "gene"), ("RNA", "gene"), ("nucl", "gene"), ("protein", "prot"), ("aa", "prot"), ("Prot", "prot")],
)
def test_other_words_for_a_type_leave_the_settings_as_they_are(tmp_path, word, seq_type):
    (usual,) = datasets(tmp_path, f"dataset\tpath\tseq_type\nd\tx.fa\t{seq_type}\n").values()
    (found,) = datasets(tmp_path, f"dataset\tpath\tseq_type\nd\tx.fa\t{word}\n").values()
    assert found == usual and normalize_settings(found, resolve({}, CONFIG))["seq_type"] == seq_type


def test_only_tables_depend_on_how_tables_are_read(tmp_path):
    """So that results from FASTA files are kept when that changes."""
    content = {"a.fasta": ">a\nMKV\n", "b.csv": "id,sequence\na,MKV\n", "c.pir": ">P1;a\n\nMKV*\n", "d": "?"}
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    rows = "".join(f"{name}\t{tmp_path / name}\tprot\n" for name in [*content, "nowhere"])
    found = datasets(tmp_path, f"dataset\tpath\tseq_type\n{rows}")
    settings = {name: normalize_settings(dataset, resolve({}, CONFIG)) for name, dataset in found.items()}
    assert [name for name in settings if "tables" in settings[name]] == ["b.csv", "c.pir"]
    names = ["header", "id", "sequence", "label", "pairs"]
    assert list(settings["a.fasta"]["columns"]) == names


def test_a_path_below_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    (found,) = datasets(tmp_path, "dataset\tpath\tseq_type\np\t~/x.fasta\tprot\n").values()
    assert str(found.path) == "/home/me/x.fasta"


def test_a_table_that_is_not_there(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("nowhere.tsv", "there is no such file"), ("pipe", "is not a regular file but a named pipe")):
        with pytest.raises(ConfigError, match=rf"{name}: {reason}\. Correct `datasets`"):
            read_datasets(tmp_path / name, DATASETS, resolve({}, CONFIG))


@pytest.mark.parametrize("cell", ["dataset", "path", "seq_type", "tasks"])
def test_a_long_cell_is_not_shown_whole(tmp_path, cell):
    row = {"dataset": "p", "path": "x", "seq_type": "prot", "tasks": "t", cell: "{,a" * 10_000}
    text = "\t".join(row) + "\n" + "\t".join(row.values()) + "\n"
    if cell == "tasks":
        text = text.replace("{", "")
    with pytest.raises(ConfigError, match=cell) as error:
        datasets(tmp_path, text)
    assert len(str(error.value)) < 1000


def test_quotation_marks(tmp_path):
    """A spreadsheet may put cells between them; in a comment, and within a cell, they mean nothing."""
    text = '"dataset"\t"path"\tseq_type\n# the "old\n"# one"\np\t"a ""b"".fasta"\tprot\nq\t5".fasta\tprot\n'
    found = datasets(tmp_path, text)
    assert [str(dataset.path) for dataset in found.values()] == ['a "b".fasta', '5".fasta']


REFERENCES = "dataset\tpath\tseq_type\tkind\tllm_version\tlabel_column\treference\n"


@pytest.mark.parametrize(
    ("rows", "config", "words"),
    [
        ("p\tx\tprot\t\t\t\tq\n", {}, "line 2: reference: there is no dataset 'q'"),
        ("p\tx\tprot\t\t\t\tp\n", {}, "line 2: reference: it is the dataset itself"),
        ("q\tx\tgene\np\tx\tprot\t\t\t\tq\n", {}, "line 3: reference: q has gene sequences, p has prot"),
        ("q\tx\t\tpair\np\tx\tprot\t\t\t\tq\n", {}, "line 3: reference: q has pairs"),
        ("q\tx\tprot\np\tx\t\tpair\t\t\tq\n", {}, "line 3: reference: p has pairs"),
        (
            "q\tx\tprot\np\tx\tprot\t\tmini,lucaone-prot\t\tq\n",
            {"model": {"llm_version": "mini"}},
            "line 3: reference: q is not embedded by lucaone-prot-38200000; give both",
        ),
        ("q\tx\tprot\np\tx\tprot\t\t\t\tq\n", {"neighbours": {"k": 0}}, "reference: no neighbours are listed"),
        ("q\tx\tprot\np\tx\tprot\t\t\t\tq\n", {"embedding": {"outputs": ["cls"]}}, "add `mean` to embedding"),
    ],
)
def test_a_reference_that_cannot_be_searched(tmp_path, rows, config, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        datasets(tmp_path, REFERENCES + rows, **config)


def test_labels_of_neighbours_are_those_of_the_reference(tmp_path):
    rows = "p\tx\tprot\t\t\tkind\tq\nq\tx\tprot\nr\tx\tprot\t\t\tkind\ns\tx\tprot\t\t\t\tr\n"
    found = datasets(tmp_path, REFERENCES + rows).values()
    assert [(each.reference, each.neighbours_have_labels) for each in found] == [
        ("q", False), (None, False), (None, True), ("r", True),
    ]  # fmt: skip


def test_tasks_of_two_datasets_with_one_name_in_results(tmp_path):
    rows = "dataset\tpath\tseq_type\ttasks\na\tx\tprot\tMy:1,Other\nb\tx\tprot\t{}\n"
    assert stated_tasks(datasets(tmp_path, rows.format("My:1")).values()) == {"My-1": "My:1", "Other": "Other"}
    with pytest.raises(ConfigError, match="'My-1' and 'My:1' would have the same results, My-1"):
        stated_tasks(datasets(tmp_path, rows.format("My-1")).values())
