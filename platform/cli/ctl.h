/* The tools of `guildhall ctl` that are more than a few lines. */
#pragma once

#include <stdint.h>

/* ctl chat: runs until the end of input, or until the gateway ends it. Returns the exit code. */
int chat_main(void);

/* --application-id, else what --token begins with: the bot's user id, which all but the oldest applications share. 0:
 * none of both. */
uint64_t ctl_application(void);

/* ctl cache ...: reads the bot side's cache in --redis-url. Returns the exit code. */
int ctl_cache_main(int word_count, char **words);
void ctl_cache_help(void);

/* ctl nodes, sessions, http, buckets, limits, reset, drain, control: asks running processes over their control
 * endpoints. words: what follows the tool's name. -ENOENT: no such tool. Otherwise *ret_code is the exit code. */
int ctl_control_main(const char *tool, int word_count, char **words, int *ret_code);
void ctl_control_help(void);

/* ctl reshard, dlq: the bot side's. As ctl_control_main. */
int ctl_bot_main(const char *tool, int word_count, char **words, int *ret_code);
void ctl_bot_help(void);
/* Coroutine. ctl dlq with these words, on --amqp-url and --worker-group. 0, or an error that it has told. */
int dlq_run(uint64_t application, int word_count, char **words);

/* ctl proxy unlock: words are what follows `proxy`. Returns the exit code. */
int ctl_proxy_main(int word_count, char **words);
