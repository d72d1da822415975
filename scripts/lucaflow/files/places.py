"""Does a name that was read from a file lead to a place inside the folder that it belongs to?

Such a name decides what is read or removed, and the file may be damaged or forged.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from lucaflow.errors import quoted

# Characters with which a name in a list would be another one.
_NEVER = frozenset("\0\n\r")


def inside(folder: Path, name: str, *, links: bool = True, printable: bool = True) -> Path:
    r"""Return the path of a name from a file. Raises ValueError if it leads out of `folder`, or is not a file name.

    links: whether links are followed, which needs the disk: a link must not lead out either. Without, only the text of
    the name counts, as for a file that is not removed. printable: whether the name must consist of characters that can
    be shown; ids, which name exported files, may have others.

    >>> inside(Path("results/p"), "mini-1/embeddings.h5").as_posix()
    'results/p/mini-1/embeddings.h5'
    >>> inside(Path("results/p"), "../../notes.txt")
    Traceback (most recent call last):
    ...
    ValueError: '../../notes.txt' is not a file inside results/p
    """
    plain = PurePosixPath(name)
    path = folder / plain
    if (
        not plain.parts
        or plain.is_absolute()
        or ".." in plain.parts
        or set(name) & _NEVER
        or (printable and not name.isprintable())
        or (links and not path.resolve().is_relative_to(folder.resolve()))
    ):
        raise ValueError(f"{quoted(name)} is not a file inside {folder}")
    return path
