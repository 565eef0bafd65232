/* The entries of one kind of one guild as a node knows them (kv.h, "entries"): applied change by change, or read as a
 * whole. Every change has a version; what came out of order is in place at once, and what is missing is told by
 * entries_behind. Loop thread, no I/O. */
#pragma once

#include "platform/base/list.h"
#include "platform/base/map.h"
#include "platform/base/str.h"

struct kv_entry;

#define ENTRY_OWNER_CHARS 15

/* "<user>" or "<user>:<owner>". */
struct entry {
    struct entry *next; /* of the same user */
    struct entries_user *user;
    char owner[ENTRY_OWNER_CHARS + 1];
    struct str value; /* owned; p NULL: removed, kept until all older changes are known */
    uint64_t version; /* 0: of an incarnation before */
    bool listed;      /* while loading */
    struct list gone_item;
};

struct entries_user {
    uint64_t user_id;
    struct entry *first;
    uint64_t shown; /* the caller's: what was made known of the user, 0: nothing */
};

struct entries {
    struct map users;
    uint64_t version;  /* every change up to this is in place */
    uint64_t ahead;    /* bit i: so is version + 2 + i */
    uint64_t expected; /* the caller's: kv has as many */
    bool lost;         /* more is missing than `ahead` can tell */
    struct list gone;
};

void entries_init(struct entries *e);
void entries_done(struct entries *e);

struct entries_user *entries_user(const struct entries *e, uint64_t user_id); /* NULL: has none */
/* The value; STR_NONE: none. owner "": a kind with one entry for each user. */
struct str entries_value(const struct entries *e, uint64_t user_id, struct str owner, uint64_t *ret_version);

/* fn is called after a value has changed; `old` is valid during the call. It may set user->shown, and nothing else. */
typedef void (*entries_fn)(struct entries_user *user, struct str old, void *arg);

/* value.n 0: removed. Changes that are older than what is there are dropped. */
void entries_apply(struct entries *e, uint64_t version, struct str field, struct str value, entries_fn fn, void *arg);
/* All of them, as kv had them at `version`. */
void entries_load(struct entries *e, const struct kv_entry *list, unsigned count, uint64_t version, entries_fn fn,
                  void *arg);
/* A change is missing. */
static inline bool entries_behind(const struct entries *e)
{
    return e->ahead || e->lost || e->expected > e->version;
}
/* kv began anew: what is there stays, but counts as older than anything. Then entries_behind until loaded. */
void entries_reset(struct entries *e);
/* Forgets entries for which `match` holds, as if they had been removed. */
void entries_drop(struct entries *e, bool (*match)(struct entry *entry, void *arg), void *match_arg, entries_fn fn,
                  void *arg);
