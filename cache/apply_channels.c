/* How dispatches change channels, threads and their members. Loop thread. */
#include "cache/apply.h"

#include "platform/base/arena.h"
#include "platform/protocol/envelope.h"

static int put_channel(struct str value, void *arg)
{
    struct put *p = arg;
    uint64_t id = apply_id_of(apply_member_of(value, "id"));

    apply_channel_index(p->c, id, true);
    apply_put_field(p, id, value, NULL);
    return 0;
}

void apply_channels_put(struct call *c, struct str channels)
{
    if (!apply_keeps(c->w, CACHE_CHANNELS))
        return;
    struct put p = apply_put_begin(c, CACHE_CHANNELS);
    json_elements_scan(channels, put_channel, &p);
}

/* Direct messages have no guild, and their channels are not told of. */
void apply_channel_put(struct call *c)
{
    if (!c->guild || !apply_keeps(c->w, CACHE_CHANNELS))
        return;
    struct put p = apply_put_begin(c, CACHE_CHANNELS);
    put_channel(c->data, &p);
}

void apply_channel_delete(struct call *c)
{
    struct batch *b = &c->w->batch;
    uint64_t id = apply_id_of(c->f.id);

    apply_del_one(c, CACHE_CHANNELS, id);
    if (apply_keeps(c->w, CACHE_THREADS))
        batch_threads_drop(b, batch_key(b, CACHE_THREADS), (struct str[]){batch_id(b, id)}, 1);
    batch_part_drop(b, id);
    apply_channel_index(c, id, false);
}

/* --- single members of a channel --- */

static void patch(struct call *c, enum cache_entity e, uint64_t channel, const char *name, struct str value)
{
    const struct cache_selection *s = c->w->o.selection;
    struct batch *b = &c->w->batch;

    if (!channel || value.n == 0 || *value.p == '{' || *value.p == '[' || !apply_keeps(c->w, e) ||
        (s && !cache_selection_has(s, e, str_c(name))))
        return;
    batch_patch(b, batch_key(b, e), batch_id(b, channel), str_c(name), value);
}

/* A thread has pins, too; only one of the two is there. */
void apply_channel_pins(struct call *c)
{
    uint64_t channel = apply_id_of(c->f.channel_id);
    struct str at = c->f.last_pin_timestamp.n > 0 ? c->f.last_pin_timestamp : STR("null");

    if (!c->guild)
        return;
    patch(c, CACHE_CHANNELS, channel, "last_pin_timestamp", at);
    patch(c, CACHE_THREADS, channel, "last_pin_timestamp", at);
}

static void voice_channel(struct call *c, uint64_t channel, struct str status, struct str start)
{
    patch(c, CACHE_CHANNELS, channel, "status", status);
    patch(c, CACHE_CHANNELS, channel, "voice_start_time", start);
}

void apply_voice_channel_patch(struct call *c)
{
    voice_channel(c, apply_id_of(c->f.id), c->f.status, c->f.voice_start_time);
}

static int channel_info_one(struct str value, void *arg)
{
    voice_channel(arg, apply_id_of(apply_member_of(value, "id")), apply_member_of(value, "status"),
                  apply_member_of(value, "voice_start_time"));
    return 0;
}

void apply_channel_info(struct call *c)
{
    json_elements_scan(c->f.channels, channel_info_one, c);
}

/* --- threads: the active ones --- */

static void thread_member(struct call *c, uint64_t thread, uint64_t user, struct str member)
{
    struct batch *b = &c->w->batch;

    if (!thread || !user || member.n == 0 || *member.p != '{' || !apply_keeps(c->w, CACHE_THREAD_MEMBERS))
        return;
    batch_part_set(b, thread, batch_key_part(b, CACHE_THREAD_MEMBERS, thread), batch_id(b, user),
                   apply_kept(c, CACHE_THREAD_MEMBERS, member, "|member|presence|"));
}

/* `member`, the bot's own, stands with the thread's members. */
static int put_thread(struct str value, void *arg)
{
    struct put *p = arg;
    uint64_t id = apply_id_of(apply_member_of(value, "id"));

    apply_channel_index(p->c, id, true);
    if (apply_keeps(p->c->w, CACHE_THREADS))
        apply_put_field(p, id, value, "|member|");
    thread_member(p->c, id, p->c->w->own_user, apply_member_of(value, "member"));
    return 0;
}

void apply_threads_put(struct call *c, struct str threads)
{
    if (!apply_keeps(c->w, CACHE_THREADS) && !apply_keeps(c->w, CACHE_THREAD_MEMBERS))
        return;
    struct put p = apply_put_begin(c, CACHE_THREADS);
    json_elements_scan(threads, put_thread, &p);
}

static void thread_drop(struct call *c, uint64_t id)
{
    struct batch *b = &c->w->batch;

    apply_del_one(c, CACHE_THREADS, id);
    if (apply_keeps(c->w, CACHE_THREAD_MEMBERS))
        batch_drop(b, batch_key_part(b, CACHE_THREAD_MEMBERS, id));
}

/* An archived thread is no active one: it comes again when it is opened. */
void apply_thread_put(struct call *c)
{
    if (apply_is_true(apply_member_of(c->f.thread_metadata, "archived"))) {
        thread_drop(c, apply_id_of(c->f.id));
        return;
    }
    struct put p = apply_put_begin(c, CACHE_THREADS);
    put_thread(c->data, &p);
}

void apply_thread_delete(struct call *c)
{
    uint64_t id = apply_id_of(c->f.id);

    thread_drop(c, id);
    batch_part_drop(&c->w->batch, id);
    apply_channel_index(c, id, false);
}

struct parents {
    struct call *c;
    struct str *at;
    int count;
};

static int parents_count(struct str value, void *arg)
{
    (void)value;
    ((struct parents *)arg)->count++;
    return 0;
}

static int parents_add(struct str value, void *arg)
{
    struct parents *p = arg;

    p->at[p->count++] = batch_id(&p->c->w->batch, apply_id_of(value));
    return 0;
}

static int put_own_thread_member(struct str value, void *arg)
{
    struct call *c = arg;
    uint64_t user = apply_id_of(apply_member_of(value, "user_id"));

    thread_member(c, apply_id_of(apply_member_of(value, "id")), user ? user : c->w->own_user, value);
    return 0;
}

/* What it lists are all active threads of these channels; without channels, of the guild. */
void apply_threads_sync(struct call *c)
{
    struct batch *b = &c->w->batch;
    struct parents parents = {.c = c};

    json_elements_scan(c->f.channel_ids, parents_count, &parents);
    if (c->f.channel_ids.n > 0 && parents.count == 0)
        return;
    parents.at = ARENA_ARRAY(&b->arena, struct str, (size_t)parents.count + 1);
    parents.count = 0;
    json_elements_scan(c->f.channel_ids, parents_add, &parents);
    batch_threads_drop(b, batch_key(b, CACHE_THREADS), parents.at, parents.count);
    apply_threads_put(c, c->f.threads);
    json_elements_scan(c->f.members, put_own_thread_member, c);
}

void apply_thread_member_put(struct call *c)
{
    put_own_thread_member(c->data, c);
}

/* Among those who were added, each thread member brings the guild member along. */
static int put_added(struct str value, void *arg)
{
    struct call *c = arg;
    struct batch *b = &c->w->batch;
    struct str member = apply_member_of(value, "member");

    if (apply_keeps(c->w, CACHE_THREAD_MEMBERS))
        thread_member(c, apply_id_of(c->f.id), apply_id_of(apply_member_of(value, "user_id")),
                      apply_member_of(value, "user_id").n ? value : STR(""));
    if (member.n > 0 && *member.p == '{')
        apply_member_put(c, batch_key(b, CACHE_MEMBERS), member, true);
    return 0;
}

static int drop_removed(struct str value, void *arg)
{
    struct call *c = arg;
    struct batch *b = &c->w->batch;

    if (apply_keeps(c->w, CACHE_THREAD_MEMBERS))
        batch_del(b, batch_key_part(b, CACHE_THREAD_MEMBERS, apply_id_of(c->f.id)), batch_id(b, apply_id_of(value)));
    return 0;
}

void apply_thread_members_change(struct call *c)
{
    patch(c, CACHE_THREADS, apply_id_of(c->f.id), "member_count", c->f.member_count);
    json_elements_scan(c->f.added_members, put_added, c);
    json_elements_scan(c->f.removed_member_ids, drop_removed, c);
}
