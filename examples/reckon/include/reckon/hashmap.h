#ifndef RECKON_HASHMAP_H
#define RECKON_HASHMAP_H

#include <stddef.h>

/* Names to pointers; the map owns the names, its user the values. Start with RK_HASHMAP_EMPTY. */
struct hashmap_entry {
    char *name;
    void *value;
};

struct hashmap {
    struct hashmap_entry *slots;
    size_t len;
    size_t capacity; /* a power of two, at most three quarters full */
};

#define RK_HASHMAP_EMPTY {0}

void hashmap_free(struct hashmap *map, void (*free_value)(void *value));
void *hashmap_get(const struct hashmap *map, const char *name);
/* Gives back the value that was there before, or NULL. */
void *hashmap_set(struct hashmap *map, const char *name, void *value);
/* All entries by name, in an array that the caller frees. */
struct hashmap_entry *hashmap_sorted(const struct hashmap *map);

#endif
