/* Which layout the application's keys are in, so that a program never meets keys of another one. */
#pragma once

#include "cache/reader.h"

#define CACHE_SCHEMA "2" /* changes whenever a key's type or what it holds does */

/* Before anything is written: where the cache is of another layout (or of one before there were numbers), all of it
 * goes, slice by slice, by one process at a time, and the shards' sessions with it, so that they begin anew and are
 * told everything again. Coroutine only. 0, -EAGAIN (another process is at it: ask again), -EHOSTDOWN. */
int cache_schema_open(const struct cache *c);
