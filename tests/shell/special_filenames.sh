#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a name is any bytes but '/' and NUL, up to 255 of them: in the tree, in the view, through
# every tool and through vrift's own commands.
. "${0%/*}/lib.sh"

# One name a line, in printf's notation.
names() {
    cat <<'END'
with space
 leading and trailing 
new\nline
\n
tab\there
"double"
'single'
back\\slash
dollar$HOME `cmd` $(cmd)
star*?[a]
-rf
--help
~
#hash
;semi&amp|pipe>out
percent%%s
caf\303\251
\346\227\245\346\234\254
\377\376invalid
\001\033[31m
...
.hidden
a:b=c,d@e
END
}
each() { # FUNCTION: calls it with each name in $name
    names | while IFS= read -r escaped; do
        name=$(printf -- "${escaped}x") && name=${name%x}
        "$1"
    done
}
put() { printf '%s' "$name" >"./$name" && mkdir "sub/$name" && ln -s "../$name" "links/$name"; }
tree() { mkdir sub links && each put; }

check_one() {
    is "$(cat -- "$name"; echo x)" "${name}x" "read: $escaped"
    is "$(cat "links/$name"; echo x)" "${name}x" "through a symlink: $escaped"
    printf new >"sub/$name/$name"
    is "$(cat "sub/$name/$name")" new "created: $escaped"
    is "$("$BIN/call" realpath "sub/$name"; echo x)" "$VIEW/sub/$name
x" "realpath: $escaped"
    mv -- "$name" moved && mv -- moved "moved $name"
    is "$(cat "moved $name"; echo x)" "${name}x" "renamed: $escaped"
    cp -- "moved $name" "$name" && rm -- "moved $name"
}
lengths() {
    n255=$(printf '%0255d' 0) n256=${n255}0
    expect 0 open "$n255" 'O_WRONLY|O_CREAT' 644
    expect 0 stat "$n255"
    expect ENAMETOOLONG open "$n256" 'O_WRONLY|O_CREAT' 644
    expect ENAMETOOLONG open "$n256" O_RDONLY
    expect ENAMETOOLONG stat "$n256"
    expect ENAMETOOLONG stat "$n256/x"
    expect ENAMETOOLONG mkdir "$n256" 755
    expect ENAMETOOLONG symlink x "$n256"
    expect ENAMETOOLONG rename "$n255" "$n256"
    expect ENAMETOOLONG unlink "$n256"
    # 255 is a number of bytes, not of characters: 85 of 3 bytes each.
    utf8=$(printf '\346\227\245%.0s' $(seq 85))
    expect 0 mkdir "$utf8" 755
    expect ENAMETOOLONG mkdir "${utf8}a" 755
    is "$(ls | grep -cx "$n255")" 1 'a name of 255 bytes is listed whole'
}

checks() {
    each check_one
    is "$(find . -maxdepth 1 -type f -print0 | sort -z | cksum)" \
        "$(each print0 | sort -z | cksum)" 'every name is listed, byte for byte'
    lengths
}
print0() { printf './%s\0' "$name"; }

in_view_alone() { view_has "sub/$name/$name" && ! [ -e "$TREE/sub/$name/$name" ]; }
seen_outside() {
    is "$(view_cat "$name"; echo x)" "${name}x" "vrift cat: $escaped"
    check "made in the view alone: $escaped" in_view_alone
}
after() { each seen_outside; }
main
