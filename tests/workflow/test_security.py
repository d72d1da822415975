"""Names that would do harm in a shell, a path or a page are names; files have the access that the umask says."""

from __future__ import annotations

import stat
import subprocess

from lucaflow import open_embeddings

HARM = "$(touch pwned)`touch pwned`;touch pwned|&<script>alert(1)</script>'\""
IDS = [HARM, "../../../../pwned", "/etc/passwd", "..", "{config}", "%s", "a\\nb", "x" * 400, "-rf", "~"]
LABELS = [HARM, "{wildcards.x}", "=1+1"]


def test_harmful_names(workflow):
    rows = [
        f'"{name.replace(chr(34), chr(34) * 2)}",{"MKVLAW" + "KRDE"[i % 4] * (i + 1)}' for i, name in enumerate(IDS)
    ]
    labels = [f'"{LABELS[i % 3].replace(chr(34), chr(34) * 2)}"' for i in range(len(IDS))]
    lines = ["id,sequence,kind", *(f"{row},{label}" for row, label in zip(rows, labels, strict=True))]
    name = "$(touch pwned); touch pwned 'x'.csv"
    workflow.write(name, "\n".join(lines) + "\n")
    workflow.datasets({"dataset": "p", "path": name, "seq_type": "prot", "seq_column": "1", "label_column": "kind"})
    workflow.config |= {"embedding": {"outputs": ["matrix", "mean"]}}
    command = workflow.command("--printshellcmds")
    done = subprocess.run(
        ["sh", "-c", 'umask 027; exec "$@"', "sh", *command],
        cwd=workflow.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    with open_embeddings(workflow.result("p", "embeddings.h5")) as embeddings:
        assert list(embeddings) == IDS
        assert all(embeddings[identifier]["matrix"].shape[0] >= 7 for identifier in IDS)
    assert not list(workflow.directory.rglob("pwned"))
    assert not list(workflow.directory.parent.glob("pwned"))
    page = workflow.result("p", "figures/map.html").read_text()
    assert "<script>alert" not in page
    results = [path for path in (workflow.directory / "results").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in results if not path.name.startswith(".")} == {0o640}
    report = workflow.run("--report", "report.html").succeeded()
    assert report
    assert "<script>alert(1)" not in (workflow.directory / "report.html").read_text()
