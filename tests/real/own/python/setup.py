# SPDX-License-Identifier: MIT OR Apache-2.0
"""A package with a module in C, data, a console script and tests."""
from setuptools import Extension, find_packages, setup

setup(
    name="grid",
    version="0.2.0",
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={"grid": ["levels/*.txt"]},
    ext_modules=[Extension("grid._flood", ["src/grid/_flood.c"], depends=["src/grid/flood.h"])],
    entry_points={"console_scripts": ["grid = grid.__main__:main"]},
)
