#ifndef RECKON_STRBUF_H
#define RECKON_STRBUF_H

#include <stddef.h>

/* A growing text; `text` is always terminated. Start with RK_STRBUF_EMPTY. */
struct strbuf {
    char *text;
    size_t len;
    size_t capacity;
};

#define RK_STRBUF_EMPTY {0}

void strbuf_free(struct strbuf *buf);
void strbuf_clear(struct strbuf *buf);
void strbuf_put(struct strbuf *buf, char c);
void strbuf_add(struct strbuf *buf, const char *text);
void strbuf_addf(struct strbuf *buf, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
void strbuf_reverse(struct strbuf *buf);

#endif
