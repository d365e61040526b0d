#ifndef RECKON_ERROR_H
#define RECKON_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/* The first thing that went wrong in a line, and the column where. */
struct rk_error {
    char text[160];
    size_t column;
};

/* Always returns false, so that a caller can write `return rk_fail(...)`. */
bool rk_fail(struct rk_error *error, size_t column, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* Memory that is there, or the end of the program: a calculator has no better plan. */
void *rk_alloc(size_t size);
void *rk_resize(void *memory, size_t size);
char *rk_copy_text(const char *text, size_t len);

#endif
