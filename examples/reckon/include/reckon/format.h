#ifndef RECKON_FORMAT_H
#define RECKON_FORMAT_H

#include "reckon/bigint.h"

enum number_format {
    FORMAT_DECIMAL,
    FORMAT_GROUPED, /* 1_234_567, which can be typed in again */
    FORMAT_HEX,
    FORMAT_BINARY,
};

void format_number(const struct bigint *n, enum number_format format, struct strbuf *out);

#endif
