"""A job imports only the large packages that it needs: each takes up to two seconds, in every job of a run."""

import ast
import os
import re
import subprocess
import sys

import pytest
from workflow_runs import ROOT

LARGE = {
    "Bio", "bokeh", "h5py", "huggingface_hub", "jsonschema", "matplotlib", "numpy", "openTSNE", "pandas", "pyarrow",
    "requests", "scipy", "sklearn", "torch", "tqdm",
}  # fmt: skip
# The scripts of a chain are imported in one process, in this order. The packages named for a group of scripts may be
# loaded from there on. `rules` are the imports of the rules, for planning. numpy is allowed there, since Snakemake's
# plugin for SLURM loads it as well.
CHAINS = (
    {
        "": "summarise",
        "numpy": "normalize plan_heads convert_checkpoint rules",
        "h5py": "export_hdf5 export_npy list_unused verify_results",
        "pandas pyarrow": "assemble export_table divide",
        "matplotlib bokeh": "compare_models draw",
        "huggingface_hub requests tqdm": "fetch_checkpoint",
    },
    {
        "h5py numpy torch tqdm": "embed embed_for_heads prove_checkpoint",
        "pandas pyarrow": "export_lucaone score_part search search_part",
        "matplotlib": "compare_precisions compare_stitchings predict train score",
    },
)


def imports_of(name: str) -> list[str]:
    """Return the import statements of a script, or of all rules, that run when it is loaded."""
    if name == "rules":
        texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").rglob("*.smk"))]
        return [line for text in texts for line in re.findall(r"^(?:import|from) lucaflow.*", text, re.MULTILINE)]
    statements = ast.parse((ROOT / f"scripts/{name}.py").read_text(encoding="utf-8")).body
    return [ast.unparse(node) for node in statements if isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.mark.parametrize("chain", CHAINS, ids=["without a network", "with a network"])
def test_large_packages_are_imported_only_where_they_are_needed(chain):
    code = ["import sys"]
    for scripts in chain.values():
        code += [line for name in scripts.split() for line in imports_of(name)]
        code.append("print(*sys.modules)")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    allowed = set()
    for (packages, scripts), loaded in zip(chain.items(), done.stdout.splitlines(), strict=True):
        allowed |= set(packages.split())
        assert LARGE & set(loaded.split()) <= allowed, scripts


def test_every_script_is_in_a_chain():
    named = sorted(name for chain in CHAINS for scripts in chain.values() for name in scripts.split())
    assert named == sorted(["rules", *(path.stem for path in (ROOT / "scripts").glob("*.py"))])


@pytest.mark.parametrize("first", [[], ["lucaflow.quick_start"]])
def test_a_job_does_without_the_search_for_cycles_only_while_it_imports(first, tmp_path):
    code = [
        "import gc",
        *(f"import {name}" for name in first),
        "from lucaflow.logs import reporting_to",
        "print(gc.isenabled())",
        f"with reporting_to({str(tmp_path / 'log')!r}): print(gc.isenabled())",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(not first), "True"]


def test_only_scripts_import_what_stops_the_search_for_cycles():
    users = [path for path in (ROOT / "scripts").rglob("*.py") if "import lucaflow.quick_start" in path.read_text()]
    assert {path.parent for path in users} == {ROOT / "scripts"}
    texts = [path.read_text(encoding="utf-8") for path in users]
    assert all(re.search(r"^import \S+|^from \S+", text, re.MULTILINE)[0].endswith("quick_start") for text in texts)
