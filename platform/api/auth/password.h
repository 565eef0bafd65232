/* Passwords: Argon2id on the thread pool, a bounded number at once, so that a flood of logins costs neither memory nor
 * the loop. Coroutine. */
#pragma once

#include "platform/base/arena.h"

/* 0 and the hash (with its parameters) in the arena; -EAGAIN: too many wait already; -ENOMEM. */
int password_hash(struct arena *a, struct str password, struct str *ret);
/* 0; -EACCES: wrong. hash STR_NONE (no such user) takes as long and is always wrong. -EAGAIN. */
int password_verify(struct str password, struct str hash);
