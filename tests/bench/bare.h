/* What a worker is compared with: rabbitmq-c in straight loops, on the queues, with the headers and the prefetch that
 * shards and workers use. Blocking; each in a process of its own. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bare;
/* Connects to AMQP_URL, where a worker has declared the queues. Exits on failure, as all of these do. */
struct bare *bare_open(void);
/* Persistent, as event n of a session, in its guild's partition. */
void bare_publish(struct bare *b, unsigned n, uint64_t stamp);
/* Until the broker has confirmed all that was published. */
void bare_confirmed(struct bare *b);
/* Consumes every `of`-th partition from `first` on and then calls ready(); acknowledges each message after told(). */
_Noreturn void bare_consume(struct bare *b, unsigned first, unsigned of, void (*ready)(void),
                            void (*told)(const char *body, size_t bytes));
