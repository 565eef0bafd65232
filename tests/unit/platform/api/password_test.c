/* password.c: hashes are good, wrong ones are not, and the line in front of the thread pool ends. */
#include "tests/support/co_test.h"

#include "platform/api/auth/password.h"
#include "platform/base/limits.h"

#include <errno.h>
#include <sodium.h>

static void verifies(void)
{
    struct arena a = {0};
    struct str hash, other;

    expect_int(password_hash(&a, STR("correct horse"), &hash), 0);
    expect_int(password_hash(&a, STR("correct horse"), &other), 0);
    expect_true(str_starts(hash, STR("$argon2id$")) && !str_eq(hash, other));
    expect_int(password_verify(STR("correct horse"), hash), 0);
    expect_int(password_verify(STR("wrong horse"), hash), -EACCES);
    expect_int(password_verify(STR("correct horse"), STR_NONE), -EACCES);
    expect_int(password_verify(STR("correct horse"), STR("$argon2id$broken")), -EACCES);
    arena_done(&a);
}

static unsigned busy, served;

static void logs_in(void *arg)
{
    (void)arg;
    int r = password_verify(STR("x"), STR_NONE);
    busy += r == -EAGAIN;
    served += r == -EACCES;
}

static void turns_away_what_does_not_fit_in_the_line(void)
{
    struct co_group g = {0};
    const unsigned fit = LIMIT_PASSWORD_JOBS + LIMIT_PASSWORD_WAITING;

    for (unsigned i = 0; i < fit + 5; i++)
        expect_int(co_group_spawn(&g, logs_in, NULL), 0);
    expect_int(busy, 5);
    co_group_wait(&g);
    expect_int(served, fit);
    expect_int(password_verify(STR("x"), STR_NONE), -EACCES); /* and is open again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {CO_TEST(verifies), CO_TEST(turns_away_what_does_not_fit_in_the_line)};
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
