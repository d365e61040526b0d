#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: in every locale names are the bytes that they are natively, come in the order of the locale, and match its patterns.
. "${0%/*}/lib.sh"
LOCALES='tr_TR.UTF-8 de_DE.ISO-8859-1 ja_JP.EUC-JP zh_TW.BIG5'

tree() {
    mkdir names
    for name in i I 'ı' 'İ' z ä Z a o '日本' 'x y'; do echo "$name" >"names/$name"; done
    # Not UTF-8: e with an accent in ISO-8859-1, two characters of EUC-JP, one of Big5 whose second byte is a backslash.
    for name in 'caf\351' '\306\374\313\334' '\263\134'; do echo x >"names/$(printf "$name")"; done
    touch -d 2001-07-01 names/a
}

# By programs that sort and match with the locale, and say errors in it.
show() {
    for locale in $LOCALES; do
        export LC_ALL="$locale"
        echo "# $locale"
        (cd names && ls && ls -q ? && find . -name '[a-z]' | sort && bash -c 'for name in *; do printf "%s\n" "$name"; done' &&
            bash -c 'shopt -s nocaseglob; printf "%s\n" I*' && stat -c %n ./* && find . -type f | sort &&
            python3 -c 'import glob, os; print(len(os.listdir("."))); print(len(glob.glob("?")))') 2>&1 | od -An -c
        mkdir -p "made-$locale" && (cd "made-$locale" && touch "$(printf '\303\244')" "$(printf '\344')" && ls | od -An -c)
        cat names/none 2>&1
        date -r names/a +%B
    done
}

checks() { show >shown; }

after() {
    cp -a "$TREE" "$T/again"
    (cd "$T/again" && TZ=UTC show) >"$T/want"
    view_cat shown >"$T/got"
    check "as natively: $(wc -l <"$T/want") lines in $(echo "$LOCALES" | wc -w) locales" cmp "$T/got" "$T/want"
    check 'more than a locale that is not there would show' grep -q Temmuz "$T/want"
}

mkdir -p "$T/locales"
export LOCPATH="$T/locales" TZ=UTC
for locale in $LOCALES; do
    [ -d "$T/locales/$locale" ] || localedef -i "${locale%.*}" -f "${locale#*.}" "$T/locales/$locale" ||
        { not_ok "localedef makes $locale"; exit 1; }
done
main
