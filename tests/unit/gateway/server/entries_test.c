#include "gateway/server/entries.h"
#include "platform/ports/kv.h"
#include "tests/support/cm.h"

#include <stdio.h>

static char told[512];

/* "user:old>new," for each change; new is the user's last value */
static void tell(struct entries_user *u, struct str old, void *arg)
{
    size_t n = strlen(told);
    const struct entry *e = u->first;

    (void)arg;
    while (e && !e->value.p)
        e = e->next;
    snprintf(told + n, sizeof told - n, "%llu:%.*s>%.*s,", (unsigned long long)u->user_id, STR_ARG(old),
             e ? (int)e->value.n : 0, e ? e->value.p : "");
}

static void expect_told(const char *text)
{
    assert_string_equal(told, text);
    *told = 0;
}

static void apply(struct entries *e, uint64_t version, const char *field, const char *value)
{
    entries_apply(e, version, str_c(field), str_c(value), tell, NULL);
}

static void in_order(void **state)
{
    (void)state;
    struct entries e;
    uint64_t version;
    entries_init(&e);
    apply(&e, 1, "7:a", "x");
    apply(&e, 2, "7:b", "y");
    apply(&e, 3, "7:a", "x");
    apply(&e, 4, "7:a", "");
    expect_told("7:>x,7:>y,7:x>y,");
    assert_false(entries_behind(&e));
    assert_null(entries_value(&e, 7, STR("a"), &version).p);
    assert_str(entries_value(&e, 7, STR("b"), &version), "y");
    assert_int_equal(version, 2);
    apply(&e, 5, "7:b", "");
    assert_null(entries_user(&e, 7));
    apply(&e, 6, "no field", "z");
    apply(&e, 6, "9:much-too-long-an-owner", "z");
    expect_told("7:y>,");
    entries_done(&e);
}

static void out_of_order(void **state)
{
    (void)state;
    struct entries e;
    entries_init(&e);
    apply(&e, 3, "7", ""); /* removed before it is heard of */
    assert_true(entries_behind(&e));
    apply(&e, 2, "7", "x");
    expect_told("");
    assert_true(entries_behind(&e));
    apply(&e, 1, "8", "y");
    assert_false(entries_behind(&e));
    assert_int_equal(e.version, 3);
    assert_null(entries_user(&e, 7));
    apply(&e, 2, "7", "x"); /* again */
    expect_told("8:>y,");
    apply(&e, 200, "9", "far");
    assert_true(entries_behind(&e));
    entries_done(&e);
}

static void loaded(void **state)
{
    (void)state;
    struct entries e;
    struct kv_entry list[] = {{STR("1"), STR("one")}, {STR("2"), STR("two")}};
    entries_init(&e);
    apply(&e, 1, "1", "old");
    apply(&e, 2, "3", "gone");
    apply(&e, 8, "4", "later");
    apply(&e, 10, "2", "later");
    *told = 0;
    entries_load(&e, list, 2, 7, tell, NULL);
    expect_told("1:old>one,3:gone>,");
    assert_int_equal(e.version, 8);
    assert_true(entries_behind(&e)); /* 9 */
    apply(&e, 9, "1", "");
    assert_false(entries_behind(&e));
    assert_int_equal(e.version, 10);
    e.expected = 11;
    assert_true(entries_behind(&e));
    entries_done(&e);
}

static void begun_again(void **state)
{
    (void)state;
    struct entries e;
    struct kv_entry list[] = {{STR("1"), STR("one")}};
    entries_init(&e);
    apply(&e, 1, "1", "one");
    apply(&e, 2, "2", "two");
    *told = 0;
    entries_reset(&e);
    assert_true(entries_behind(&e));
    apply(&e, 1, "1", "one"); /* put again */
    expect_told("");
    entries_load(&e, list, 1, 1, tell, NULL);
    expect_told("2:two>,");
    assert_false(entries_behind(&e));
    entries_done(&e);
}

static bool of_a(struct entry *entry, void *arg)
{
    return strcmp(entry->owner, arg) == 0;
}

static void dropped(void **state)
{
    (void)state;
    struct entries e;
    entries_init(&e);
    apply(&e, 1, "1:a", "x");
    apply(&e, 2, "1:b", "y");
    apply(&e, 3, "2:a", "z");
    *told = 0;
    entries_drop(&e, of_a, (char *)(uintptr_t) "a", tell, NULL);
    assert_null(entries_user(&e, 2));
    assert_non_null(entries_user(&e, 1));
    assert_non_null(strstr(told, "1:x>y,"));
    assert_non_null(strstr(told, "2:z>,"));
    *told = 0;
    entries_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),    cmocka_unit_test(out_of_order), cmocka_unit_test(loaded),
        cmocka_unit_test(begun_again), cmocka_unit_test(dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
