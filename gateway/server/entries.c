/* Entries by user. Loop thread. */
#include "gateway/server/entries.h"

#include "platform/base/mem.h"
#include "platform/base/snowflake.h"
#include "platform/ports/kv.h"

#define AHEAD_BITS 64

void entries_init(struct entries *e)
{
    *e = (struct entries){0};
    list_init(&e->gone);
}

static void value_free(struct entry *entry)
{
    mem_free((char *)(uintptr_t)entry->value.p);
    entry->value = STR_NONE;
}

void entries_done(struct entries *e)
{
    size_t cursor = 0;

    for (struct entries_user *u; (u = map_next(&e->users, &cursor));) {
        for (struct entry *next, *entry = u->first; entry; entry = next) {
            next = entry->next;
            value_free(entry);
            mem_free(entry);
        }
        mem_free(u);
    }
    map_done(&e->users);
}

struct entries_user *entries_user(const struct entries *e, uint64_t user_id)
{
    return map_get(&e->users, user_id);
}

static struct entry *entry_find(const struct entries_user *u, struct str owner)
{
    struct entry *entry = u ? u->first : NULL;

    while (entry && !str_eq(str_c(entry->owner), owner))
        entry = entry->next;
    return entry;
}

struct str entries_value(const struct entries *e, uint64_t user_id, struct str owner, uint64_t *ret_version)
{
    const struct entry *entry = entry_find(entries_user(e, user_id), owner);

    if (!entry)
        return STR_NONE;
    *ret_version = entry->version;
    return entry->value;
}

/* "<user>[:<owner>]" */
static bool field_read(struct str field, uint64_t *ret_user, struct str *ret_owner)
{
    const char *colon = memchr(field.p, ':', field.n);
    size_t n = colon ? (size_t)(colon - field.p) : field.n;

    *ret_owner = colon ? (struct str){colon + 1, field.n - n - 1} : STR("");
    return ret_owner->n <= ENTRY_OWNER_CHARS && snowflake_parse((struct str){field.p, n}, ret_user) == 0;
}

static struct entry *entry_make(struct entries *e, uint64_t user_id, struct str owner)
{
    struct entries_user *u = entries_user(e, user_id);

    if (!u) {
        u = MEM_NEW(struct entries_user);
        u->user_id = user_id;
        map_put(&e->users, user_id, u);
    }
    struct entry *entry = entry_find(u, owner);
    if (!entry) {
        entry = MEM_NEW(struct entry);
        memcpy(entry->owner, owner.p, owner.n);
        entry->user = u;
        entry->next = u->first;
        list_init(&entry->gone_item);
        u->first = entry;
    }
    return entry;
}

static void entry_free(struct entries *e, struct entry *entry)
{
    struct entries_user *u = entry->user;
    struct entry **at = &u->first;

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    list_remove(&entry->gone_item);
    value_free(entry);
    mem_free(entry);
    if (!u->first) {
        map_del(&e->users, u->user_id);
        mem_free(u);
    }
}

static void gone_sweep(struct entries *e)
{
    LIST_FOREACH_SAFE(it, &e->gone)
    {
        struct entry *entry = LIST_ENTRY(it, struct entry, gone_item);
        if (entry->version <= e->version)
            entry_free(e, entry);
    }
}

/* The entry takes the value and stays, also when that is none. */
static void entry_set(struct entries *e, struct entry *entry, uint64_t version, struct str value, entries_fn fn,
                      void *arg)
{
    struct str old = entry->value;

    entry->version = version;
    if (value.n ? str_eq(old, value) : !old.p) {
        if (!value.n && list_empty(&entry->gone_item))
            list_append(&e->gone, &entry->gone_item);
        return;
    }
    list_remove(&entry->gone_item);
    entry->value = value.n ? (struct str){mem_strndup(value.p, value.n), value.n} : STR_NONE;
    if (!value.n)
        list_append(&e->gone, &entry->gone_item);
    fn(entry->user, old, arg);
    mem_free((char *)(uintptr_t)old.p);
}

/* next: the change after `version` is in place too. */
static void settle(struct entries *e, bool next)
{
    for (; next; e->ahead >>= 1) {
        e->version++;
        next = e->ahead & 1;
    }
}

static void advance(struct entries *e, uint64_t version)
{
    uint64_t at = version - e->version;

    if (version <= e->version)
        return;
    if (at == 1) {
        bool next = e->ahead & 1;
        e->version++;
        e->ahead >>= 1;
        settle(e, next);
    } else if (at - 2 < AHEAD_BITS) {
        e->ahead |= UINT64_C(1) << (at - 2);
    } else {
        e->lost = true;
    }
}

void entries_apply(struct entries *e, uint64_t version, struct str field, struct str value, entries_fn fn, void *arg)
{
    uint64_t user_id;
    struct str owner;

    if (!field_read(field, &user_id, &owner))
        return;
    const struct entry *known = entry_find(entries_user(e, user_id), owner);
    /* what is not known as removed was, when all changes up to it are in place */
    if (known ? version > known->version : version > e->version)
        entry_set(e, entry_make(e, user_id, owner), version, value, fn, arg);
    advance(e, version);
    gone_sweep(e);
}

/* --- as a whole ------------------------------------------------------------------------------------------------------
 */
static void drop(struct entries *e, bool (*match)(struct entry *entry, void *arg), void *match_arg, entries_fn fn,
                 void *arg)
{
    struct list dropped = LIST_INIT(dropped);
    size_t cursor = 0;

    for (struct entries_user *u; (u = map_next(&e->users, &cursor));)
        for (struct entry *entry = u->first; entry; entry = entry->next)
            if (match(entry, match_arg) && entry->value.p)
                list_append(&dropped, &entry->gone_item);
    LIST_FOREACH_SAFE(it, &dropped)
    {
        struct entry *entry = LIST_ENTRY(it, struct entry, gone_item);
        entry_set(e, entry, entry->version, STR_NONE, fn, arg);
    }
}

void entries_drop(struct entries *e, bool (*match)(struct entry *entry, void *arg), void *match_arg, entries_fn fn,
                  void *arg)
{
    drop(e, match, match_arg, fn, arg);
    gone_sweep(e);
}

/* What the list has not was removed, unless it came after the list. */
static bool unlisted(struct entry *entry, void *arg)
{
    const uint64_t *version = arg;
    bool listed = entry->listed;

    entry->listed = false;
    return !listed && entry->version <= *version;
}

void entries_load(struct entries *e, const struct kv_entry *list, unsigned count, uint64_t version, entries_fn fn,
                  void *arg)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t user_id;
        struct str owner;
        if (!field_read(list[i].field, &user_id, &owner))
            continue;
        struct entry *entry = entry_make(e, user_id, owner);
        entry->listed = true;
        if (entry->version <= version)
            entry_set(e, entry, version, list[i].value, fn, arg);
    }
    drop(e, unlisted, &version, fn, arg);
    e->lost = false;
    if (version > e->version) {
        uint64_t by = version - e->version;
        bool next = by <= AHEAD_BITS && e->ahead >> (by - 1) & 1;
        e->ahead = by < AHEAD_BITS ? e->ahead >> by : 0;
        e->version = version;
        settle(e, next);
    }
    gone_sweep(e);
}

void entries_reset(struct entries *e)
{
    size_t cursor = 0;

    for (struct entries_user *u; (u = map_next(&e->users, &cursor));)
        for (struct entry *entry = u->first; entry; entry = entry->next)
            entry->version = 0;
    e->version = e->ahead = e->expected = 0;
    e->lost = true;
    gone_sweep(e);
}
