#include "reckon/hashmap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reckon/error.h"

static uint64_t hash_name(const char *name)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a, 64 bits */

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    return hash;
}

static struct hashmap_entry *slot_of(struct hashmap_entry *slots, size_t capacity, const char *name)
{
    size_t i = (size_t)hash_name(name) & (capacity - 1);

    while (slots[i].name && strcmp(slots[i].name, name) != 0)
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static void grow(struct hashmap *map)
{
    size_t capacity = map->capacity ? map->capacity * 2 : 16;
    struct hashmap_entry *slots = rk_alloc(capacity * sizeof *slots);

    for (size_t i = 0; i < capacity; i++)
        slots[i] = (struct hashmap_entry){NULL, NULL};
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].name)
            *slot_of(slots, capacity, map->slots[i].name) = map->slots[i];
    free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
}

void hashmap_free(struct hashmap *map, void (*free_value)(void *value))
{
    for (size_t i = 0; i < map->capacity; i++) {
        if (!map->slots[i].name)
            continue;
        free(map->slots[i].name);
        if (free_value)
            free_value(map->slots[i].value);
    }
    free(map->slots);
    *map = (struct hashmap)RK_HASHMAP_EMPTY;
}

void *hashmap_get(const struct hashmap *map, const char *name)
{
    return map->capacity ? slot_of(map->slots, map->capacity, name)->value : NULL;
}

void *hashmap_set(struct hashmap *map, const char *name, void *value)
{
    struct hashmap_entry *slot;
    void *before;

    if ((map->len + 1) * 4 > map->capacity * 3)
        grow(map);
    slot = slot_of(map->slots, map->capacity, name);
    before = slot->value;
    if (!slot->name) {
        slot->name = rk_copy_text(name, strlen(name));
        map->len++;
    }
    slot->value = value;
    return before;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct hashmap_entry *)a)->name, ((const struct hashmap_entry *)b)->name);
}

struct hashmap_entry *hashmap_sorted(const struct hashmap *map)
{
    struct hashmap_entry *entries = rk_alloc(map->len * sizeof *entries);
    size_t len = 0;

    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].name)
            entries[len++] = map->slots[i];
    if (len)
        qsort(entries, len, sizeof *entries, by_name);
    return entries;
}
