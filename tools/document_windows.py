"""Draw the figure of docs/windows.md: how windows lie, and which rows of each are kept."""

from pathlib import Path

from lucaflow.report.comparisons import draw_windows

if __name__ == "__main__":
    draw_windows(1000, 300, Path(__file__).resolve().parent.parent / "docs/images/windows.png")
