/* Scopes of addresses. Pure; any thread. Source: RFC 6890, the registries of special-purpose addresses. */
#include "platform/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static enum address_scope scope_of_v4(uint32_t ip)
{
    static const struct {
        uint32_t net;
        int bits;
    } own[] = {
        {0x00000000, 8},  {0x0A000000, 8},  {0x64400000, 10}, {0xA9FE0000, 16}, {0xAC100000, 12},
        {0xC0000000, 24}, {0xC0000200, 24}, {0xC0586300, 24}, {0xC0A80000, 16}, {0xC6120000, 15},
        {0xC6336400, 24}, {0xCB007100, 24}, {0xE0000000, 3}, /* multicast and what is reserved above */
    };

    if (ip >> 24 == 127)
        return ADDRESS_LOOPBACK;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!((ip ^ own[i].net) >> (32 - own[i].bits)))
            return ADDRESS_PRIVATE;
    return ADDRESS_PUBLIC;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Only 2000::/3 is given out; in it 2001::/23 and 2001:db8::/32 are special, and 2002::/16 carries IPv4. */
static enum address_scope scope_of_v6(const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF}, translated[12] = {0, 0x64, 0xFF, 0x9B},
                         one[16] = {[15] = 1};

    if (memcmp(ip, one, 16) == 0)
        return ADDRESS_LOOPBACK;
    if (memcmp(ip, mapped, 12) == 0 || memcmp(ip, translated, 12) == 0)
        return scope_of_v4(be32(ip + 12));
    if (ip[0] >> 5 != 1)
        return ADDRESS_PRIVATE;
    uint32_t head = be32(ip);
    if (head >> 16 == 0x2002)
        return scope_of_v4(be32(ip + 2));
    return head >> 9 == 0x20010000u >> 9 || head == 0x20010DB8 ? ADDRESS_PRIVATE : ADDRESS_PUBLIC;
}

enum address_scope address_scope_of(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        return scope_of_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family != AF_INET6)
        return ADDRESS_PRIVATE;
    memcpy(&v6, address, sizeof v6);
    return scope_of_v6(v6.sin6_addr.s6_addr);
}
