/* Turns the table of units into a C header: gen_units data/units.txt >units_table.h
 * A line is `NAME KIND FACTOR`; what follows '#' is a comment. Names must be unique. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNITS_MAX 256

struct row {
    char name[16];
    char kind[16];
    uint64_t factor;
};

static struct row rows[UNITS_MAX];

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static int complain(const char *file, unsigned line, const char *what)
{
    fprintf(stderr, "%s:%u: %s\n", file, line, what);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    char line[256];
    unsigned number = 0;
    size_t len = 0;
    FILE *in;

    if (argc != 2 || !(in = fopen(argv[1], "r"))) {
        fputs("usage: gen_units FILE >HEADER\n", stderr);
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof line, in)) {
        struct row *row = &rows[len];

        number++;
        line[strcspn(line, "#\n")] = '\0';
        if (line[strspn(line, " \t")] == '\0')
            continue;
        if (len == UNITS_MAX)
            return complain(argv[1], number, "too many units");
        if (sscanf(line, "%15s %15s %" SCNu64, row->name, row->kind, &row->factor) != 3 || row->factor == 0)
            return complain(argv[1], number, "expected NAME KIND FACTOR");
        len++;
    }
    fclose(in);
    qsort(rows, len, sizeof rows[0], by_name);
    printf("/* Generated from %s: do not edit. */\nstatic const struct unit UNITS[] = {\n", argv[1]);
    for (size_t i = 0; i < len; i++) {
        if (i && strcmp(rows[i - 1].name, rows[i].name) == 0)
            return complain(argv[1], number, "a unit is there twice");
        printf("    {\"%s\", \"%s\", UINT64_C(%" PRIu64 ")},\n", rows[i].name, rows[i].kind, rows[i].factor);
    }
    printf("};\n#define UNITS_LEN %zu\n", len);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
