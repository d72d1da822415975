"""Test and measure LucaFlow on this machine's GPU, and write one page about it.

    make gpu [OUT=gpu.md] [PARTS=numbers,jobs] [PYTHON=python3]

Needs only torch, h5py and numpy, and takes at most 12 minutes. The page is written anew after each part. Each part is a
process of its own with a time limit, so that one that fails, hangs or loses the GPU does not end the others. Without a
GPU, small forms of the same parts run on the processor. The exit code is 1 if a part failed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
NEEDED = ("torch", "h5py", "numpy")
MOST_MINUTES = 12.0
# What a part needs at least; with less time left it is not started.
_LEAST_SECONDS = 10


@dataclass(frozen=True)
class Part:
    """A part of the page. functions: names as `module:function` of what gives its rows; limit: in seconds."""

    name: str
    title: str
    functions: tuple[str, ...]
    limit: float


PARTS = (
    Part("versions", "Versions and card", ("versions:versions",), 60),
    Part("numbers", "Numbers: tests/gpu", ("checks_of_numbers:CHECKS",), 150),
    Part("jobs", "Jobs: tests/gpu", ("checks_of_jobs:CHECKS",), 150),
    Part("attention", "Attention of a long sequence", ("long_attention:one_layer", "long_attention:attention"), 120),
    Part("bfloat16", "The full network in bfloat16, random weights", ("throughput:in_bfloat16",), 120),
    Part("tfloat32", "The full network in TensorFloat32, random weights", ("throughput:in_tfloat32",), 120),
    Part("terms", "Where the time goes, in bfloat16", ("kernel_times:terms",), 90),
    Part("runs", "Few lengths against many, in bfloat16", (
        "throughput:few_runs_against_many", "throughput:real_proteins", "kernel_times:forms_of_attention",
        "throughput:one_pass",
    ), 90),
    Part("matrices", "Matrices through the writer, in bfloat16", ("storing:matrices",), 90),
    Part("loading", "Loading", ("storing:loading",), 90),
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a part. rows: what was measured, and what was found; problem: why it failed, if it did."""

    part: Part
    rows: Sequence[tuple[str, str]]
    seconds: float
    problem: str | None = None

    def text(self) -> str:
        """Return the part's section of the page."""
        rows = "".join(f"| {_cell(what)} | {_cell(found)} |\n" for what, found in self.rows)
        table = f"| | |\n|---|---|\n{rows}\n" if rows else ""
        problem = f"**Failed**: {self.problem}\n\n" if self.problem else ""
        return f"## {self.part.title}\n\n{table}{problem}`{self.part.name}`: {self.seconds:.0f} s\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def run_part(part: Part, device: str, log: Path, limit: float) -> Outcome:
    """Run a part in a process of its own, and end it after `limit` seconds with all that it started.

    log: the file that gets its messages.
    """
    started = time.monotonic()
    # Files of a process that is killed stay, so this process removes them.
    with tempfile.TemporaryDirectory() as folder, log.open("ab") as errors:
        place = errors.tell()
        found = Path(folder) / "rows"
        command = [sys.executable, str(HERE / "gpu_part.py"), device, str(found), *part.functions]
        environment = {**os.environ, "TMPDIR": folder, "OMP_WAIT_POLICY": "passive", "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(command, stdout=errors, stderr=errors, env=environment, start_new_session=True)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        rows = [json.loads(line) for line in found.read_text().splitlines()] if found.exists() else []
    said = log.read_bytes()[place:].decode(errors="replace").strip().splitlines()
    problem = None
    if code is None:
        problem = f"not finished after {limit:.0f} s"
    elif code:
        names = [what for what, _, good in rows if not good]
        last = said[-1] if said else "no message"
        problem = ", ".join(names) if names else f"exit code {code}: {last}"
    return Outcome(part, [(what, value) for what, value, _ in rows], time.monotonic() - started, problem)


def page(outcomes: Sequence[Outcome], waiting: Sequence[Part]) -> str:
    """Return the page: a summary, a section for each part that ran, and the names of those to come."""
    failed = [outcome.part.name for outcome in outcomes if outcome.problem]
    said = f"{len(outcomes)} parts, {sum(outcome.seconds for outcome in outcomes):.0f} s; "
    said += f"failed: {', '.join(failed)}" if failed else "none failed"
    if waiting:
        said += f"; not run yet: {', '.join(part.name for part in waiting)}"
    rows = dict(row for outcome in outcomes for row in outcome.rows)
    heading = f"# LucaFlow on this device: {rows.get('device', 'not known')}"
    return "\n".join([f"{heading}\n\n{said}\n", *(outcome.text() for outcome in outcomes)])


def write_page(path: Path, text: str) -> None:
    """Write the page, so that it is whole at any moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def run(parts: Sequence[Part], device: str, out: Path, minutes: float = MOST_MINUTES) -> list[Outcome]:
    """Run parts in turn, print the section of each, and write the page after each."""
    log = out.with_suffix(".log")
    log.write_bytes(b"")
    end = time.monotonic() + 60 * minutes
    outcomes: list[Outcome] = []
    for number, part in enumerate(parts, start=1):
        left = end - time.monotonic()
        if left < _LEAST_SECONDS:
            outcomes.append(Outcome(part, [], 0.0, f"not run: the {minutes:g} minutes were over"))
        else:
            outcomes.append(run_part(part, device, log, min(part.limit, left)))
        print(outcomes[-1].text(), flush=True)
        write_page(out, page(outcomes, parts[number:]))
    return outcomes


def chosen(names: str) -> list[Part]:
    """Return the parts of these names, separated by commas; all of them for an empty text."""
    wanted = [name for name in names.split(",") if name]
    if unknown := set(wanted) - {part.name for part in PARTS}:
        sys.exit(f"PARTS: expected some of {','.join(part.name for part in PARTS)}, not {', '.join(sorted(unknown))}")
    return [part for part in PARTS if not wanted or part.name in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu.md"))
    parser.add_argument("--parts", default="", help="names, separated by commas; all of them by default")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    arguments = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit(f"Python {sys.version.split()[0]} is too old. Name another one: make gpu PYTHON=/path/to/python3.11")
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        sys.exit(
            f"{sys.executable} has no {', '.join(missing)}. Install it, or name another Python: make gpu PYTHON=..."
        )
    outcomes = run(chosen(arguments.parts), arguments.device, arguments.out)
    print(page(outcomes, []).splitlines()[2])
    print(f"The page is {arguments.out}; {arguments.out.with_suffix('.log')} has the messages of its parts.")
    sys.exit(any(outcome.problem for outcome in outcomes))


if __name__ == "__main__":
    main()
