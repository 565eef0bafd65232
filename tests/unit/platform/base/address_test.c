/* address.c: where addresses lead. */
#include "tests/support/cm.h"

#include "platform/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static enum address_scope scope(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return address_scope_of((struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_scope_of((struct sockaddr *)&v6);
}

static void tells_scopes(void **state)
{
    static const char *const own[] = {
        "0.0.0.0",       "10.1.2.3",    "100.64.0.1",     "169.254.169.254", "172.16.0.1",      "172.31.255.255",
        "192.168.1.1",   "198.18.0.1",  "198.19.255.255", "224.0.0.1",       "255.255.255.255", "::",
        "fe80::1",       "fd00::1",     "fc00::1",        "ff02::1",         "::ffff:10.0.0.1", "64:ff9b::a00:1",
        "2002:a00:1::1", "2001:db8::1", "2001::1",        "::10.0.0.1",
    };
    static const char *const open[] = {"1.1.1.1",        "9.255.255.255",   "100.128.0.1",          "172.32.0.1",
                                       "192.169.0.1",    "2606:4700::1111", "2001:4860:4860::8888", "::ffff:1.1.1.1",
                                       "2002:101:101::1"};
    static const char *const loops[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"};
    struct sockaddr other = {.sa_family = AF_UNIX};

    (void)state;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (scope(own[i]) != ADDRESS_PRIVATE)
            fail_msg("%s", own[i]);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        if (scope(open[i]) != ADDRESS_PUBLIC)
            fail_msg("%s", open[i]);
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
        if (scope(loops[i]) != ADDRESS_LOOPBACK)
            fail_msg("%s", loops[i]);
    assert_int_equal(address_scope_of(&other), ADDRESS_PRIVATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tells_scopes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
