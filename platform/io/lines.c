/* Standard input on a thread of its own, because a file or a terminal cannot be polled like a socket. The thread ends
 * with the input or with the process. */
#include "platform/io/lines.h"

#include "platform/base/mem.h"
#include "platform/io/loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void (*lines_fn)(struct str line, void *arg);
static void *lines_arg;

static void deliver(void *line)
{
    lines_fn(str_c(line), lines_arg);
    mem_free(line);
}

static void *read_lines(void *arg)
{
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n; (n = getline(&line, &cap, stdin)) >= 0;) {
        if (n && line[n - 1] == '\n')
            n--;
        loop_post_threadsafe(deliver, mem_strndup(line, (size_t)n));
    }
    free(line);
    loop_post_threadsafe(deliver, NULL);
    return arg;
}

void lines_start(void (*fn)(struct str line, void *arg), void *arg)
{
    pthread_t thread;
    lines_fn = fn;
    lines_arg = arg;
    if (pthread_create(&thread, NULL, read_lines, NULL) == 0)
        pthread_detach(thread);
}
