/* The contract of `kv`, on both implementations; and what only Redis can do: go away, and come back empty. */
#include "tests/support/co_test.h"
#include "tests/support/services.h"

#include "platform/base/clock.h"
#include "platform/ports/kv.h"

#include <errno.h>

static const char *url; /* NULL: in process */

static struct kv *opened(void)
{
    struct buf err = {0};
    struct kv *kv = kv_open(url, &err);
    for (int i = 0; kv && !kv_ready(kv) && i < 200; i++)
        co_sleep(25);
    expect_true(kv && kv_ready(kv));
    return kv;
}

static void buckets(void)
{
    struct kv *kv = opened();
    struct kv_bucket pair[] = {{"{t}:global", 5, 2000}, {"{t}:route", 2, 400}};
    struct kv_bucket_state s[2];
    for (int i = 0; i < 2; i++) {
        expect_int(kv_buckets_take(kv, pair, 2, s), 0);
        expect_true(s[0].allowed && s[1].allowed);
        expect_int(s[1].remaining, 1 - i);
        expect_true(s[1].reset_after_ms > 0 && s[1].reset_after_ms <= 400);
    }
    expect_int(kv_buckets_take(kv, pair, 2, s), 0);
    expect_true(s[0].allowed && !s[1].allowed);
    expect_int(s[0].remaining, 3); /* one was empty: none was taken from */
    expect_int(kv_bucket_peek(kv, &pair[0], s), 0);
    expect_int(s[0].remaining, 3);
    co_sleep(450);
    expect_int(kv_buckets_take(kv, pair, 2, s), 0);
    expect_true(s[1].allowed);
    expect_int(s[1].remaining, 1);
    expect_int(s[0].remaining, 2);
    kv_close(kv);
}

static void buckets_are_listed_and_advanced(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct kv_bucket mine = {"adv:{77}:mine", 2, 5000}, other = {"adv:{88}:other", 2, 5000};
    struct kv_bucket_open *found;
    struct kv_bucket_state s;
    unsigned count;
    for (int i = 0; i < 2; i++) {
        expect_int(kv_buckets_take(kv, &mine, 1, &s), 0);
        expect_int(kv_buckets_take(kv, &other, 1, &s), 0);
    }
    expect_int(kv_buckets_list(kv, &a, STR("adv:"), 10, &found, &count), 0);
    expect_int(count, 2);
    expect_int(kv_buckets_list(kv, &a, STR("adv:"), 1, &found, &count), 0);
    expect_int(count, 1);
    expect_int(kv_buckets_list(kv, &a, STR("{77}"), 10, &found, &count), 0);
    expect_int(count, 1);
    expect_true(str_eq(found[0].key, STR("adv:{77}:mine")));
    expect_int(found[0].used, 2);
    expect_true(found[0].reset_after_ms > 0 && found[0].reset_after_ms <= 5000);

    expect_int(kv_buckets_advance(kv, STR("{77}"), 2000, &count), 0);
    expect_int(count, 1);
    expect_int(kv_bucket_peek(kv, &mine, &s), 0);
    expect_true(!s.allowed && s.reset_after_ms <= 3000);
    expect_int(kv_buckets_advance(kv, STR("{77}"), 3000, &count), 0);
    expect_int(kv_bucket_peek(kv, &mine, &s), 0);
    expect_true(s.allowed && s.remaining == 2);
    expect_int(kv_bucket_peek(kv, &other, &s), 0);
    expect_true(!s.allowed);
    expect_int(kv_buckets_advance(kv, STR("adv:"), 60000, &count), 0);
    expect_int(count, 1);
    expect_int(kv_buckets_list(kv, &a, STR("adv:"), 10, &found, &count), 0);
    expect_int(count, 0);
    arena_done(&a);
    kv_close(kv);
}

struct crowd {
    struct kv *kv;
    int allowed;
};

static void take_one(void *arg)
{
    struct crowd *c = arg;
    struct kv_bucket b = {"{crowd}", 10, 5000};
    struct kv_bucket_state s = {0};
    expect_int(kv_buckets_take(c->kv, &b, 1, &s), 0);
    c->allowed += s.allowed;
}

static void a_bucket_is_never_overdrawn(void)
{
    struct crowd c = {.kv = opened()};
    struct co_group g = {0};
    for (int i = 0; i < 200; i++)
        expect_int(co_group_spawn(&g, take_one, &c), 0);
    co_group_wait(&g);
    expect_int(c.allowed, 10);
    kv_close(c.kv);
}

static void leases(void)
{
    struct kv *kv = opened();
    uint64_t first = 0, second = 0, epoch = 0;
    unsigned number = 99;
    expect_int(kv_lease_take(kv, "job", "a", 300, &first), 0);
    expect_int(kv_lease_take(kv, "job", "b", 300, &second), -EBUSY);
    expect_int(kv_lease_renew(kv, "job", "b", first, 300), -EOWNERDEAD);
    expect_int(kv_lease_renew(kv, "job", "a", first, 300), 0);
    co_sleep(400);
    expect_int(kv_lease_renew(kv, "job", "a", first, 300), -EOWNERDEAD);
    expect_int(kv_lease_take(kv, "job", "b", 300, &second), 0);
    expect_true(second > first); /* fencing */
    expect_int(kv_lease_release(kv, "job", "a", first), -EOWNERDEAD);
    expect_int(kv_lease_release(kv, "job", "b", second), 0);
    expect_int(kv_lease_take(kv, "job", "a", 300, &epoch), 0);
    expect_true(epoch > second);
    unsigned taken = 0;
    for (unsigned i = 0; i <= 2; i++) { /* in any order */
        expect_int(kv_lease_take_any(kv, "slot", "x", 2, 5000, &number, &epoch), 0);
        taken |= 1u << number;
    }
    expect_int(taken, 7);
    expect_int(kv_lease_take_any(kv, "slot", "x", 2, 5000, &number, &epoch), -EBUSY);
    kv_close(kv);
}

static void values(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct str got = STR_NONE;
    expect_int(kv_get(kv, &a, "v", &got), -ENOENT);
    expect_int(kv_put(kv, "v", (struct str){"a\0b", 3}, 300), 0);
    expect_int(kv_get(kv, &a, "v", &got), 0);
    expect_true(str_eq(got, (struct str){"a\0b", 3}));
    expect_int(kv_put_new(kv, &a, "v", STR("other"), 300, &got), -EEXIST);
    expect_int(got.n, 3);
    co_sleep(400);
    expect_int(kv_put_new(kv, &a, "v", STR("other"), 300, &got), 0);
    expect_int(kv_del(kv, "v"), 0);
    expect_int(kv_get(kv, &a, "v", &got), -ENOENT);
    arena_done(&a);
    kv_close(kv);
}

static bool names(const struct kv_route *r, const char *id)
{
    for (unsigned i = 0; i < r->node_count; i++)
        if (strcmp(r->node_ids[i], id) == 0)
            return true;
    return false;
}

static void topics(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct kv_route r[2];
    uint64_t topics[] = {71, 72}, ids[] = {1001, 1002}, numbers[2] = {9, 9}, found[4];
    expect_int(kv_topic_next(kv, &a, 71, 1000, r), 0);
    expect_int(r[0].number, 1);
    expect_int(kv_interest_add(kv, "n1", topics, 2, numbers), 0);
    expect_int(numbers[0], 1); /* what the snapshot that is loaded now holds at least */
    expect_int(numbers[1], 0);
    expect_int(kv_interest_add(kv, "n2", topics, 1, numbers), 0);
    expect_int(kv_topics_next(kv, &a, topics, ids, 2, r), 0);
    expect_int(r[0].number, 2);
    expect_int(r[1].number, 1);
    expect_true(names(&r[0], "n1") && names(&r[0], "n2") && names(&r[1], "n1") && !names(&r[1], "n2"));
    expect_int(kv_topic_route(kv, &a, 71, r), 0);
    expect_int(r[0].number, 0);
    expect_int(r[0].node_count, 2);
    expect_int(kv_interest_remove(kv, "n1", topics, 2), 0);
    expect_int(kv_topic_next(kv, &a, 71, 1003, r), 0);
    expect_int(r[0].number, 3);
    expect_true(!names(&r[0], "n1") && names(&r[0], "n2"));
    expect_int(kv_topic_events(kv, 71, 1, 4, found), 0);
    expect_true(found[0] == 1000 && found[1] == 1001 && found[2] == 1003 && found[3] == 0);
    arena_done(&a);
    kv_close(kv);
}

/* The outbox publishes again what may have gone out already. */
static void an_event_keeps_its_number(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct kv_route r;
    uint64_t found[3];
    expect_int(kv_topic_next(kv, &a, 73, 2000, &r), 0);
    expect_int(kv_topic_next(kv, &a, 73, 2001, &r), 0);
    expect_int(r.number, 2);
    expect_int(kv_topic_next(kv, &a, 73, 2000, &r), 0);
    expect_int(r.number, 1);
    expect_int(kv_topic_next(kv, &a, 73, 2002, &r), 0);
    expect_int(r.number, 3);
    expect_int(kv_topic_events(kv, 73, 1, 3, found), 0);
    expect_true(found[0] == 2000 && found[1] == 2001 && found[2] == 2002);
    arena_done(&a);
    kv_close(kv);
}

/* More than one script call takes, known ones among them. */
static void many_events_of_two_topics_at_once(void)
{
    enum { COUNT = 300 };
    struct kv *kv = opened();
    struct arena a = {0};
    uint64_t *topics = ARENA_ARRAY(&a, uint64_t, COUNT), *ids = ARENA_ARRAY(&a, uint64_t, COUNT), found[100], last;
    struct kv_route *r = ARENA_ARRAY(&a, struct kv_route, COUNT), before;
    expect_int(kv_interest_add(kv, "n1", (uint64_t[]){75}, 1, &last), 0);
    expect_int(kv_topic_next(kv, &a, 74, 3004, &before), 0);
    expect_int(before.number, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        topics[i] = 74 + i % 2;
        ids[i] = 3000 + i;
    }
    expect_int(kv_topics_next(kv, &a, topics, ids, COUNT, r), 0);
    expect_int(r[4].number, 1);
    expect_int(r[0].number, 2);
    expect_int(r[298].number, 150);
    for (unsigned i = 1; i < COUNT; i += 2) {
        expect_int(r[i].number, i / 2 + 1);
        expect_true(names(&r[i], "n1"));
    }
    expect_int(kv_topics_next(kv, &a, topics, ids, COUNT, r), 0);
    expect_int(r[299].number, 150);
    expect_int(kv_topic_events(kv, 75, 1, 100, found), 0);
    for (unsigned i = 0; i < 100; i++)
        expect_int(found[i], 3001 + 2 * i);
    arena_done(&a);
    kv_close(kv);
}

static void many_topics_at_once(void)
{
    enum { COUNT = 3000 };
    struct kv *kv = opened();
    struct arena a = {0};
    uint64_t *ids = ARENA_ARRAY(&a, uint64_t, COUNT), *numbers = ARENA_ARRAY(&a, uint64_t, COUNT);
    for (uint64_t i = 0; i < COUNT; i++)
        ids[i] = 500000 + i;
    expect_int(kv_interest_add(kv, "big", ids, COUNT, numbers), 0);
    struct kv_route r;
    expect_int(kv_topic_next(kv, &a, ids[COUNT - 1], 5, &r), 0);
    expect_true(names(&r, "big"));
    arena_done(&a);
    kv_close(kv);
}

static struct str value_of(const struct kv_entry *list, unsigned count, const char *field)
{
    for (unsigned i = 0; i < count; i++)
        if (str_eq(list[i].field, str_c(field)))
            return list[i].value;
    return STR_NONE;
}

static int change(struct kv *kv, struct arena *a, const char *field, const char *value, struct kv_route *r)
{
    struct kv_change c = {.kind = KV_VOICE, .topic = 901, .field = str_c(field), .value = str_c(value)};
    return kv_entry_change(kv, a, &c, r);
}

static void entries(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct kv_route r;
    struct kv_entry *list;
    unsigned count;
    uint64_t version, topics[] = {900, 901}, versions[2 * KV_KINDS], number;
    struct str got;
    expect_int(kv_node_renew(kv, "e1", "ws://one", 60000, true), 0);
    expect_int(kv_interest_add(kv, "e1", &topics[1], 1, &number), 0);
    expect_int(kv_entries_list(kv, &a, KV_VOICE, 901, &list, &count, &version), 0);
    expect_int(count, 0);
    expect_int(version, 0);
    expect_int(change(kv, &a, "x", "one", &r), 0);
    expect_int(r.number, 1);
    expect_true(names(&r, "e1"));
    expect_int(change(kv, &a, "x", "one", &r), -EALREADY);
    expect_int(change(kv, &a, "y", "", &r), -EALREADY);
    expect_int(change(kv, &a, "y", "two \"\xc3\xa4\"", &r), 0);
    expect_int(r.number, 2);
    expect_int(kv_entries_list(kv, &a, KV_VOICE, 901, &list, &count, &version), 0);
    expect_int(count, 2);
    expect_int(version, 2);
    expect_true(str_eq(value_of(list, count, "y"), STR("two \"\xc3\xa4\"")));
    expect_int(kv_entry_get(kv, &a, KV_VOICE, 901, STR("x"), &got), 0);
    expect_true(str_eq(got, STR("one")));
    expect_int(kv_entry_get(kv, &a, KV_PRESENCE, 901, STR("x"), &got), -ENOENT);
    struct kv_entries both[2 * KV_KINDS];
    expect_int(kv_entries_load(kv, &a, topics, 2, both), 0);
    expect_int(both[KV_VOICE].count, 0);
    expect_int(both[KV_KINDS + KV_PRESENCE].count, 0);
    expect_int(both[KV_KINDS + KV_VOICE].count, 2);
    expect_int(both[KV_KINDS + KV_VOICE].version, 2);
    expect_true(str_eq(value_of(both[KV_KINDS + KV_VOICE].list, 2, "x"), STR("one")));
    expect_int(change(kv, &a, "x", "", &r), 0);
    expect_int(kv_entries_count(kv, KV_VOICE, 901, &count), 0);
    expect_int(count, 1);
    expect_int(kv_entries_versions(kv, topics, 2, versions), 0);
    expect_int(versions[KV_VOICE], 0);
    expect_int(versions[KV_KINDS + KV_VOICE], 3);
    expect_int(versions[KV_KINDS + KV_PRESENCE], 0);
    arena_done(&a);
    kv_close(kv);
}

static void conditions_of_an_entry(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct kv_route r;
    struct kv_change c = {.kind = KV_PRESENCE, .topic = 902, .field = STR("x"), .value = STR("b"), .expect = STR("a")};
    expect_int(kv_entry_change(kv, &a, &c, &r), -EAGAIN);
    c = (struct kv_change){
        .kind = KV_PRESENCE, .topic = 902, .field = STR("x"), .value = STR("abc"), .if_version = true};
    expect_int(kv_entry_change(kv, &a, &c, &r), 0);
    c.value = STR("abd");
    expect_int(kv_entry_change(kv, &a, &c, &r), -EAGAIN);
    c.version = 1;
    c.expect = STR("ab");
    expect_int(kv_entry_change(kv, &a, &c, &r), 0);
    expect_int(r.number, 2);
    c = (struct kv_change){.kind = KV_PRESENCE, .topic = 902, .field = STR("x"), .expect = STR("abc")};
    expect_int(kv_entry_change(kv, &a, &c, &r), -EAGAIN);
    c.expect = STR("abd");
    expect_int(kv_entry_change(kv, &a, &c, &r), 0);
    arena_done(&a);
    kv_close(kv);
}

static void nodes(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct kv_node *list;
    unsigned count;
    expect_int(kv_node_renew(kv, "g1", "ws://one", 400, true), 0);
    expect_int(kv_node_renew(kv, "g2", "ws://two", 2000, true), 0);
    expect_int(kv_nodes_list(kv, &a, &list, &count), 0);
    expect_int(count, 2);
    expect_int(kv_node_renew(kv, "g1", "ws://one", 400, false), 0);
    co_sleep(500);
    expect_int(kv_node_renew(kv, "g1", "ws://one", 400, false), -EOWNERDEAD);
    expect_int(kv_nodes_list(kv, &a, &list, &count), 0);
    expect_int(count, 1);
    expect_text(list[0].id, "g2");
    expect_text(list[0].url, "ws://two");
    expect_int(kv_node_remove(kv, "g2"), 0);
    expect_int(kv_nodes_list(kv, &a, &list, &count), 0);
    expect_int(count, 0);
    arena_done(&a);
    kv_close(kv);
}

/* --- Redis only --- */

static int changes, returns;

static void on_incarnation(bool changed, void *arg)
{
    (void)arg;
    returns++;
    changes += changed;
}

static void a_restart_is_a_new_incarnation(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct kv_route r;
    uint64_t topic = 4711, number, epoch, later;
    kv_on_incarnation(kv, on_incarnation, NULL);
    changes = returns = 0;
    expect_int(kv_node_renew(kv, "g1", "ws://one", 60000, true), 0);
    struct kv_node *list;
    unsigned count;
    expect_int(kv_nodes_list(kv, &a, &list, &count), 0);
    expect_int(kv_interest_add(kv, "g1", &topic, 1, &number), 0);
    expect_int(kv_topic_next(kv, &a, topic, 1, &r), 0);
    expect_int(r.number, 1);
    expect_int(kv_lease_take(kv, "fence", "me", 60000, &epoch), 0);

    services_await("restart", "redis");
    for (int i = 0; changes == 0 && i < 200; i++)
        co_sleep(50);
    expect_int(changes, 1);
    expect_int(kv_topic_next(kv, &a, topic, 2, &r), 0);
    expect_int(r.number, 1);
    expect_true(r.all && names(&r, "g1")); /* nobody has registered: everyone known gets it */
    expect_int(kv_node_renew(kv, "g1", "ws://one", 60000, false), 0);
    expect_int(kv_interest_add(kv, "g1", &topic, 1, &number), 0);
    expect_int(number, 1);
    expect_int(kv_lease_renew(kv, "fence", "me", epoch, 1), 0 /* the append-only file kept it */);
    co_sleep(20);
    expect_int(kv_lease_take(kv, "fence", "you", 60000, &later), 0);
    expect_true(later > epoch);
    arena_done(&a);
    kv_close(kv);
}

static void without_redis_every_call_says_so(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct kv_bucket b = {"{gone}", 10, 5000};
    struct kv_bucket_state s;
    struct kv_route r;
    struct str got;
    uint64_t epoch;
    services_await("kill", "redis");
    int64_t begun = clock_mono_ms();
    expect_int(kv_buckets_take(kv, &b, 1, &s), -EHOSTDOWN);
    expect_int(kv_topic_next(kv, &a, 1, 1, &r), -EHOSTDOWN);
    expect_int(kv_lease_take(kv, "x", "y", 100, &epoch), -EHOSTDOWN);
    expect_int(kv_get(kv, &a, "x", &got), -EHOSTDOWN);
    expect_true(clock_mono_ms() - begun < 25000);
    expect_true(!kv_ready(kv));
    services_await("start", "redis");
    for (int i = 0; !kv_ready(kv) && i < 200; i++)
        co_sleep(50);
    expect_int(kv_buckets_take(kv, &b, 1, &s), 0);
    arena_done(&a);
    kv_close(kv);
}

int main(void)
{
    const struct CMUnitTest contract[] = {
        CO_TEST(buckets),
        CO_TEST(buckets_are_listed_and_advanced),
        CO_TEST(a_bucket_is_never_overdrawn),
        CO_TEST(leases),
        CO_TEST(values),
        CO_TEST(topics),
        CO_TEST(an_event_keeps_its_number),
        CO_TEST(many_events_of_two_topics_at_once),
        CO_TEST(many_topics_at_once),
        CO_TEST(nodes),
        CO_TEST(entries),
        CO_TEST(conditions_of_an_entry),
    };
    const struct CMUnitTest redis_only[] = {
        CO_TEST(a_restart_is_a_new_incarnation),
        CO_TEST(without_redis_every_call_says_so),
    };
    int failed = cmocka_run_group_tests_name("kv in process", contract, NULL, NULL);
    url = services_env("REDIS_URL");
    failed += cmocka_run_group_tests_name("kv on Redis", contract, NULL, NULL);
    return failed + cmocka_run_group_tests_name("kv and a Redis that fails", redis_only, NULL, NULL);
}
