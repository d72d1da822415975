"""In which columns of a table are the ids, sequences and labels, and does its first row hold their names?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lucaflow.errors import InputError, quoted, shown
from lucaflow.records.raw_records import PAIR_COLUMNS, Columns


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Names of columns as `plain_name` writes them, the best first. Which names of sequences come first depends on the type.
_IDS = _words(
    "id seqid sequenceid identifier recordid proteinid geneid transcriptid uniprotid uniprotkbid accession "
    "accessionnumber accessionid primaryaccession uniprotaccession uniprot acc ac entry entryid header fastaheader "
    "seqname sequencename name proteinname genename entryname locustag sampleid featureid otuid"
)
_SEQUENCES = _words(
    "sequence seq sequences seqs fullsequence fullseq seqstring residues rawsequence inputsequence targetsequence "
    "sequenz sequenzen secuencia sequenza sequencia"
)
_PROTEINS = _words(
    "proteinsequence proteinseq protseq protsequence aasequence aaseq sequenceaa seqaa seqprot seqprotein "
    "sequenceprotein aminoacidsequence aminoacidseq aminosequence"
)
_PEPTIDES = _words("aminoacids peptidesequence peptideseq translatedsequence translation protein prot peptide aa")
_GENES = _words(
    "dnasequence dnaseq nucleotidesequence nucleotideseq ntsequence ntseq nucsequence nucseq genesequence geneseq "
    "cdssequence cdsseq rnasequence mrnasequence cdnasequence genomicsequence sequencedna seqdna sequencerna "
    "seqrna sequencent seqnt nucleicacidsequence"
)
_NUCLEOTIDES = _words("cds cdna orf nucleotide nucleotides nucl nt dna rna rnaseq mrna trna rrna ncrna promoter utr")
_NAMES_BY_TYPE = {
    "prot": (*_PROTEINS, *_SEQUENCES, *_PEPTIDES, *_GENES, *_NUCLEOTIDES),
    "gene": (*_GENES, *_SEQUENCES, *_NUCLEOTIDES, *_PROTEINS, *_PEPTIDES),
    "": (*_SEQUENCES, *_PROTEINS, *_GENES, *_PEPTIDES, *_NUCLEOTIDES),
}
NAMES_OF_SEQUENCES = frozenset((*_SEQUENCES, *_PROTEINS, *_GENES))
# Words that may also be a cell of a record, such as its type.
_KINDS = frozenset((*_PEPTIDES, *_NUCLEOTIDES))
_CERTAIN = frozenset((*_IDS, *_SEQUENCES, *_PROTEINS, *_GENES, *(name.replace("_", "") for name in PAIR_COLUMNS)))
_NOT_IN_NAMES = re.compile(r"[\W_]+")
# Words in the names of columns.
_USUAL_WORDS = frozenset(_words("id name accession entry seq sequence label class type length organism score family"))
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# Longer than the name of a column, or only nucleotides.
_SEQUENCE_LIKE = re.compile(r"[A-Za-z*-]{20,}|(?!.*SEQ)[A-Z*-]{10,}|[ACGTUN]{6,}|[acgtun]{6,}")
_ONE_CASE = (re.compile(r"[A-Z*-]+"), re.compile(r"[a-z*-]+"))
# Words of R, pandas, SQL and Excel for a value that is missing.
MISSING = frozenset(("NA", "N/A", "nan", "NaN", "None", "NULL", "-", "<NA>", "#N/A"))
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?%?")


@dataclass(frozen=True)
class Chosen:
    """Indices of the columns that are used, and what a user should know about the choice."""

    id: int
    sequence: int
    label: int | None
    notes: tuple[str, ...] = ()


def plain_name(cell: str) -> str:
    """Return the name of a column as names are compared.

    >>> plain_name(" #Seq_ID "), plain_name("AA sequence")
    ('seqid', 'aasequence')
    """
    return _NOT_IN_NAMES.sub("", cell).casefold()


def has_names(row: Sequence[str], columns: Columns) -> bool:
    """Return whether a cell is the name of a column by itself: a usual one, or one that the user gave."""
    stated = {name for name in (columns.id, columns.sequence, columns.label) if name and not _is_index(name)}
    return any(plain_name(cell) in _CERTAIN or cell.strip().lstrip("#> ") in stated for cell in row)


def is_row_of_names(row: Sequence[str]) -> bool:
    """Return whether several cells of a row are usual names of columns."""
    return sum(plain_name(cell) in _CERTAIN for cell in row) >= 2


def looks_like_sequence(cell: str) -> bool:
    """Return whether a cell is longer than the name of a column, or has only nucleotides."""
    return bool(_SEQUENCE_LIKE.fullmatch(cell.strip()))


def is_header(row: Sequence[str], below: Sequence[Sequence[str]], sequence: int, columns: Columns) -> bool:
    """Return whether the first row of a table has names, which more than one sign must show.

    below: the rows after it; sequence: the index of the column of sequences.
    """
    others = [cells for cells in below if cells != row and not is_row_of_names(cells)]
    cells_below = [[cells[index].strip() for cells in others if index < len(cells)] for index in range(len(row))]
    known_below = [[cell for cell in cells if cell and cell not in MISSING] for cells in cells_below]
    in_columns = [(cell.strip(), cells) for cell, cells in zip(row, known_below, strict=True)]
    stated = {name for name in (columns.id, columns.sequence, columns.label) if name and not _is_index(name)}
    names = sum(
        cell in stated or (plain_name(cell) in _CERTAIN and plain_name(cell) not in map(plain_name, cells))
        for cell, cells in in_columns
    )
    of_record = any(
        looks_like_sequence(cell) and (index == sequence or any(map(looks_like_sequence, cells)))
        for index, (cell, cells) in enumerate(in_columns)
    )
    if names >= 2 or of_record:
        return names >= 2
    return names == 1 or (
        not _is_residues_like(*in_columns[sequence]) and sum(_signs_of_name(*column) for column in in_columns) >= 2
    )


def _is_residues_like(cell: str, below: Sequence[str]) -> bool:
    """Return whether a cell could be a sequence, as those below it are; without any below, upper case suffices."""
    if not below:
        return bool(_ONE_CASE[0].fullmatch(cell))
    return any(case.fullmatch(cell) and all(map(case.fullmatch, below)) for case in _ONE_CASE)


def _signs_of_name(cell: str, below: Sequence[str]) -> int:
    """Return how surely a cell is of another kind than those below it: no number, no sequence, no id with a number."""
    if not cell or cell in MISSING or not below or cell in below:
        return 0
    if all(map(_NUMBER.fullmatch, below)):
        return not _NUMBER.fullmatch(cell)
    if any(all(map(case.fullmatch, below)) for case in _ONE_CASE):
        return (not _is_residues_like(cell, below)) * (1 + (plain_name(cell) in _KINDS))
    words = _USUAL_WORDS.intersection(word.lower() for word in _WORD.findall(cell))
    if words and not any(word.lower() in words for other in below for word in _WORD.findall(other)):
        return 1
    return all(re.search(r"\d", other) for other in below) and not re.search(r"\d", cell)


def choose_columns(row: Sequence[str], below: Sequence[Sequence[str]], columns: Columns) -> Chosen:
    """Return the columns of ids, sequences and labels: those that the user gave, else by usual names, else by position.

    row: the first row, whose cells are names unless `columns.header` is False; below: some rows after it. Raises
    InputError, without the path, for a column that is not there or cannot be told.
    """
    names = [] if columns.header is False else [cell.strip() for cell in row]
    width = _used_width(row, below)
    notes: list[str] = []
    label = _index_of_label(columns, names, len(row), notes)
    by_position = 2 if width >= 3 else min(1, len(row) - 1)
    if columns.sequence:
        sequence = index_of(columns.sequence, "sequences", names, len(row), notes)
    else:
        taken = {label, index_of(columns.id, "ids", names, len(row), []) if columns.id else None}
        fitting = _fitting(names, _NAMES_BY_TYPE[columns.seq_type], taken, below, ("sequence", "seq"))
        sequence = fitting[0] if fitting else by_position
        notes += _about_choice("sequences", "seq_column", names, fitting, by_position)
        if not fitting:
            _refuse_doubtful_position(row, below, sequence, label, columns)
    if columns.id:
        return Chosen(index_of(columns.id, "ids", names, len(row), notes), sequence, label, tuple(notes))
    fitting = _fitting(names, _IDS, {sequence, label}, below)
    if not fitting and sequence == 0 and columns.sequence is None and len(row) > 1:
        raise InputError(
            f"the first column, {quoted(names[0] if names else '0')}, has the sequences, and no column has a usual "
            "name for ids, such as id, name or accession. Set id_column, or add a column of ids. "
            f"The file has: {_listed(names, len(row))}"
        )
    notes += _about_choice("ids", "id_column", names, fitting, 0)
    if not fitting and names and not names[0] and any(names[1:]):
        notes.append("ids are from the first column, which has no name; id_column chooses another")
    return Chosen(fitting[0] if fitting else 0, sequence, label, tuple(notes))


def _index_of_label(columns: Columns, names: Sequence[str], width: int, notes: list[str]) -> int | None:
    """Return the index of the column of labels, or None: none was asked for, or it is only in the metadata."""
    if not columns.label:
        return None
    try:
        return index_of(columns.label, "labels", names, width, notes)
    except InputError:
        if columns.label_optional:
            return None
        raise


def _used_width(row: Sequence[str], below: Sequence[Sequence[str]]) -> int:
    """Return the number of columns without empty ones at the end, as spreadsheets write them."""
    return max(
        (index + 1 for cells in (row, *below) for index, cell in enumerate(cells[: len(row)]) if cell.strip()),
        default=0,
    )


def _fitting(
    names: Sequence[str],
    known: Sequence[str],
    taken: set[int | None],
    below: Sequence[Sequence[str]],
    endings: tuple[str, ...] = (),
) -> list[int]:
    """Return the columns with usual names, the best name first, without those that have another use.

    A word such as `protein` is not a name where the cells below are such words, too.
    """
    rank = {name: number for number, name in enumerate(known)}
    plain = [plain_name(name) for name in names]
    # Such as `vh_seq`: after the names that are known.
    rank |= {name: len(rank) for name in plain if name not in rank and name.endswith(endings)}
    fitting = [index for index, name in enumerate(plain) if name in rank and index not in taken]
    fitting = [
        index
        for index in fitting
        if plain[index] not in _KINDS
        or not any(plain_name(cells[index]) in _KINDS for cells in below if index < len(cells))
    ]
    return sorted(fitting, key=lambda index: (rank[plain[index]], index))


def _about_choice(
    purpose: str, option: str, names: Sequence[str], fitting: Sequence[int], by_position: int
) -> list[str]:
    """Return a note if another column could have been meant: by its name, or by the position that was the default."""
    if not fitting:
        return []
    chosen, *others = fitting
    also = [f"{quoted(names[index])} (column {index})" for index in others]
    doubts = [f"although {', '.join(also)} would fit too"] if also else []
    if chosen != by_position and by_position not in others:
        other = quoted(names[by_position]) if names[by_position] else "the one without a name"
        doubts.append(f"not from {other} (column {by_position}) by position")
    if not doubts:
        return []
    taken = f"{purpose} are from {quoted(names[chosen])} (column {chosen}, counted from 0) by its name"
    return [f"{taken}, {' and '.join(doubts)}; {option} chooses another"]


def _refuse_doubtful_position(
    row: Sequence[str], below: Sequence[Sequence[str]], sequence: int, label: int | None, columns: Columns
) -> None:
    """Raise InputError if the column of sequences by position has labels, or another column plainly has sequences."""
    names = [] if columns.header is False else [cell.strip() for cell in row]
    there = f"Set seq_column. The file has: {_listed(names, len(row))}"
    if sequence == label:
        raise InputError(f"no column has a usual name for sequences, and that by position has the labels. {there}")
    records = [row, *below] if columns.header is False else below
    like = [
        [looks_like_sequence(cells[index]) for cells in records if index < len(cells) and cells[index].strip()]
        for index in range(len(row))
    ]
    if like[sequence] and not any(like[sequence]):
        others = [index for index, found in enumerate(like) if index != sequence and found and all(found)]
        if others:
            this, other = (quoted(names[index]) if names else str(index) for index in (sequence, others[0]))
            raise InputError(
                f"no column has a usual name for sequences. By position they would be in column {this}, but the cells "
                f"of column {other} look more like sequences. {there}"
            )


def index_of(name: str, purpose: str, names: Sequence[str], width: int, notes: list[str]) -> int:
    """Return the index of a column that is given by name, or else by number. Raises InputError if there is none.

    A name that several columns have means the first, which a note says; one that no column has may differ in case.
    """
    found = [index for index, each in enumerate(names) if each == name]
    if not found and _is_index(name) and -width <= int(name) < width:
        return int(name) % width
    found = found or [index for index, each in enumerate(names) if each and plain_name(each) == plain_name(name)]
    if not found:
        raise InputError(f"no column {quoted(name)} for the {purpose}. The file has: {_listed(names, width)}")
    if len(found) > 1:
        notes.append(f"{len(found)} columns are called {quoted(name)}; {purpose} are from the first, column {found[0]}")
    return found[0]


def _is_index(name: str) -> bool:
    return name.lstrip("-").isdecimal()


def _listed(names: Sequence[str], width: int) -> str:
    return shown(", ".join(names) if names else f"{width} columns without names, numbered from 0")
