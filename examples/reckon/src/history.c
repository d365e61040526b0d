#include "reckon/history.h"

#include <stdlib.h>
#include <string.h>

#include "reckon/error.h"

void history_free(struct history *history)
{
    for (size_t i = 0; i < HISTORY_MAX; i++)
        free(history->lines[i]);
    *history = (struct history)RK_HISTORY_EMPTY;
}

void history_add(struct history *history, const char *line)
{
    char **slot = &history->lines[history->total++ % HISTORY_MAX];

    free(*slot);
    *slot = rk_copy_text(line, strlen(line));
}

void history_print(const struct history *history, struct strbuf *out)
{
    size_t first = history->total > HISTORY_MAX ? history->total - HISTORY_MAX : 0;

    for (size_t i = first; i < history->total; i++)
        strbuf_addf(out, "%zu: %s\n", i + 1, history->lines[i % HISTORY_MAX]);
}
