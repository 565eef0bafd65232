/* What all proxies do to shared limits, each one atomic step of Redis. The bucket's rules are window.c's, in Lua; the
 * contract test runs one suite on both. A script's keys have one hash tag (the token).
 *
 * State of a bucket or token: a hash with the fields of struct window (or locked, blocked), and `h:<proxy>` = "count
 * until": permits that proxy holds. One that is not renewed until then was lost with its proxy. Times are Redis's own,
 * in milliseconds; ARGV[1] is "" or, for tests, the time. */
#pragma once

/* KEYS bucket, token, slots (of the token's global limit), routes; ARGV time, proxy, want, permit_ms, global limit (0:
 * none, -1: exempt), template ("" where the bucket is known), and what the proxy knows of the bucket, for a Redis that
 * does not: 0 | 1 limited | 2 unlimited, limit, remaining, reset id, reset after, length.
 * Answers {limiter_verdict, granted, wait_ms (-1: after the next report), bucket hash}. */
extern const char limiter_script_acquire[];
/* KEYS as above and the bucket that the answer is of; ARGV time, proxy, permits it holds now (-1: one less than it
 * did), permit_ms, 1 unused | 2 lost | 3 answered, exempt, template, bucket hash, answer: has_limit, limit, remaining,
 * reset id, reset after, success; scope of a 429 (-1: none), retry_after, locks, permits of the token (-1 likewise). */
extern const char limiter_script_report[];
/* KEYS bucket or token; ARGV time, proxy, permits it holds now (-1: as many as before), permit_ms. */
extern const char limiter_script_hold[];
/* KEYS bucket; ARGV time, permit_ms, limit, remaining, reset id, reset after, length: an open window, as one proxy saw
 * it. */
extern const char limiter_script_teach[];
/* KEYS bucket; ARGV time, wait_ms, permit_ms. */
extern const char limiter_script_block[];
/* KEYS token. Answers whether it was locked. */
extern const char limiter_script_unlock[];
/* KEYS proxies; ARGV time, proxy, ttl_ms. Answers the live ones' names in order. */
extern const char limiter_script_beat[];
/* KEYS egress; ARGV time, invalid requests to add. Answers {time, age, count, age, count, ...}, ages in slots. */
extern const char limiter_script_guard[];
