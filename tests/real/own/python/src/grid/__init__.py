# SPDX-License-Identifier: MIT OR Apache-2.0
"""Levels of a game on a grid."""
from pathlib import Path

from . import _flood

LEVELS = Path(__file__).parent / "levels"


def reached(text):
    lines = text.splitlines()
    cells = "".join(lines)
    return _flood.reached(cells.encode(), len(lines[0]), cells.index("@"))


def levels():
    return {path.stem: reached(path.read_text()) for path in sorted(LEVELS.glob("*.txt"))}
