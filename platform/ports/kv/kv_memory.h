/* Private to kv_memory*.c: `kv` inside one process. */
#pragma once

#include "platform/ports/kv/kv_private.h"

/* kv_memory_sessions.c */
struct kv_memory_sessions;
struct kv_memory_sessions *kv_memory_sessions_new(void);
void kv_memory_sessions_free(struct kv_memory_sessions *m);
struct kv_memory_sessions *kv_memory_sessions_of(struct kv *kv); /* kv_memory.c */

int kv_memory_sessions_put(struct kv *kv, const struct kv_session *sessions, unsigned count, int64_t ttl_ms,
                           bool *ret_lost);
int kv_memory_session_get(struct kv *kv, struct arena *a, const char *id, struct str *ret_owner, struct str *ret_value);
int kv_memory_session_claim(struct kv *kv, const char *id, const char *from, const char *to, int64_t ttl_ms);
int kv_memory_session_del(struct kv *kv, const char *id, const char *owner);
void kv_memory_log_append(struct kv *kv, const struct kv_log_append *l, void (*fn)(int error, void *arg), void *arg);
int kv_memory_log_read(struct kv *kv, struct arena *a, const char *log, uint64_t from, unsigned max,
                       struct kv_log_entry **ret, unsigned *ret_count);
int kv_memory_log_numbers(struct kv *kv, const char *log, const uint64_t *topics, unsigned count,
                          uint64_t *ret_numbers);
int kv_memory_log_drop(struct kv *kv, const char *log);
