#ifndef RECKON_ENV_H
#define RECKON_ENV_H

#include "reckon/bigint.h"
#include "reckon/hashmap.h"

/* The variables of a session; `ans` is the last result. Start with RK_ENV_EMPTY. */
struct env {
    struct hashmap variables;
};

#define RK_ENV_EMPTY {RK_HASHMAP_EMPTY}

void env_free(struct env *env);
void env_set(struct env *env, const char *name, const struct bigint *value);
const struct bigint *env_get(const struct env *env, const char *name);
void env_print(const struct env *env, struct strbuf *out);

#endif
