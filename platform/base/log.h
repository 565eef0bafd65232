/* Structured logs on standard error: one line an event, logfmt or JSON (setting log_format). `fmt` writes the fields
 * as key=value separated by single blanks; a value that may hold blanks is written key="%s". Libraries do not log:
 * the component that decides logs once and names the object. Any thread. */
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* component: static string put on every line, e.g. "gateway". */
void log_init(const char *component, enum log_level level, bool json);
/* "debug", "info", "warn", "error"; LOG_LEVEL_INFO for anything else. */
enum log_level log_level_of(const char *name);
void log_write(enum log_level level, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool log_enabled(enum log_level level);

#define LOG_DEBUG(event, ...) (log_enabled(LOG_LEVEL_DEBUG) ? log_write(LOG_LEVEL_DEBUG, event, __VA_ARGS__) : (void)0)
#define LOG_INFO(event, ...)  log_write(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define LOG_WARN(event, ...)  log_write(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define LOG_ERROR(event, ...) log_write(LOG_LEVEL_ERROR, event, __VA_ARGS__)
