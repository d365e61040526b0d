#include "reckon/units.h"

#include <stdlib.h>
#include <string.h>

/* Made by tools/gen_units from data/units.txt while the project is built; sorted by name. */
#include "units_table.h"

static int by_name(const void *name, const void *unit)
{
    return strcmp(name, ((const struct unit *)unit)->name);
}

const struct unit *unit_find(const char *name)
{
    return bsearch(name, UNITS, UNITS_LEN, sizeof UNITS[0], by_name);
}
