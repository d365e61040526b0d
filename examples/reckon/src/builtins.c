#include "reckon/builtins.h"

#include <string.h>

#define ANY_NUMBER 64

static bool too_large(struct rk_error *error)
{
    return rk_fail(error, 0, "the result has more than %d digits", BIG_MAX_LIMBS * BIG_LIMB_DIGITS);
}

static bool run_abs(struct bigint *to, const struct bigint *a, size_t len, struct rk_error *error)
{
    (void)len, (void)error;
    big_copy(to, a);
    to->negative = false;
    return true;
}

static void gcd(struct bigint *to, const struct bigint *a, const struct bigint *b)
{
    struct bigint x = BIG_ZERO, y = BIG_ZERO;

    big_copy(&x, a);
    big_copy(&y, b);
    x.negative = y.negative = false;
    while (!big_is_zero(&y)) {
        struct bigint rest = BIG_ZERO;

        big_div(NULL, &rest, &x, &y);
        big_free(&x);
        x = y;
        y = rest;
    }
    big_free(&y);
    big_copy(to, &x);
    big_free(&x);
}

static bool run_gcd(struct bigint *to, const struct bigint *a, size_t len, struct rk_error *error)
{
    (void)error;
    for (size_t i = 0; i < len; i++)
        gcd(to, to, &a[i]);
    return true;
}

static bool run_lcm(struct bigint *to, const struct bigint *a, size_t len, struct rk_error *error)
{
    struct bigint common = BIG_ZERO;
    bool fits = true;

    big_from_u64(to, 1);
    for (size_t i = 0; i < len && fits && !big_is_zero(to); i++) {
        gcd(&common, to, &a[i]);
        big_div(to, NULL, to, &common);
        fits = big_mul(to, to, &a[i]);
        to->negative = false;
    }
    big_free(&common);
    return fits || too_large(error);
}

static bool pick(struct bigint *to, const struct bigint *a, size_t len, int sign)
{
    size_t best = 0;

    for (size_t i = 1; i < len; i++)
        if (big_compare(&a[i], &a[best]) * sign > 0)
            best = i;
    big_copy(to, &a[best]);
    return true;
}

static bool run_max(struct bigint *to, const struct bigint *a, size_t len, struct rk_error *error)
{
    (void)error;
    return pick(to, a, len, 1);
}

static bool run_min(struct bigint *to, const struct bigint *a, size_t len, struct rk_error *error)
{
    (void)error;
    return pick(to, a, len, -1);
}

static bool run_fib(struct bigint *to, const struct bigint *a, size_t len, struct rk_error *error)
{
    struct bigint next = BIG_ZERO;
    uint64_t n;

    (void)len;
    if (!big_to_u64(a, &n) || n > 100000)
        return rk_fail(error, 0, "fib takes a number from 0 to 100000");
    big_from_u64(&next, 1);
    for (; n; n--) {
        struct bigint before = *to;

        *to = next;
        next = (struct bigint)BIG_ZERO;
        big_add(&next, &before, to);
        big_free(&before);
    }
    big_free(&next);
    return true;
}

/* Newton's iteration from above: it falls until it is the root, then rises or stays. */
static bool run_sqrt(struct bigint *to, const struct bigint *a, size_t len, struct rk_error *error)
{
    struct bigint guess = BIG_ZERO, ten = BIG_ZERO;

    (void)len;
    if (a->negative)
        return rk_fail(error, 0, "sqrt of a negative number");
    if (big_is_zero(a))
        return true;
    big_from_u64(&ten, 10);
    big_pow(&guess, &ten, (a->len * BIG_LIMB_DIGITS + 1) / 2 + 1);
    do {
        big_copy(to, &guess);
        big_div(&guess, NULL, a, to);
        big_add(&guess, &guess, to);
        big_div_small(&guess, 2);
    } while (big_compare(&guess, to) < 0);
    big_free(&guess);
    big_free(&ten);
    return true;
}

static bool run_powmod(struct bigint *to, const struct bigint *a, size_t len, struct rk_error *error)
{
    struct bigint base = BIG_ZERO, exponent = BIG_ZERO;

    (void)len;
    if (a[1].negative || a[2].negative || big_is_zero(&a[2]))
        return rk_fail(error, 0, "powmod needs an exponent of at least 0 and a modulus above 0");
    big_from_u64(to, 1);
    big_div(NULL, to, to, &a[2]);
    big_div(NULL, &base, &a[0], &a[2]);
    big_copy(&exponent, &a[1]);
    while (!big_is_zero(&exponent)) {
        if (big_div_small(&exponent, 2) && big_mul(to, to, &base))
            big_div(NULL, to, to, &a[2]);
        if (big_mul(&base, &base, &base))
            big_div(NULL, &base, &base, &a[2]);
    }
    big_free(&base);
    big_free(&exponent);
    return true;
}

static bool run_factorial(struct bigint *to, const struct bigint *a, size_t len, struct rk_error *error)
{
    (void)len;
    return factorial(to, a, error);
}

bool factorial(struct bigint *to, const struct bigint *n, struct rk_error *error)
{
    uint64_t last;

    if (!big_to_u64(n, &last) || last > 10000)
        return rk_fail(error, 0, "a factorial is of a number from 0 to 10000");
    big_from_u64(to, 1);
    for (uint32_t i = 2; i <= last; i++)
        big_mul_add_small(to, i, 0);
    return true;
}

/* Sorted by how people look for them, not by name: the help prints them in this order. */
static const struct builtin BUILTINS[] = {
    {"abs", 1, 1, run_abs, "abs(n): without its sign"},
    {"min", 1, ANY_NUMBER, run_min, "min(a, ...): the smallest"},
    {"max", 1, ANY_NUMBER, run_max, "max(a, ...): the largest"},
    {"sqrt", 1, 1, run_sqrt, "sqrt(n): the root, rounded down"},
    {"gcd", 1, ANY_NUMBER, run_gcd, "gcd(a, ...): greatest common divisor"},
    {"lcm", 1, ANY_NUMBER, run_lcm, "lcm(a, ...): least common multiple"},
    {"fact", 1, 1, run_factorial, "fact(n): the same as n!"},
    {"fib", 1, 1, run_fib, "fib(n): the n-th Fibonacci number"},
    {"powmod", 3, 3, run_powmod, "powmod(b, e, m): b^e % m"},
};

#define BUILTINS_LEN (sizeof BUILTINS / sizeof BUILTINS[0])

const struct builtin *builtin_find(const char *name)
{
    for (size_t i = 0; i < BUILTINS_LEN; i++)
        if (strcmp(BUILTINS[i].name, name) == 0)
            return &BUILTINS[i];
    return NULL;
}

void builtins_print(struct strbuf *out)
{
    for (size_t i = 0; i < BUILTINS_LEN; i++)
        strbuf_addf(out, "%s\n", BUILTINS[i].help);
}
