"""Write config/README.md from the schemas, so that the page always agrees with them."""

from pathlib import Path
from typing import Any

from lucaflow.schemas import read_yaml

CONFIG = Path(__file__).resolve().parent.parent / "config"

HEAD = """# Configuration

LucaFlow reads one configuration file and one table of datasets. Every key of the configuration has a default, so your
file lists only the keys that you change:

```yaml
datasets: my_datasets.tsv
model:
  llm_version: mini
embedding:
  outputs: [mean, matrix]
```

Pass the file with `--configfile my.yaml`. An unknown key is an error; the message suggests the most similar known key.
Relative paths start at the working directory.

*`make docs` writes this page from the schemas in `config/schemas`.*
"""

DATASETS = """
## The table of datasets

The table is tab-separated and has one row for each sequence file. Lines that start with `#` are comments.

```
dataset	path	seq_type	label_column
swissprot	/data/uniprot_sprot.fasta.gz	prot
plasmids	plasmids.csv	gene	host
```

A FASTA id is the first word of a header line. In a CSV or TSV file, the names in the header say which columns are read.
Sequences are in `sequence`, `seq`, `protein`, `dna` and the like. Ids are in `id`, `accession`, `entry`, `name` and the
like. Without such names the ids are in the first column, and the sequences in the third column of a file with three or
more columns, otherwise in the second. `id_column` and `seq_column` choose other columns. Ids are text and stay as they
are. LucaFlow recognises the format of a file by its content. Files may be compressed with gzip, bzip2, xz or Zstandard.
See also [inputs](../docs/inputs.md).
"""


RECORDS = """
## The outcome of each record

`results/<dataset>/records.tsv` has one row for each record of the input:

| column | meaning |
|---|---|
| `record`, `line` | the number of the record, and the line of the file where it starts |
| `id`, `description` | as in the input; the description is the rest of a FASTA header after the id |
| `seq_type` | `gene` or `prot` |
| `pair`, `side` | for a file of pairs: the number of the pair, and `a` or `b` |
| `status` | `accepted`, `duplicate` (of an accepted record with the same id and sequence) or `dropped` |
| `reason` | the reason for the status, or empty |
| `length` | number of residues after normalising |
| `changed` | characters changed or removed: lower case, U in genes, blanks, stops at the end, or by a policy |
| `digest` | SHA-256 (hexadecimal) of `gene` or `prot`, a line feed and the normalised sequence |

Normalising changes a sequence to upper case, removes blanks and the stops (`*`) at its end, and replaces U by T in
genes. Every letter A to Z is a residue code; LucaOne reads nucleotides other than A, C, G, T and U as unknown. An
unusable record stops its dataset, and `results/<dataset>/problems.tsv` lists every problem found.
"""


COMING_FROM = """
## Coming from LucaOneApp, LucaOneTasks or the hosted service

LucaFlow keeps LucaOne's name of an option where there is one. This table gives the counterpart of each option:
"""


def as_yaml(value: Any) -> str:
    """Return a value as YAML writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(as_yaml, value))}]"
    return str(value)


def values(schema: dict[str, Any]) -> str:
    """Return a short description of the values that a key accepts."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"any of {values(schema['items'])}"
    if "oneOf" in schema:
        return " or ".join(f"`{part['const']}`" if "const" in part else values(part) for part in schema["oneOf"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "object": "a mapping",
        "boolean": "`true` or `false`",
    }
    return " or ".join("`null`" if kind == "null" else words[kind] for kind in kinds)


def row(name: str, schema: dict[str, Any], default: str) -> str:
    description = " ".join(schema["description"].split())
    return f"| `{name}` | {values(schema)} | {default} | {description} |"


def config_section(schema: dict[str, Any]) -> list[str]:
    """Return a table for each group of keys, after one for the keys at top level."""
    properties = schema["properties"]
    groups = {name: inner for name, inner in properties.items() if "properties" in inner}
    single = {name: inner for name, inner in properties.items() if name not in groups}
    head = ["", "| key | values | default | meaning |", "|---|---|---|---|"]
    lines = [
        "",
        "## Keys",
        *head,
        *(row(name, inner, f"`{as_yaml(inner['default'])}`") for name, inner in single.items()),
    ]
    for group, outer in groups.items():
        lines += ["", f"### `{group}`", "", " ".join(outer["description"].split()), *head]
        lines += [
            row(f"{group}.{name}", inner, f"`{as_yaml(inner['default'])}`")
            for name, inner in outer["properties"].items()
        ]
    return lines


def datasets_section(schema: dict[str, Any]) -> list[str]:
    """Return the table of the columns of datasets.tsv."""
    lines = ["| column | values | default | meaning |", "|---|---|---|---|"]
    for name, inner in schema["properties"].items():
        default = f"`{inner['default']}`" if "default" in inner else "required" if name in schema["required"] else ""
        lines.append(row(name, inner, default))
    return lines


def options_section(options: list[dict[str, str]]) -> list[str]:
    """Return the table of LucaOne's options and their counterparts."""
    lines = ["", "| LucaOne's option | in LucaFlow | difference and reason |", "|---|---|---|"]
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
