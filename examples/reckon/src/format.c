#include "reckon/format.h"

static void in_radix(const struct bigint *n, unsigned radix, const char *prefix, struct strbuf *out)
{
    struct strbuf digits = RK_STRBUF_EMPTY;
    struct bigint rest = BIG_ZERO;

    big_copy(&rest, n);
    do {
        strbuf_put(&digits, "0123456789abcdef"[big_div_small(&rest, radix)]);
    } while (!big_is_zero(&rest));
    strbuf_reverse(&digits);
    strbuf_addf(out, "%s%s%s", n->negative ? "-" : "", prefix, digits.text);
    strbuf_free(&digits);
    big_free(&rest);
}

static void grouped(const struct bigint *n, struct strbuf *out)
{
    struct strbuf plain = RK_STRBUF_EMPTY;
    size_t start = n->negative ? 1 : 0;

    big_print(n, &plain);
    for (size_t i = 0; i < plain.len; i++) {
        if (i > start && (plain.len - i) % 3 == 0)
            strbuf_put(out, '_');
        strbuf_put(out, plain.text[i]);
    }
    strbuf_free(&plain);
}

void format_number(const struct bigint *n, enum number_format format, struct strbuf *out)
{
    switch (format) {
    case FORMAT_DECIMAL:
        big_print(n, out);
        return;
    case FORMAT_GROUPED:
        grouped(n, out);
        return;
    case FORMAT_HEX:
        in_radix(n, 16, "0x", out);
        return;
    case FORMAT_BINARY:
        in_radix(n, 2, "0b", out);
        return;
    }
}
