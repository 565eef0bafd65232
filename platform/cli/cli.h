/* The commands of the binary, and what several of them share. Loop thread. */
#pragma once

#include "platform/api/api.h"
#include "platform/ports/tokens.h"

#include <jansson.h>

/* Each runs until it is told to stop and returns the exit code. */
int dev_main(void);
int api_main(void);
int gateway_main(void);
int ctl_main(int argc, char **argv);

/* The components whose metrics a command's process has, as metrics_show takes them; NULL: no such command. */
const char *command_metrics(const char *command);

/* --- platform.c: the ports and what stands on them ------------------------------------------------------------------
 */
struct platform {
    struct ports ports;
    struct token_registry *tokens;
    bool ready; /* database there, schema current, tokens loaded */
};

struct platform_urls {
    const char *database; /* never NULL */
    int database_connections;
    const char *redis, *amqp; /* NULL: embedded */
    bool bus_durable;
    const char *objects_dir; /* NULL: in memory */
    struct str secret;
};

/* Opens the ports; connecting goes on in the background. 0, or -EINVAL and one line in err. */
int platform_open(struct platform *p, const struct platform_urls *urls, struct buf *err);
void platform_close(struct platform *p);

/* Coroutine: waits until database, kv and bus answer, brings the schema up to date (or checks that it is), loads the
 * tokens, and takes a snowflake worker id unless `worker_id` names one. Logs and tries again while servers are away; 0,
 * or -ECANCELED after platform_stop_waiting, -ESTALE/-EPROTO: the schema is not this binary's (logged). */
int platform_start(struct platform *p, bool migrate, int worker_id);
void platform_stop_waiting(void);
/* The snowflake worker id of this process. */
unsigned platform_worker_id(void);
/* Coroutine: gives the worker id back. */
void platform_release(struct platform *p);

/* --- ready.c: the one line on standard output when a command is ready
 * ------------------------------------------------- */
void ready_print(struct buf *json);
/* Prints err's line on standard error and returns the exit code for a wrong setting. */
int usage_error(const struct buf *err);

/* --- seed.c
 * ------------------------------------------------------------------------------------------------------------ */
/* Coroutine. Creates what the file says and is not there yet; writes "users":[...],"bots":[...] members into `out`.
 * 0; -EINVAL (err names what is wrong in the file), -ENOENT (no such file), sql errors. */
int seed_run(struct platform *p, const char *path, struct buf *out, struct buf *err);
/* Whether `root` has the shape of a seed file. 0, -EINVAL (err names the place in the file `path`). */
int seed_check(json_t *root, const char *path, struct buf *err);
