/* The contract of `objects`, in memory and in files; and signed links. */
#include "tests/support/co_test.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/ports/objects.h"

#include <errno.h>
#include <sodium.h>
#include <unistd.h>

static const char *dir; /* NULL: in memory */

static void put_get_delete(void)
{
    struct buf err = {0}, out = {0};
    struct arena a = {0};
    struct str type;
    struct objects *o = objects_open(dir, &err);
    struct str key = STR("attachments/1/2/a.png");
    expect_true(o != NULL);
    expect_int(objects_get(o, key, &out, &a, &type), -ENOENT);
    expect_int(objects_put(o, key, (struct str){"\0\1\2", 3}, "image/png"), 0);
    expect_int(objects_get(o, key, &out, &a, &type), 0);
    expect_true(str_eq(buf_str(&out), (struct str){"\0\1\2", 3}));
    expect_text(type, "image/png");
    buf_clear(&out);
    expect_int(objects_put(o, key, STR("longer than before"), "text/plain"), 0);
    expect_int(objects_get(o, key, &out, &a, &type), 0);
    expect_text(buf_str(&out), "longer than before");
    expect_text(type, "text/plain");
    expect_int(objects_delete(o, key), 0);
    expect_int(objects_delete(o, key), -ENOENT);
    buf_done(&out);
    arena_done(&a);
    objects_close(o);
}

static void bad_keys_are_refused(void)
{
    static const char *const bad[] = {"",          "/etc/passwd", "a//b", "a/../b", "../a",
                                      "a/.hidden", "a/",          "a b",  "a/\x01", "a+type"};
    struct buf err = {0};
    struct objects *o = objects_open(dir, &err);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_int(objects_put(o, str_c(bad[i]), STR("x"), "text/plain"), -EINVAL);
    char part[256] = {0};
    memset(part, 'p', 201);
    expect_int(objects_put(o, str_c(part), STR("x"), "text/plain"), -EINVAL);
    part[200] = 0;
    expect_int(objects_put(o, str_c(part), STR("x"), "text/plain"), 0);
    objects_close(o);
}

static void links(void)
{
    struct arena a = {0};
    struct str secret = STR("0123456789abcdef0123456789abcdef"), key = STR("attachments/1/2/a.png");
    struct str link = objects_sign(&a, secret, key, 1000000, 60000);
    struct str query = {link.p + 1, link.n - 1};
    expect_true(link.p[0] == '?');
    expect_int(objects_check(secret, key, query, 1059000), 0);
    expect_int(objects_check(secret, key, query, 1060000), -ESTALE);
    expect_int(objects_check(secret, STR("attachments/1/2/b.png"), query, 1000000), -EACCES);
    expect_int(objects_check(STR("another"), key, query, 1000000), -EACCES);
    expect_int(objects_check(secret, key, STR("ex=1&is=1&hm=00"), 1000000), -EACCES);
    expect_int(objects_check(secret, key, STR_NONE, 1000000), -EACCES);
    char *forged = arena_strdup(&a, query);
    forged[3] = forged[3] == 'f' ? 'e' : 'f'; /* a later end under the same signature */
    expect_int(objects_check(secret, key, str_c(forged), 1000000), -EACCES);
    arena_done(&a);
}

static void memory_is_bounded(void)
{
    struct buf err = {0};
    struct objects *o = objects_open(NULL, &err);
    size_t n = 16u << 20;
    char *bytes = mem_zalloc(n);
    int stored = 0;
    for (char key[] = "a"; objects_put(o, str_c(key), (struct str){bytes, n}, "x/y") == 0; key[0]++)
        stored++;
    expect_int(stored, LIMIT_OBJECTS_MEMORY_BYTES / n);
    mem_free(bytes);
    objects_close(o);
}

int main(void)
{
    const struct CMUnitTest contract[] = {CO_TEST(put_get_delete), CO_TEST(bad_keys_are_refused)};
    const struct CMUnitTest others[] = {CO_TEST(links), CO_TEST(memory_is_bounded)};
    static char folder[] = "/tmp/guildhall-objects-XXXXXX";
    if (sodium_init() < 0 || !mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests_name("objects in memory", contract, NULL, NULL);
    dir = folder;
    failed += cmocka_run_group_tests_name("objects in files", contract, NULL, NULL);
    failed += cmocka_run_group_tests_name("links and limits", others, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return failed + (system(command) != 0); // NOLINT(cert-env33-c): our own folder
}
