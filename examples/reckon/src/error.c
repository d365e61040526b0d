#include "reckon/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rk_fail(struct rk_error *error, size_t column, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    error->column = column;
    return false;
}

void *rk_resize(void *memory, size_t size)
{
    void *grown = realloc(memory, size ? size : 1);

    if (!grown) {
        fputs("reckon: out of memory\n", stderr);
        exit(3);
    }
    return grown;
}

void *rk_alloc(size_t size)
{
    return rk_resize(NULL, size);
}

char *rk_copy_text(const char *text, size_t len)
{
    char *copy = rk_alloc(len + 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}
