#include "reckon/env.h"

#include <stdlib.h>

#include "reckon/error.h"

static void free_value(void *value)
{
    if (!value)
        return;
    big_free(value);
    free(value);
}

void env_free(struct env *env)
{
    hashmap_free(&env->variables, free_value);
}

void env_set(struct env *env, const char *name, const struct bigint *value)
{
    struct bigint *copy = rk_alloc(sizeof *copy);

    *copy = (struct bigint)BIG_ZERO;
    big_copy(copy, value);
    free_value(hashmap_set(&env->variables, name, copy));
}

const struct bigint *env_get(const struct env *env, const char *name)
{
    return hashmap_get(&env->variables, name);
}

void env_print(const struct env *env, struct strbuf *out)
{
    struct hashmap_entry *entries = hashmap_sorted(&env->variables);

    for (size_t i = 0; i < env->variables.len; i++) {
        strbuf_addf(out, "%s = ", entries[i].name);
        big_print(entries[i].value, out);
        strbuf_put(out, '\n');
    }
    free(entries);
}
