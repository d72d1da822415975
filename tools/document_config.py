"""Write config/README.md from the two schemas, so that it cannot drift from them."""

from pathlib import Path
from typing import Any

from lucaflow.schemas import read_yaml

CONFIG = Path(__file__).resolve().parent.parent / "config"

HEAD = """# Configuration

LucaFlow reads one configuration file and one table of datasets. Every key of the configuration has a default, so a file
names only what differs:

```yaml
datasets: my_datasets.tsv
model:
  llm_version: mini
embedding:
  outputs: [mean, matrix]
```

Give it with `--configfile my.yaml`. An unknown key is refused, with the nearest known one. Relative paths start at the
working directory.

*This page is written from the schemas in `config/schemas` by `make docs`.*
"""

DATASETS = """
## The table of datasets

Tab-separated, one row for each file of sequences. Lines that start with `#` are comments.

```
dataset	path	seq_type	label_column
swissprot	/data/uniprot_sprot.fasta.gz	prot
plasmids	plasmids.csv	gene	host
```

FASTA ids are the first word of a header line. A CSV or TSV file has its ids in the first column and its sequences in
the third of three or more columns, else in the second, unless the table says otherwise. Ids are text and stay as they
are. The format of a file is recognised by its content; gzip, bzip2, xz and Zstandard are unpacked on the way. More on
[inputs](../docs/inputs.md).
"""


RECORDS = """
## What becomes of each record

`results/<dataset>/records.tsv` has a row for every record of the input:

| column | meaning |
|---|---|
| `record`, `line` | its number, and the line of the file it starts on |
| `id`, `description` | as in the input; the description is the rest of a FASTA header |
| `seq_type` | `gene` or `prot` |
| `pair`, `side` | of a file of pairs: the pair's number, and `a` or `b` |
| `status` | `accepted`, `duplicate` (of an accepted record with the same id and sequence) or `dropped` |
| `reason` | why, where there is something to say |
| `length` | residues after normalising |
| `changed` | characters altered or removed: lower case, U in genes, blanks, stops at the end, what a policy changed |
| `digest` | hex SHA-256 of `gene` or `prot`, a line feed and the normalised sequence |

A sequence is normalised to upper case, without blanks and stops (`*`) at its end, genes with T for U. Every letter A to
Z is a residue code; LucaOne reads nucleotides other than A, C, G, T and U as unknown. A dataset with a record that
cannot be used is refused, and `results/<dataset>/problems.tsv` lists every problem found.
"""


COMING_FROM = """
## Coming from LucaOneApp, LucaOneTasks or the hosted service

Where LucaOne has a name for an option, LucaFlow keeps it. What their options are here:
"""


def shown(value: Any) -> str:
    """Return a value as YAML writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return str(value)


def values(schema: dict[str, Any]) -> str:
    """Say in a few words which values a key takes."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"any of {values(schema['items'])}"
    if "oneOf" in schema:
        return " or ".join(f"`{part['const']}`" if "const" in part else values(part) for part in schema["oneOf"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "`true` or `false`"}
    return " or ".join("`null`" if kind == "null" else words[kind] for kind in kinds)


def row(name: str, schema: dict[str, Any], default: str) -> str:
    description = " ".join(schema["description"].split())
    return f"| `{name}` | {values(schema)} | {default} | {description} |"


def config_section(schema: dict[str, Any]) -> list[str]:
    """Return a table for each group of keys, the ones on top level first."""
    properties = schema["properties"]
    groups = {name: inner for name, inner in properties.items() if inner.get("type") == "object"}
    single = {name: inner for name, inner in properties.items() if name not in groups}
    head = ["", "| key | values | default | meaning |", "|---|---|---|---|"]
    lines = [
        "",
        "## Keys",
        *head,
        *(row(name, inner, f"`{shown(inner['default'])}`") for name, inner in single.items()),
    ]
    for group, outer in groups.items():
        lines += ["", f"### `{group}`", "", " ".join(outer["description"].split()), *head]
        lines += [
            row(f"{group}.{name}", inner, f"`{shown(inner['default'])}`") for name, inner in outer["properties"].items()
        ]
    return lines


def datasets_section(schema: dict[str, Any]) -> list[str]:
    """Return the table of columns."""
    lines = ["| column | values | default | meaning |", "|---|---|---|---|"]
    for name, inner in schema["properties"].items():
        default = f"`{inner['default']}`" if "default" in inner else "required" if name in schema["required"] else ""
        lines.append(row(name, inner, default))
    return lines


def options_section(options: list[dict[str, str]]) -> list[str]:
    """Return the table of LucaOne's options."""
    lines = ["", "| there | here | what differs, and why |", "|---|---|---|"]
    return lines + [
        f"| {option['there']} | {option['here']} | {' '.join(option['differs'].split())} |" for option in options
    ]


def page() -> str:
    """Return the whole page."""
    config = config_section(read_yaml(CONFIG / "schemas/config.schema.yaml"))
    datasets = datasets_section(read_yaml(CONFIG / "schemas/datasets.schema.yaml"))
    options = options_section(read_yaml(CONFIG / "schemas/lucaone_options.yaml"))
    parts = [HEAD.rstrip(), *config, DATASETS.rstrip(), "", *datasets, RECORDS.rstrip(), COMING_FROM.rstrip(), *options]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (CONFIG / "README.md").write_text(page(), encoding="utf-8")
