/* Dispatch fan-out: MESSAGE_CREATE to many sessions, one at a time and in bursts of 16, beside a bare loop that sends
 * frames of the same length to as many sockets with send() (a burst in one call) and beside npm's ws. All stand side by
 * side in one run and take turns; what is compared is each round's processor time of the whole process for each
 * recipient of an event, and the wall time until the last one has it. Medians of the rounds, and of their ratios. */
#include "tests/bench/bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ROUNDS      15
#define SENDERS_MAX 5
#define SPARE_FILES 100
#define DELIVERIES  16000 /* of a sender in a round, about */
#define BURSTS_MAX  100

struct figures {
    double cpu_us, wall_us;
};

struct contest {
    struct sender senders[SENDERS_MAX]; /* the first is the gateway, the second the bare loop */
    struct figures rounds[SENDERS_MAX][ROUNDS];
    int count, sessions, burst;
};

static struct figures turn(struct sender *s, int sessions, int burst)
{
    int bursts = DELIVERIES / sessions / burst;
    bursts = bursts < 1 ? 1 : bursts > BURSTS_MAX ? BURSTS_MAX : bursts;
    uint64_t cpu = process_cpu_ns(s->pid), wall = now_ns();
    for (int i = 0; i < bursts; i++) {
        sender_send(s, burst);
        sender_take(s, burst);
    }
    double deliveries = (double)bursts * burst * sessions * 1e3;
    return (struct figures){(double)(process_cpu_ns(s->pid) - cpu) / deliveries,
                            (double)(now_ns() - wall) / deliveries};
}

static void run(struct contest *c)
{
    for (int i = 0; i < c->count; i++)
        turn(&c->senders[i], c->sessions, c->burst);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < c->count; i++) {
            int k = (i + round) % c->count; /* nobody is always the first */
            c->rounds[k][round] = turn(&c->senders[k], c->sessions, c->burst);
        }
}

static double middle(const struct contest *c, int who, bool wall)
{
    double values[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        values[i] = wall ? c->rounds[who][i].wall_us : c->rounds[who][i].cpu_us;
    return median(values, ROUNDS);
}

/* How many times what `a` took did `b` take, in the same round? */
static double ratio(const struct contest *c, int b, int a, bool wall)
{
    double values[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        const struct figures *x = &c->rounds[a][i], *y = &c->rounds[b][i];
        values[i] = wall ? y->wall_us / x->wall_us : y->cpu_us / x->cpu_us;
    }
    return median(values, ROUNDS);
}

static void tell(const struct contest *c)
{
    for (int i = 0; i < c->count; i++) {
        printf(
            "fanout sessions=%d burst=%d %-22s %5zu bytes: %6.2f us of processor time for each recipient, wall %6.2f",
            c->sessions, c->burst, c->senders[i].name, c->senders[i].frame_bytes, middle(c, i, false),
            middle(c, i, true));
        if (i != 1)
            printf("; %.2f of the send() loop's speed (wall %.2f)", ratio(c, 1, i, false), ratio(c, 1, i, true));
        if (i > 1)
            printf("; gateway is %.2fx (wall %.2fx)", ratio(c, i, 0, false), ratio(c, i, 0, true));
        printf("\n");
    }
    fflush(stdout);
}

void bench_fanout(const char *bin, int sessions)
{
    static struct contest c;
    struct rlimit files = {0};
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    bool all = (rlim_t)sessions * SENDERS_MAX + SPARE_FILES < files.rlim_cur;
    c = (struct contest){.sessions = sessions};
    sender_gateway(&c.senders[c.count++], "gateway", sessions, "");
    sender_bare(&c.senders[c.count++], sessions, c.senders[0].frame_bytes);
    if (!all)
        printf("fanout: the limit of descriptors leaves room for two senders of %d sessions only\n", sessions);
    if (all) {
        sender_gateway(&c.senders[c.count++], "gateway, zlib-stream", sessions, "&compress=zlib-stream");
        sender_dev(&c.senders[c.count++], bin, sessions);
    }
    if (all && sender_ws(&c.senders[c.count], sessions, c.senders[0].frame_bytes - 4))
        c.count++;
    else if (all)
        printf("fanout: npm's ws is not installed (tests/clients/installs.py build/clients-cache discordjs)\n");
    for (c.burst = 1; c.burst <= 16; c.burst *= 16) {
        run(&c);
        tell(&c);
    }
    for (int i = 0; i < c.count; i++)
        sender_stop(&c.senders[i]);
}
