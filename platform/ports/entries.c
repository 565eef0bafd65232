/* Changes of entries on their way to gateway nodes. Coroutine. */
#include "platform/ports/entries.h"

#include "platform/base/jw.h"
#include "platform/base/snowflake.h"
#include "platform/ports/bus.h"

/* {"kind":0,"version":7,"field":"1:2","value":{}}; without value: removed */
static void event_write(struct buf *out, const struct kv_change *c, uint64_t version)
{
    jw_obj(out);
    jw_ku64(out, "kind", c->kind);
    jw_ku64(out, "version", version);
    jw_kstr(out, "field", c->field);
    if (c->value.n)
        jw_kraw(out, "value", c->value);
    jw_obj_end(out);
}

void entries_publish(const struct ports *p, struct arena *a, const struct kv_change *c, struct kv_route *route,
                     const char *skip_node)
{
    BUF_AUTO struct buf data = {0};
    unsigned count = 0;

    for (unsigned i = 0; i < route->node_count; i++)
        if (!skip_node || strcmp(route->node_ids[i], skip_node) != 0)
            route->node_ids[count++] = route->node_ids[i];
    if (!count)
        return;
    event_write(&data, c, route->number);
    struct event e = {
        .id = snowflake_next(), .topic = c->topic, .type = EVENT_CONTROL_ENTRY, .data = arena_str(a, buf_str(&data))};
    (void)bus_publish(p->bus, &e, route->node_ids, count);
}

int entries_change(const struct ports *p, struct arena *a, const struct kv_change *c, const char *skip_node,
                   uint64_t *ret_version)
{
    struct kv_route route;
    int r = kv_entry_change(p->kv, a, c, &route);

    if (r < 0)
        return r;
    entries_publish(p, a, c, &route, skip_node);
    if (ret_version)
        *ret_version = route.number;
    return 0;
}
