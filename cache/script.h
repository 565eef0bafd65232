/* The script behind batch.h: what one event does to the keys of one guild, all or nothing. */
#pragma once

/* KEYS[1] is the version; ARGV: epoch; generation and seq; ttl; head; then operations: a letter, and what it takes. */
extern const char *const cache_guarded_script;
#define GUARDED_ARGS 4 /* before the operations */
