#ifndef RECKON_BIGINT_H
#define RECKON_BIGINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reckon/strbuf.h"

/* Limbs are decimal: printing is what a calculator does most. */
#define BIG_BASE 1000000000u
#define BIG_LIMB_DIGITS 9
/* About 180,000 digits: a slip such as 9^9^9 is refused instead of eating the machine. */
#define BIG_MAX_LIMBS 20000

/* Sign and magnitude, lowest limb first, no leading zero limb; zero has no limbs and no sign. */
struct bigint {
    uint32_t *limbs;
    size_t len;
    bool negative;
};

#define BIG_ZERO {0}

void big_free(struct bigint *n);
void big_copy(struct bigint *to, const struct bigint *from);
void big_from_u64(struct bigint *to, uint64_t value);
bool big_to_u64(const struct bigint *n, uint64_t *value);
void big_from_digits(struct bigint *to, const char *digits, size_t len, unsigned radix);
void big_print(const struct bigint *n, struct strbuf *out);

bool big_is_zero(const struct bigint *n);
int big_compare(const struct bigint *a, const struct bigint *b);

/* The result may be one of the operands. Division truncates towards zero, as C's does. */
void big_add(struct bigint *to, const struct bigint *a, const struct bigint *b);
void big_sub(struct bigint *to, const struct bigint *a, const struct bigint *b);
bool big_mul(struct bigint *to, const struct bigint *a, const struct bigint *b);
void big_div(struct bigint *quotient, struct bigint *remainder, const struct bigint *a, const struct bigint *b);
bool big_pow(struct bigint *to, const struct bigint *base, uint64_t exponent);
uint32_t big_div_small(struct bigint *n, uint32_t divisor);
void big_mul_add_small(struct bigint *n, uint32_t factor, uint32_t addend);

#endif
