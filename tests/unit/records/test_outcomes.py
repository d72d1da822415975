import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucaflow.records.outcomes import Normaliser, Policies, Requirements, normalise, type_doubt
from lucaflow.records.readers import RawRecord


@pytest.mark.parametrize(
    ("text", "seq_type", "policy", "sequence", "changed"),
    [
        ("MKVLAW", "prot", "error", "MKVLAW", 0),
        ("MKV\nLAW\n", "prot", "error", "MKVLAW", 0),
        ("mkVLAW", "prot", "error", "MKVLAW", 2),
        ("MK V\tLAW ", "prot", "error", "MKVLAW", 3),
        ("MKVLAW**", "prot", "error", "MKVLAW", 2),
        ("MKVLAW*\n\n", "prot", "error", "MKVLAW", 1),
        ("ACGU", "gene", "error", "ACGT", 1),
        ("acgu", "gene", "error", "ACGT", 4),
        ("RYSWKMBDHVN", "gene", "error", "RYSWKMBDHVN", 0),
        ("MK-V.L1", "prot", "drop", "MKVL", 3),
        ("MK-V*L", "prot", "unknown", "MKXVXL", 2),
        ("AC-GU*", "gene", "unknown", "ACNGT", 3),
        ("MK\u0412", "prot", "unknown", "MKX", 1),
        ("\u00df", "prot", "unknown", "X", 1),
        ("*", "prot", "error", "", 1),
    ],
)
def test_normalising(text, seq_type, policy, sequence, changed):
    assert normalise(text, seq_type, policy) == (sequence, changed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MK-V", "'-' at position 3"),
        ("MKV\nLA*W\n", r"'\*' at column 3 of line 2 below the header"),
        ("MK\u00df", "'\u00df' at position 3"),
        ("MK1", "input.invalid_characters"),
    ],
)
def test_a_refused_character_is_found(text, words):
    with pytest.raises(ValueError, match=words):
        normalise(text, "prot", "error")


@given(st.text(max_size=60), st.sampled_from(["gene", "prot"]), st.sampled_from(["error", "drop", "unknown"]))
def test_any_text_becomes_residues_or_is_refused(text, seq_type, policy):
    try:
        sequence, changed = normalise(text, seq_type, policy)
    except ValueError:
        assert policy == "error"
        return
    assert set(sequence) <= set("ABCDEFGHIJKLMNOPQRSTVWXYZ" + "U" * (seq_type == "prot"))
    assert normalise(sequence, seq_type, "error") == (sequence, 0)
    assert (changed == 0) == (text.replace("\n", "") == sequence)
    assert changed <= max(len(text), len(sequence))


@pytest.mark.parametrize(
    ("sequence", "seq_type", "doubtful"),
    [
        ("ACGTACGTAN", "gene", False),
        ("RYRYRYACGTAC", "gene", False),
        ("MKVLAWEFQ", "gene", True),
        ("MKVSTAR", "gene", True),
        ("RYSWKMBDHVRYSWKMBDHV", "gene", False),
        ("ACGTACGT", "prot", True),
        ("MACGT", "prot", False),
        ("MKVLAW", "prot", False),
    ],
)
def test_type_doubt(sequence, seq_type, doubtful):
    assert bool(type_doubt(sequence, seq_type)) == doubtful


def outcomes(records, seq_type="prot", **policies):
    normaliser = Normaliser(Policies(**policies))
    return [
        normaliser.outcome(RawRecord(line, key, "", text), seq_type)
        for line, (key, text) in enumerate(records, start=1)
    ]


def test_a_short_peptide_of_nucleotide_letters_is_reported_not_refused():
    short, long = outcomes([("a", "GATTACAGGC"), ("b", "GATTACAGGC" * 3)])
    assert (short.status, long.status) == ("accepted", "problem")
    assert "looks like a nucleotide sequence" in short.reason


def named(*titles):
    """Normalise records with these FASTA titles and different sequences."""
    normaliser = Normaliser(Policies(), Requirements(file_names=True))
    for line, title in enumerate(titles, start=1):
        identifier, _, description = title.partition(" ")
        yield normaliser.outcome(RawRecord(line, identifier, description, "MKV" + line * "L"), "prot")


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("a b", "ab", "ab"),
        ("x/y", "x|y", "x_y"),
        ("sp|P1|X_Y desc/more", "sp_P1_X_Y desc more", None),
        ("sp|P1|X_Y desc/more", "sp_P1_X_Y  desc_more ", "sp_P1_X_Ydesc_more"),
        (">one", "one", "one"),
        ("one", "One", None),
        ("one", "one", None),
    ],
)
def test_records_whose_files_would_have_one_name(first, second, name):
    accepted, other = named(first, second)
    assert accepted.status == "accepted"
    assert other.status == ("problem" if name else "accepted")
    assert not name or f"is {name!r}, the same as for line 1" in other.reason


def test_the_length_of_a_file_name():
    assert [outcome.status for outcome in named("x" * 245, "\u00e9" * 123, "\u00e9" * 122)] == [
        "accepted", "problem", "accepted",
    ]  # fmt: skip


def test_a_sequence_too_long_for_contacts():
    normaliser = Normaliser(Policies(), Requirements(longest=5))
    assert normaliser.outcome(RawRecord(1, "a", "", "MKV\nLA"), "prot").status == "accepted"
    refused = normaliser.outcome(RawRecord(2, "b", "", "MKVLAW"), "prot")
    assert refused.status == "problem"
    assert "6 residues, but contacts are computed up to 5" in refused.reason


@pytest.mark.parametrize("identifier", ["", "a\x00b", "a\nb", "a\x7f", "\x85"])
def test_invalid_ids(identifier):
    assert outcomes([(identifier, "MKV")])[0].status == "problem"


@pytest.mark.parametrize("identifier", ["NA", "001", "a b", "../../x", "sp|P1|X/Y", "x" * 300, "α", "; rm -rf ~"])
def test_valid_ids(identifier):
    assert outcomes([(identifier, "MKV")])[0].status == "accepted"


@given(
    st.text(st.sampled_from("ACGTUNMKLacgt-*\n é"), max_size=60),
    st.sampled_from(["a", "", "a\x00", "é"]),
    st.sampled_from(["gene", "prot"]),
    st.sampled_from([Requirements(), Requirements(longest=5), Requirements(file_names=True)]),
)
def test_the_fast_way_agrees_with_the_full_one(text, identifier, seq_type, requirements):
    raw = RawRecord(1, identifier, "", text)
    normaliser, other = (Normaliser(Policies(), requirements) for _ in range(2))
    fast = normaliser._fast_outcome(raw, seq_type)
    assert fast in (None, other._full_outcome(raw, seq_type))
