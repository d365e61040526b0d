#ifndef RECKON_UNITS_H
#define RECKON_UNITS_H

#include <stdint.h>

/* One line of data/units.txt: so many of the smallest unit of its kind. */
struct unit {
    const char *name;
    const char *kind;
    uint64_t factor;
};

/* NULL for a name that is no unit. */
const struct unit *unit_find(const char *name);

#endif
