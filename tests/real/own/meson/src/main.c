/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "config.h"
#include "tally.h"
#include <stdio.h>

int main(int argc, char **argv) {
    if (argc < 2) return puts("tally " TALLY_VERSION), 0;
    for (int at = 1; at < argc; at++) {
        long seen = tally_file(argv[at]);
        if (seen < 0) return fprintf(stderr, "tally: %s: error %ld\n", argv[at], -seen), 1;
        printf("%ld %s\n", seen, argv[at]);
    }
}
