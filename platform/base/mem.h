/* The one allocator façade. Small allocations never return NULL: a process that cannot have a few bytes stops, and
 * because nothing is acknowledged before it is stored, stopping loses nothing. What a stranger's input sizes (bodies,
 * uploads, buffers) uses mem_try, and failure becomes an error to that stranger. Any thread. */
#pragma once

#include <stddef.h>

void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *p, size_t size);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
void mem_free(void *p);

/* As realloc (p may be NULL); NULL when there is no memory, p stays valid then. */
void *mem_try_realloc(void *p, size_t size);

/* Tests: the n-th mem_try_realloc from now fails (0 = never). */
void mem_fail_nth(unsigned n);

#define MEM_NEW(type) ((type *)mem_zalloc(sizeof(type)))

/* `MEM_AUTO char *s = mem_strdup(x);` frees at scope end. */
void mem_auto_free(void *pp);
#define MEM_AUTO __attribute__((cleanup(mem_auto_free)))
