#include "reckon/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reckon/error.h"

static void reserve(struct strbuf *buf, size_t more)
{
    size_t needed = buf->len + more + 1;

    if (needed <= buf->capacity)
        return;
    buf->capacity = needed < 32 ? 32 : needed * 2;
    buf->text = rk_resize(buf->text, buf->capacity);
}

void strbuf_free(struct strbuf *buf)
{
    free(buf->text);
    *buf = (struct strbuf)RK_STRBUF_EMPTY;
}

void strbuf_clear(struct strbuf *buf)
{
    reserve(buf, 0);
    buf->len = 0;
    buf->text[0] = '\0';
}

void strbuf_put(struct strbuf *buf, char c)
{
    reserve(buf, 1);
    buf->text[buf->len++] = c;
    buf->text[buf->len] = '\0';
}

void strbuf_add(struct strbuf *buf, const char *text)
{
    size_t len = strlen(text);

    reserve(buf, len);
    memcpy(buf->text + buf->len, text, len + 1);
    buf->len += len;
}

void strbuf_addf(struct strbuf *buf, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return;
    reserve(buf, (size_t)len);
    va_start(args, format);
    vsnprintf(buf->text + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

void strbuf_reverse(struct strbuf *buf)
{
    for (size_t i = 0, j = buf->len; i + 1 < j; i++) {
        char c = buf->text[i];

        j--;
        buf->text[i] = buf->text[j];
        buf->text[j] = c;
    }
}
