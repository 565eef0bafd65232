/* Argon2id (libsodium) on the thread pool. LIMIT_PASSWORD_JOBS run at once, LIMIT_PASSWORD_WAITING wait in line. */
#include "platform/api/auth/password.h"

#include "platform/base/limits.h"
#include "platform/io/co.h"

#include <errno.h>
#include <sodium.h>

/* OWASP's equivalent of 19 MiB and 2 passes with less memory, so that `dev` stays small; about 20 ms. */
#define OPS          5
#define MEMORY_BYTES (7u << 20)

struct waiter {
    struct co *co;
    struct waiter *next;
};

static struct {
    unsigned running, waiting;
    struct waiter *head, **tail;
} gate = {.tail = &gate.head};

static int gate_enter(void)
{
    struct waiter w = {.co = co_self()};

    if (gate.running < LIMIT_PASSWORD_JOBS) {
        gate.running++;
        return 0;
    }
    if (gate.waiting >= LIMIT_PASSWORD_WAITING)
        return -EAGAIN;
    gate.waiting++;
    *gate.tail = &w;
    gate.tail = &w.next;
    co_suspend(); /* whoever resumes it leaves its place to it */
    return 0;
}

static void gate_leave(void)
{
    struct waiter *w = gate.head;

    if (!w) {
        gate.running--;
        return;
    }
    gate.waiting--;
    gate.head = w->next;
    if (!gate.head)
        gate.tail = &gate.head;
    co_resume(w->co);
}

struct job {
    struct str password;
    char hash[crypto_pwhash_STRBYTES];
    bool verify;
    int result;
};

static void work(void *arg)
{
    struct job *j = arg;

    j->result = j->verify ? crypto_pwhash_str_verify(j->hash, j->password.p, j->password.n)
                          : crypto_pwhash_str(j->hash, j->password.p, j->password.n, OPS, MEMORY_BYTES);
}

static int run(struct job *j)
{
    int r = gate_enter();

    if (r < 0)
        return r;
    co_work(work, j);
    gate_leave();
    return 0;
}

int password_hash(struct arena *a, struct str password, struct str *ret)
{
    struct job *j = ARENA_NEW(a, struct job);
    j->password = password;
    int r = run(j);

    if (r < 0)
        return r;
    if (j->result != 0)
        return -ENOMEM;
    *ret = str_c(j->hash);
    return 0;
}

int password_verify(struct str password, struct str hash)
{
    struct job j = {.password = password, .verify = hash.n > 0 && hash.n < crypto_pwhash_STRBYTES};

    if (j.verify)
        memcpy(j.hash, hash.p, hash.n);
    int r = run(&j); /* without a hash one is computed, for the time it takes */
    if (r < 0)
        return r;
    return j.verify && j.result == 0 ? 0 : -EACCES;
}
