#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# vim with backup, swap and undo files, nano and vim on a terminal, ed.
set -euo pipefail
exec >transcript 2>transcript.err
export HOME=$PWD/.home TERM=vt100
mkdir "$HOME"
vi() { vim -es -u NONE -i NONE "$@"; }
typed() { python3 "${0%/*}/typed.py" "$@"; }
there() { find . -maxdepth 1 -printf '%P %m %n\n' | sort; }

vi -c 'set backup writebackup swapfile fsync' -c '%s/make/MAKE/g' -c wq README.md
there
vi -c 'set backup backupcopy=no backupext=.kept' -c '%s/MAKE/make/g' -c x README.md
vi -c 'set backup backupcopy=yes backupext=.copied' -c 'normal Goend' -c x README.md
vi -c 'set undofile undodir=.' -c 'normal ihello' -c 'w! new.txt' -c 'e Makefile' -c 'normal dd' -c wq README.md
there
vi -c 'set swapfile directory=.' -c 'normal Golost' -c preserve -c 'silent !cp .Makefile.swp swap' -c 'q!' Makefile
cp swap .Makefile.swp
# It says that the file may have changed since.
vi -c recover -c 'w! recovered' -c 'q!' Makefile || echo "vim: $?"
tail -n 1 recovered
rm -f .*.sw? swap
chmod 755 Makefile
typed '1Gdd:wq\r' vim -u NONE -i NONE README.md
head -n 2 README.md
typed 'itext\e|:w typed.txt\r|:split Makefile\r|:w\r|:qa!\r' vim -u NONE -i NONE
cat typed.txt
typed 'added \x0f|\r|\x18' nano --ignorercfiles -B -G Makefile
head -n 1 Makefile
cmp Makefile Makefile~ || true
typed 'fresh\x0f|fresh.txt\r|\x18' nano --ignorercfiles
cat fresh.txt
sed -i 's/fresh/stale/' fresh.txt
cat fresh.txt
# What vim keeps for undo holds the time.
rm -f .*.un~ -r "$HOME"
there
