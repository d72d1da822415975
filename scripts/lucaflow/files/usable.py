"""Can a file of the user be read? Nothing here waits, as opening a named pipe would."""

from __future__ import annotations

import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def why_unusable(path: Path) -> str:
    """Return why a file cannot be read, or an empty text. It must be a regular file: a pipe or a device may never end.

    >>> why_unusable(Path("/dev/zero"))
    'is not a regular file but a device'
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return f"is not a regular file but {_KINDS.get(stat.S_IFMT(mode), 'something else')}"
        with path.open("rb"):
            return ""
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    # Python's only ValueError for a path.
    except ValueError:
        return "has a NUL character in its path"
