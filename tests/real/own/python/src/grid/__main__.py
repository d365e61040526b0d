# SPDX-License-Identifier: MIT OR Apache-2.0
from grid import levels


def main():
    for name, cells in levels().items():
        print(name, cells)


if __name__ == "__main__":
    main()
