/* Where a network address leads: for requests whose target somebody else names. Pure; any thread. */
#pragma once

#include <sys/socket.h>

enum address_scope {
    ADDRESS_PUBLIC,   /* of the Internet */
    ADDRESS_LOOPBACK, /* this machine */
    ADDRESS_PRIVATE,  /* networks of one's own, link-local ones (metadata services), multicast, and what is reserved */
};

/* IPv4 (also inside IPv6) and IPv6; every other family is private. Source: RFC 6890 and the registries it opens. */
enum address_scope address_scope_of(const struct sockaddr *address);
