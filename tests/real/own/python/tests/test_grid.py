# SPDX-License-Identifier: MIT OR Apache-2.0
import json
import multiprocessing
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

import grid

HERE = Path(__file__).resolve().parent


class Grid(unittest.TestCase):
    def test_levels(self):
        self.assertEqual(grid.levels(), {"one": 7, "two": 1})

    def test_bad_width(self):
        with self.assertRaises(ValueError):
            grid._flood.reached(b"@", 0, 0)

    def test_imported_from_where_it_is(self):
        self.assertTrue(Path(grid._flood.__file__).is_file())

    def test_runs_as_a_module(self):
        out = subprocess.run([sys.executable, "-m", "grid"], capture_output=True, text=True, check=True)
        self.assertEqual(out.stdout, "one 7\ntwo 1\n")


class Files(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(dir=HERE))
        self.addCleanup(shutil.rmtree, self.dir)

    def test_archive(self):
        (self.dir / "in" / "deep").mkdir(parents=True)
        (self.dir / "in" / "deep" / "a.json").write_text(json.dumps([1, 2]))
        archive = shutil.make_archive(str(self.dir / "all"), "zip", self.dir / "in")
        self.assertIn("deep/a.json", zipfile.ZipFile(archive).namelist())
        shutil.copytree(self.dir / "in", self.dir / "out")
        self.assertEqual(json.loads((self.dir / "out/deep/a.json").read_text()), [1, 2])

    def test_database(self):
        path = self.dir / "levels.db"
        with sqlite3.connect(path) as base:
            base.execute("pragma journal_mode=wal")
            base.execute("create table level(name text, cells int)")
            base.executemany("insert into level values(?, ?)", grid.levels().items())
        with sqlite3.connect(path) as base:
            self.assertEqual(base.execute("select sum(cells) from level").fetchone(), (8,))
            self.assertEqual(base.execute("pragma integrity_check").fetchone(), ("ok",))

    def test_workers(self):
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            texts = [path.read_text() for path in sorted(grid.LEVELS.glob("*.txt"))]
            self.assertEqual(pool.map(grid.reached, texts), [7, 1])


if __name__ == "__main__":
    unittest.main()
