#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: programs with other allocators, other preload libraries and sanitizers see the view as every program does.
. "${0%/*}/lib.sh"

tree() {
    cat >walk.c <<'END'
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
    struct stat s;
    char *text = malloc(64), line[64] = "";
    strcpy(text, "written\n");
    FILE *f = fopen("out", "w");
    if (!f || fputs(text, f) < 0 || fclose(f) || stat("out", &s) || s.st_size != 8) return 1;
    if (rename("out", "moved") || stat("out", &s) == 0) return 2;
    f = fopen("moved", "r");
    if (!f || !fgets(line, sizeof line, f) || strcmp(line, text)) return 3;
    fclose(f);
    int n = 0;
    DIR *d = opendir(".");
    while (d && readdir(d)) n++;
    closedir(d);
    free(text);
    char *real = realpath("moved", NULL);
    printf("%d %s\n", n, strrchr(real, '/') + 1);
    free(real);
    return 0;
}
END
}

# one NAME PROGRAM [LIBRARY...]: writes, renames, reads and lists; the libraries before those that are there already
one() {
    one_name=$1 one_program=$2
    shift 2
    rm -f moved
    one_names=$(ls -a . | wc -l)
    is "$(LD_PRELOAD="$*${LD_PRELOAD:+ $LD_PRELOAD}" "$one_program" 2>&1)" "$((one_names + 1)) moved" "$one_name"
    is "$(cat moved)" written "$one_name: what it wrote"
}

checks() {
    gcc -o plain walk.c
    one 'a program' ./plain
    for library in libjemalloc.so.2 libtcmalloc_minimal.so.4 libeatmydata.so faketime/libfaketime.so.1; do
        one "$library" ./plain "/usr/lib/x86_64-linux-gnu/$library"
    done
    one 'two of them' ./plain /usr/lib/x86_64-linux-gnu/libjemalloc.so.2 /usr/lib/x86_64-linux-gnu/libeatmydata.so
    is "$(LD_PRELOAD="/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1${LD_PRELOAD:+ $LD_PRELOAD}" \
        FAKETIME='@2001-02-03 04:05:06' date +%Y)" 2001 'another time'
    for sanitizer in address undefined thread; do
        gcc -g -fsanitize=$sanitizer -o with_$sanitizer walk.c
        one "-fsanitize=$sanitizer" ./with_$sanitizer
    done
    # Leaks are looked for when a program ends, by a thread that stops the others.
    printf '#include <stdlib.h>\nint main(void) { char *volatile p = malloc(10); p = 0; return p != 0; }\n' >leak.c
    gcc -g -fsanitize=address -o leak leak.c
    fails 'a leak is an error' ./leak 2>"$T/leak"
    check 'and is said' grep -q '10 byte(s) leaked in 1 allocation' "$T/leak"
}

after() { only_in_view plain moved with_thread; }
main
