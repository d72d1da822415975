"""Draw the figure of docs/design.md: the way of a sequence through the rules, and the files between them."""

from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT = 150, 56
STEP_X, STEP_Y, LEFT, TOP = 180, 110, 10, 20
STYLE = (
    ".t{font-size:14px;text-anchor:middle;fill:#1a2733}.s{font-size:11px;text-anchor:middle;fill:#50606e}"
    ".a{stroke:#3b5b7a;stroke-width:1.5;fill:none;marker-end:url(#h)}"
)
ARROW = (
    '<defs><marker id="h" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 L8 4 L0 8 z" fill="#3b5b7a"/></marker></defs>'
)


@dataclass(frozen=True)
class Box:
    """A rule, or files. column, row: of the grid, from 0."""

    column: int
    row: int
    title: str
    words: str
    is_rule: bool = False

    @property
    def x(self) -> int:
        return LEFT + self.column * STEP_X

    @property
    def y(self) -> int:
        return TOP + self.row * STEP_Y


BOXES = (
    Box(0, 0, "your files", "FASTA, CSV, TSV"),
    Box(1, 0, "normalize", "no record is lost", is_rule=True),
    Box(2, 0, "records.tsv", "distinct.fasta"),
    Box(4, 0, "shards of text", "named by their content"),
    Box(0, 1, "checkpoint", "Hub, server or local"),
    Box(1, 1, "fetch, convert", "verified, no pickle runs", is_rule=True),
    Box(2, 1, "model.safetensors", "one for all users"),
    Box(3, 1, "embed", "a job and a GPU each", is_rule=True),
    Box(4, 1, "shards of results", "resumed, checksums"),
    Box(4, 2, "assemble", "reads all of it back", is_rule=True),
    Box(3, 2, "embeddings.h5", "vectors; links to matrices"),
    Box(2, 2, "search, draw, export", "verified embeddings", is_rule=True),
    Box(1, 2, "maps, neighbours", "groups, exports"),
    Box(0, 3, "your labels", "a column, or metadata"),
    Box(1, 3, "divide, train", "by clusters; baselines", is_rule=True),
    Box(2, 3, "downstream models", "yours, or published ones"),
    Box(3, 3, "plan_heads, predict", "on its own embedding", is_rule=True),
    Box(4, 3, "predictions", "LucaOneTasks' tables"),
    Box(0, 4, "your variants", "as ProteinGym has them"),
    Box(1, 4, "score", "passes that hide residues", is_rule=True),
    Box(2, 4, "scores", "of sequences, of variants"),
    Box(3, 4, "summarise", "compares all counts", is_rule=True),
    Box(4, 4, "overview.html", "overview.tsv, the report"),
)
# From the middle of a side to the middle of another, in pixels.
LINES = (
    *("M160 48 L188 48", "M340 48 L368 48", "M520 48 L728 48"),
    *("M160 158 L188 158", "M340 158 L368 158", "M520 158 L548 158", "M700 158 L728 158"),
    *("M775 76 L775 103 L625 103 L625 128", "M805 186 L805 238"),
    *("M730 268 L702 268", "M550 268 L522 268", "M370 268 L342 268"),
    *("M160 378 L188 378", "M340 378 L368 378", "M520 378 L548 378", "M700 378 L728 378"),
    # Trainings and predictions read the shards themselves.
    *("M880 158 L892 158 L892 323 L625 323 L625 348", "M892 323 L265 323 L265 348"),
    *("M160 488 L188 488", "M340 488 L368 488", "M520 488 L548 488", "M700 488 L728 488"),
    "M805 406 L805 433 L625 433 L625 458",
    # The weights, with the head of the language model.
    "M420 186 L420 213 L355 213 L355 433 L265 433 L265 458",
)
LEGEND = ((True, "rules: their jobs run anywhere"), (False, "files, complete or not there"))


def shape(box: Box) -> str:
    """Return a box with its words: rules are round and blue."""
    looks = ("16", "#dbe9f6") if box.is_rule else ("3", "#ffffff")
    middle = box.x + WIDTH // 2
    return (
        f'<rect x="{box.x}" y="{box.y}" width="{WIDTH}" height="{HEIGHT}" rx="{looks[0]}" fill="{looks[1]}" '
        f'stroke="#3b5b7a"/><text x="{middle}" y="{box.y + 24}" class="t">{box.title}</text>'
        f'<text x="{middle}" y="{box.y + 43}" class="s">{box.words}</text>'
    )


def legend() -> list[str]:
    """Return what the two looks of boxes mean."""
    lines = []
    for number, (is_rule, words) in enumerate(LEGEND):
        x, looks = 10 + 230 * number, ("8", "#dbe9f6") if is_rule else ("2", "#ffffff")
        lines.append(
            f'<rect x="{x}" y="540" width="26" height="18" rx="{looks[0]}" fill="{looks[1]}" stroke="#3b5b7a"/>'
            f'<text x="{x + 34}" y="553" class="s" style="text-anchor:start">{words}</text>'
        )
    return lines


def picture() -> str:
    """Return the figure as SVG."""
    lines = [f'<path d="{line}" class="a"/>' for line in LINES]
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 570" font-family="Helvetica, Arial, sans-serif">'
    ground = '<rect width="900" height="570" fill="#ffffff"/>'
    title = "<title>The way of a sequence through LucaFlow</title>"
    parts = [head, title, f"<style>{STYLE}</style>", ARROW, ground, *lines, *map(shape, BOXES), *legend(), "</svg>"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).resolve().parent.parent / "docs/images/design.svg").write_text(picture(), encoding="utf-8")
