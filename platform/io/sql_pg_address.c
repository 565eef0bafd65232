/* Names to addresses for libpq, whose own resolving would block the loop. Runs on the thread pool. */
#include "platform/io/sql_pg.h"

#include <netdb.h>

static struct str next_item(const char **list)
{
    const char *p = *list;
    size_t n = strcspn(p, ",");
    *list = p[n] ? p + n + 1 : p + n;
    return (struct str){p, n};
}

static void add_address(struct pg_addresses *ret, struct str host, const char *address, struct str port)
{
    const char *comma = ret->hosts.len || ret->ports.len || ret->addresses.len ? "," : "";
    buf_addf(&ret->hosts, "%s%.*s", comma, STR_ARG(host));
    buf_addf(&ret->addresses, "%s%s", comma, address);
    buf_addf(&ret->ports, "%s%.*s", comma, STR_ARG(port));
}

static bool find_one(struct str host, struct str port, struct pg_addresses *ret)
{
    char name[256];
    if (host.n == 0 || host.p[0] == '/' || host.p[0] == '@' || host.n >= sizeof(name)) {
        add_address(ret, host, "", port); /* a Unix socket: nothing to resolve */
        return true;
    }
    memcpy(name, host.p, host.n);
    name[host.n] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return false;
    for (struct addrinfo *ai = found; ai; ai = ai->ai_next) {
        char address[NI_MAXHOST];
        if (getnameinfo(ai->ai_addr, ai->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST) == 0)
            add_address(ret, host, address, port);
    }
    freeaddrinfo(found);
    return true;
}

bool pg_addresses_find(const char *hosts, const char *ports, struct pg_addresses *ret)
{
    bool any = false;
    bool one_port = !ports || !strchr(ports, ',');
    do {
        struct str host = next_item(&hosts);
        struct str port = one_port ? str_c(ports ? ports : "") : next_item(&ports);
        any |= find_one(host, port, ret);
    } while (*hosts);
    return any;
}

void pg_addresses_done(struct pg_addresses *a)
{
    buf_done(&a->hosts);
    buf_done(&a->addresses);
    buf_done(&a->ports);
}
