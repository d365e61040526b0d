#ifndef RECKON_HISTORY_H
#define RECKON_HISTORY_H

#include <stddef.h>

#include "reckon/strbuf.h"

#define HISTORY_MAX 100

/* The last lines, oldest first, in a ring. Start with RK_HISTORY_EMPTY. */
struct history {
    char *lines[HISTORY_MAX];
    size_t total;
};

#define RK_HISTORY_EMPTY {0}

void history_free(struct history *history);
void history_add(struct history *history, const char *line);
void history_print(const struct history *history, struct strbuf *out);

#endif
