/* Interactions of this process that wait for their first answer: a timer each, no coroutine, since most are answered
 * within milliseconds by whichever process. Who puts the answer first in kv has decided. Loop thread.
 * Limits: LIMIT_INTERACTIONS_PENDING. */
#include "platform/api/interactions/interactions.h"

#include "platform/api/api_private.h"
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"

#include <errno.h>

struct pending_interactions {
    struct list list;
    struct api *api;
    unsigned count;
};

struct waiting {
    struct list item;
    struct pending_interactions *owner;
    struct loop_timer *timer;
    struct arena arena;
    struct interaction ix; /* only what telling takes */
};

struct pending_interactions *pending_new(struct api *api)
{
    struct pending_interactions *p = MEM_NEW(struct pending_interactions);

    list_init(&p->list);
    p->api = api;
    return p;
}

static void waiting_free(struct waiting *w)
{
    loop_timer_free(w->timer);
    arena_done(&w->arena);
    mem_free(w);
}

void pending_free(struct pending_interactions *p)
{
    if (!p)
        return;
    LIST_FOREACH_SAFE(it, &p->list)
    {
        struct waiting *w = LIST_ENTRY(it, struct waiting, item);
        list_remove(it);
        waiting_free(w);
    }
    mem_free(p);
}

static void judge(void *arg)
{
    struct waiting *w = arg;
    struct http_request req = {0};
    struct http_response res = {0};
    struct api_ctx x = {.api = w->owner->api,
                        .options = &w->owner->api->options,
                        .ports = w->owner->api->options.ports,
                        .req = &req,
                        .res = &res,
                        .arena = &w->arena};

    interaction_fail(&x, &w->ix);
    waiting_free(w);
}

static void on_deadline(void *arg)
{
    struct waiting *w = arg;

    list_remove(&w->item);
    w->owner->count--;
    if (co_spawn(judge, w) < 0)
        waiting_free(w);
}

int64_t interaction_first_ms(const struct api_options *o)
{
    return o->interaction_first_ms ? o->interaction_first_ms : LIMIT_INTERACTION_FIRST_MS;
}

int pending_add(struct api_ctx *x, const struct interaction *ix)
{
    struct pending_interactions *p = x->api->pending;

    if (p->count >= LIMIT_INTERACTIONS_PENDING)
        return -EAGAIN;
    struct waiting *w = MEM_NEW(struct waiting);
    w->owner = p;
    w->ix = (struct interaction){
        .id = ix->id, .user_id = ix->user_id, .channel_id = ix->channel_id, .nonce = arena_str(&w->arena, ix->nonce)};
    w->timer = loop_timer_new(on_deadline, w);
    loop_timer_start(w->timer, interaction_first_ms(x->options), 0);
    list_append(&p->list, &w->item);
    p->count++;
    return 0;
}
