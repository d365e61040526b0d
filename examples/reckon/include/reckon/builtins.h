#ifndef RECKON_BUILTINS_H
#define RECKON_BUILTINS_H

#include "reckon/bigint.h"
#include "reckon/error.h"

/* Works on `arguments`, puts its result into `to` (zero before), which is none of them. */
typedef bool builtin_run(struct bigint *to, const struct bigint *arguments, size_t len, struct rk_error *error);

struct builtin {
    const char *name;
    size_t least;
    size_t most;
    builtin_run *run;
    const char *help;
};

const struct builtin *builtin_find(const char *name);
void builtins_print(struct strbuf *out);
bool factorial(struct bigint *to, const struct bigint *n, struct rk_error *error);

#endif
