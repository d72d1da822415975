"""Files of variants as ProteinGym has them: which row changes what, and why a row cannot be scored."""

from __future__ import annotations

import pytest

from lucaflow.errors import InputError, VariantError
from lucaflow.records.variant_files import (
    VariantColumns,
    find_targets,
    read_columns,
    read_variants,
    refuse_unscored,
)
from lucaflow.records.variants import substitutions_of

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQ"
# The file of the specification's section 5, and the reason of each row; none where it is scored.
BAD = {
    "K2A": "",
    "A2K": "residue 2 is K, not A",
    "K99A": "there is no residue 99: the sequence has residues 1 to 22 (scores.first_residue is 1)",
    "K0A": "there is no residue 0",
    "K2*": "a stop codon",
    "K2del": "a deletion or insertion",
    "K2KA": "an insertion",
    "2A": "expected the old letter, the number of the residue and the new letter",
    "": "the cell `mutant` is empty",
    "WT": "",
    "_wt": "",
    "k2a": "write letters as capitals",
    "K2A:K2R": "two changes at residue 2",
    "K2A:T3P:": "has an empty change",
    "K2A;T3P": "join several changes by `:`",
    "K2A T3P": "join several changes by `:`",
    "p.Lys2Ala": "write a change as A23V",
    "K2Z": "the new letter Z is not one of the 20 amino acids",
    "K2X": "the new letter X is not one of the 20 amino acids",
}


def dataset_in(folder, sequences):
    """Write records.tsv and the distinct sequences of a dataset; return their paths."""
    digests = {sequence: f"{number:064x}" for number, sequence in enumerate(dict.fromkeys(sequences.values()))}
    rows = "".join(f"{key}\taccepted\t{digests[sequence]}\n" for key, sequence in sequences.items())
    (folder / "records.tsv").write_text("id\tstatus\tdigest\nleft_out\tdropped\t\n" + rows)
    (folder / "distinct.fasta").write_text("".join(f">{digest} prot\n{seq}\n" for seq, digest in digests.items()))
    return folder / "records.tsv", folder / "distinct.fasta"


def variants_in(folder, text, sequences, first_residue=1, seq_type="prot"):
    path = folder / "variants.csv"
    path.write_text(text)
    columns = read_columns(path)
    targets = find_targets(path, columns, *dataset_in(folder, sequences))
    return columns, [*read_variants(path, columns, targets, seq_type, first_residue)]


def test_what_must_be_refused_is_listed_and_the_rest_is_scored(tmp_path):
    text = "mutant,DMS_score\n" + "".join(f"{mutant},0.{number}\n" for number, mutant in enumerate(BAD))
    columns, variants = variants_in(tmp_path, text, {"p": PROTEIN})
    assert len(variants) == len(BAD)
    for number, (variant, reason) in enumerate(zip(variants, BAD.values(), strict=True)):
        assert bool(variant.reason) == bool(reason), variant
        assert not reason or (variant.reason.startswith(f"line {number + 2}: ") and reason in variant.reason)
        assert variant.cells[columns.measured] == f"0.{number}"


def test_rows_that_cannot_be_read_are_listed_too(tmp_path):
    text = "mutant,DMS_score\nK2A,0.1,0.2,0.3\nK2R\nT3P,1\n"
    _, variants = variants_in(tmp_path, text, {"p": PROTEIN})
    assert [variant.reason for variant in variants] == [
        "line 2: 4 columns, expected 2; put a cell that holds ',' into quotation marks", "", "",
    ]  # fmt: skip
    assert variants[0].cells == ["K2A", "0.1"], "what the columns have is kept"


def test_a_plain_list_of_mutants_is_a_file_of_variants(tmp_path):
    _, variants = variants_in(tmp_path, "mutant\nK2A\n\nT3P:Y5A\n", {"p": PROTEIN, "same": PROTEIN})
    assert [[change.after for change in variant.changes] for variant in variants] == [["A"], ["P", "A"]]


def test_the_sequence_of_a_row_is_found_by_id_or_accession(tmp_path):
    sequences = {"sp|P1|ONE": PROTEIN, "P2": "MKL", "a|x|": "MKV", "b|x|": "MKW"}
    text = "id,mutant\nP1,K2A\nsp|P2|TWO,L3I\nnone,K2A\n,K2A\nx,K2A\nleft_out,K2A\n"
    _, variants = variants_in(tmp_path, text, sequences)
    assert [variant.target and variant.target.id for variant in variants] == ["sp|P1|ONE", "P2", *[None] * 4]
    assert [variant.reason.partition(": ")[2] for variant in variants[2:]] == [
        "the dataset has no accepted record 'none'",
        "the cell `id` is empty, and the dataset has several sequences",
        "several records of the dataset match 'x'",
        "the dataset has no accepted record 'left_out'",
    ]
    with pytest.raises(InputError, match="the dataset has several sequences"):
        variants_in(tmp_path, "mutant\nK2A\n", sequences)


def test_a_stated_sequence_finds_out_a_numbering_that_fits_by_chance(tmp_path):
    text = "mutant,mutated_sequence\nK2A,MATAY\nK2A,MKTAA\nK2A,MATA\nK2A,\n"
    _, variants = variants_in(tmp_path, text, {"p": "MKTAY"})
    assert [variant.reason.partition(": ")[2] for variant in variants] == [
        "",
        "`mutated_sequence` has 'K' at residue 2, where the mutant and the dataset's sequence have A; is "
        "scores.first_residue right?",
        "`mutated_sequence` has 4 residues, and the dataset's sequence 5",
        "",
    ]


def test_any_numbering_and_any_writing_of_genes():
    assert substitutions_of("M-19A:K-18R", PROTEIN, "prot", -19)[1].position == 1
    assert substitutions_of("U2C", "ATG", "gene") == substitutions_of("T2C", "ATG", "gene")
    assert substitutions_of("A1U", "ATG", "gene")[0].after == "T"
    assert substitutions_of("N3A", "ATN", "gene")[0].before == "N"
    with pytest.raises(VariantError, match="the new letter N is not A, C, G, T or U"):
        substitutions_of("A1N", "ATG", "gene")


def test_a_file_of_which_no_row_fits_is_refused_with_the_numbering_that_does(tmp_path):
    text = "mutant\n" + "".join(f"{letter}{number}A\n" for number, letter in enumerate(PROTEIN[:12], start=24))
    columns, variants = variants_in(tmp_path, text, {"p": PROTEIN})
    with pytest.raises(InputError, match="no row can be scored") as error:
        refuse_unscored(tmp_path / "variants.csv", variants, columns, 1)
    assert "if the first residue has the number 24: set scores.first_residue to it" in str(error.value)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("variant,score", "no column 'mutant' for the variants"),
        ("mutant,reason", "LucaFlow adds a column 'reason'. Rename that of the file"),
    ],
)
def test_a_file_without_its_column_or_with_one_of_ours_is_refused(tmp_path, header, said):
    path = tmp_path / "variants.csv"
    path.write_text(f"{header}\nK2A,1\n")
    with pytest.raises(InputError, match=said):
        read_columns(path, taken=("wt_marginals", "reason"))


def test_the_columns_are_known_in_any_case():
    columns = VariantColumns.of(None, 1, ["ID", "Mutant", "dms_score", "DMS_score_bin"], ())
    assert (columns.id, columns.mutant, columns.measured, columns.binary, columns.sequence) == (0, 1, 2, 3, None)
