"""Draw the figure of docs/windows.md: the positions of windows, and the rows that each of them contributes."""

from pathlib import Path

from lucaflow.report.comparisons import draw_windows

if __name__ == "__main__":
    draw_windows(1000, 300, Path(__file__).resolve().parent.parent / "docs/images/windows.png")
