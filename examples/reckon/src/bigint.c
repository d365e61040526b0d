#include "reckon/bigint.h"

#include <stdlib.h>
#include <string.h>

#include "reckon/error.h"

static void trim(struct bigint *n)
{
    while (n->len && n->limbs[n->len - 1] == 0)
        n->len--;
    if (n->len == 0)
        n->negative = false;
}

static struct bigint zeroed(size_t len)
{
    struct bigint n = {rk_alloc(len * sizeof(uint32_t)), len, false};

    memset(n.limbs, 0, len * sizeof(uint32_t));
    return n;
}

/* Gives `to` the limbs of a fresh result; what `to` held is gone. */
static void become(struct bigint *to, struct bigint result)
{
    free(to->limbs);
    *to = result;
    trim(to);
}

void big_free(struct bigint *n)
{
    free(n->limbs);
    *n = (struct bigint)BIG_ZERO;
}

void big_copy(struct bigint *to, const struct bigint *from)
{
    struct bigint copy;

    if (to == from)
        return;
    copy = zeroed(from->len);
    if (from->len)
        memcpy(copy.limbs, from->limbs, from->len * sizeof(uint32_t));
    copy.negative = from->negative;
    become(to, copy);
}

void big_from_u64(struct bigint *to, uint64_t value)
{
    struct bigint n = zeroed(3);

    for (size_t i = 0; i < 3; i++, value /= BIG_BASE)
        n.limbs[i] = (uint32_t)(value % BIG_BASE);
    become(to, n);
}

bool big_to_u64(const struct bigint *n, uint64_t *value)
{
    uint64_t sum = 0;

    if (n->negative || n->len > 3)
        return false;
    for (size_t i = n->len; i-- > 0;) {
        if (sum > (UINT64_MAX - n->limbs[i]) / BIG_BASE)
            return false;
        sum = sum * BIG_BASE + n->limbs[i];
    }
    *value = sum;
    return true;
}

void big_mul_add_small(struct bigint *n, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;

    for (size_t i = 0; i < n->len; i++) {
        carry += (uint64_t)n->limbs[i] * factor;
        n->limbs[i] = (uint32_t)(carry % BIG_BASE);
        carry /= BIG_BASE;
    }
    while (carry) {
        n->limbs = rk_resize(n->limbs, (n->len + 1) * sizeof(uint32_t));
        n->limbs[n->len++] = (uint32_t)(carry % BIG_BASE);
        carry /= BIG_BASE;
    }
}

uint32_t big_div_small(struct bigint *n, uint32_t divisor)
{
    uint64_t rest = 0;

    for (size_t i = n->len; i-- > 0;) {
        rest = rest * BIG_BASE + n->limbs[i];
        n->limbs[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    trim(n);
    return (uint32_t)rest;
}

void big_from_digits(struct bigint *to, const char *digits, size_t len, unsigned radix)
{
    struct bigint n = BIG_ZERO;

    for (size_t i = 0; i < len; i++) {
        char c = digits[i];

        if (c == '_')
            continue;
        big_mul_add_small(&n, radix, (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10));
    }
    become(to, n);
}

void big_print(const struct bigint *n, struct strbuf *out)
{
    if (n->len == 0) {
        strbuf_put(out, '0');
        return;
    }
    if (n->negative)
        strbuf_put(out, '-');
    strbuf_addf(out, "%u", n->limbs[n->len - 1]);
    for (size_t i = n->len - 1; i-- > 0;)
        strbuf_addf(out, "%0*u", BIG_LIMB_DIGITS, n->limbs[i]);
}

bool big_is_zero(const struct bigint *n)
{
    return n->len == 0;
}

static int compare_magnitude(const struct bigint *a, const struct bigint *b)
{
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    for (size_t i = a->len; i-- > 0;)
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    return 0;
}

int big_compare(const struct bigint *a, const struct bigint *b)
{
    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    return a->negative ? compare_magnitude(b, a) : compare_magnitude(a, b);
}

static struct bigint add_magnitude(const struct bigint *a, const struct bigint *b)
{
    const struct bigint *longer = a->len < b->len ? b : a;
    const struct bigint *shorter = a->len < b->len ? a : b;
    struct bigint sum = zeroed(longer->len + 1);
    uint32_t carry = 0;

    for (size_t i = 0; i < longer->len; i++) {
        carry += longer->limbs[i] + (i < shorter->len ? shorter->limbs[i] : 0);
        sum.limbs[i] = carry % BIG_BASE;
        carry /= BIG_BASE;
    }
    sum.limbs[longer->len] = carry;
    return sum;
}

/* `a` must be the larger magnitude. */
static struct bigint sub_magnitude(const struct bigint *a, const struct bigint *b)
{
    struct bigint rest = zeroed(a->len);
    int64_t borrow = 0;

    for (size_t i = 0; i < a->len; i++) {
        borrow += (int64_t)a->limbs[i] - (i < b->len ? b->limbs[i] : 0);
        rest.limbs[i] = (uint32_t)(borrow < 0 ? borrow + BIG_BASE : borrow);
        borrow = borrow < 0 ? -1 : 0;
    }
    return rest;
}

static void add_signed(struct bigint *to, const struct bigint *a, const struct bigint *b, bool b_negative)
{
    struct bigint result;

    if (a->negative == b_negative) {
        result = add_magnitude(a, b);
        result.negative = a->negative;
    } else if (compare_magnitude(a, b) >= 0) {
        result = sub_magnitude(a, b);
        result.negative = a->negative;
    } else {
        result = sub_magnitude(b, a);
        result.negative = b_negative;
    }
    become(to, result);
}

void big_add(struct bigint *to, const struct bigint *a, const struct bigint *b)
{
    add_signed(to, a, b, b->negative);
}

void big_sub(struct bigint *to, const struct bigint *a, const struct bigint *b)
{
    add_signed(to, a, b, !b->negative);
}

bool big_mul(struct bigint *to, const struct bigint *a, const struct bigint *b)
{
    struct bigint product;

    if (a->len + b->len > BIG_MAX_LIMBS)
        return false;
    product = zeroed(a->len + b->len);
    for (size_t i = 0; i < a->len; i++) {
        uint64_t carry = 0;

        for (size_t j = 0; j < b->len; j++) {
            carry += product.limbs[i + j] + (uint64_t)a->limbs[i] * b->limbs[j];
            product.limbs[i + j] = (uint32_t)(carry % BIG_BASE);
            carry /= BIG_BASE;
        }
        product.limbs[i + b->len] = (uint32_t)carry;
    }
    product.negative = a->negative != b->negative;
    become(to, product);
    return true;
}

/* How often `divisor` goes into `rest`, a number below BIG_BASE: found by halving, since a
 * decimal limb offers no shifts to normalise by. */
static uint32_t digit_of(struct bigint *rest, const struct bigint *divisor)
{
    uint32_t low = 0, high = BIG_BASE - 1;
    struct bigint product = BIG_ZERO;

    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;

        big_copy(&product, divisor);
        product.negative = false;
        big_mul_add_small(&product, middle, 0);
        if (compare_magnitude(&product, rest) <= 0)
            low = middle;
        else
            high = middle - 1;
    }
    big_copy(&product, divisor);
    product.negative = false;
    big_mul_add_small(&product, low, 0);
    trim(&product);
    big_sub(rest, rest, &product);
    big_free(&product);
    return low;
}

/* n = n * base + limb */
static void append_limb(struct bigint *n, uint32_t limb)
{
    n->limbs = rk_resize(n->limbs, (n->len + 1) * sizeof(uint32_t));
    memmove(n->limbs + 1, n->limbs, n->len * sizeof(uint32_t));
    n->limbs[0] = limb;
    n->len++;
    trim(n);
}

void big_div(struct bigint *quotient, struct bigint *remainder, const struct bigint *a, const struct bigint *b)
{
    struct bigint result = zeroed(a->len);
    struct bigint rest = BIG_ZERO;
    bool negative = a->negative, differs = a->negative != b->negative;

    for (size_t i = a->len; i-- > 0;) {
        append_limb(&rest, a->limbs[i]);
        result.limbs[i] = compare_magnitude(&rest, b) < 0 ? 0 : digit_of(&rest, b);
    }
    result.negative = differs;
    rest.negative = negative;
    trim(&rest);
    if (remainder)
        become(remainder, rest);
    else
        big_free(&rest);
    if (quotient)
        become(quotient, result);
    else
        big_free(&result);
}

bool big_pow(struct bigint *to, const struct bigint *base, uint64_t exponent)
{
    struct bigint power = BIG_ZERO, square = BIG_ZERO;
    bool fits = true;

    big_from_u64(&power, 1);
    big_copy(&square, base);
    while (exponent && fits) {
        if (exponent & 1)
            fits = big_mul(&power, &power, &square);
        exponent >>= 1;
        if (exponent && fits)
            fits = big_mul(&square, &square, &square);
    }
    big_free(&square);
    if (fits)
        become(to, power);
    else
        big_free(&power);
    return fits;
}
