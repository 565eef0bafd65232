/* Every bound of every queue, buffer and cache, in one place: what it bounds, and what happens when it is reached. */
#pragma once

/* bytes a buf may hold when its owner named no other limit; over it the buffer fails */
#define LIMIT_BUF_DEFAULT_BYTES (64u << 20)
/* label sets of all metrics together; over it they share one series */
#define LIMIT_METRIC_SERIES 4096
/* JSON nesting depth accepted from outside; deeper answers 50109 / close 4002 */
#define LIMIT_JSON_DEPTH 64

/* HTTP server */
#define LIMIT_HTTP_HEAD_BYTES         (32u << 10)  /* request line and headers; over it 431 */
#define LIMIT_HTTP_BODY_BYTES         (26u << 20)  /* body; over it 413 */
#define LIMIT_HTTP_CONNECTIONS        65536        /* accepted sockets; over it new ones are closed */
#define LIMIT_HTTP_IDLE_MS            75000        /* keep-alive silence; then closed */
#define LIMIT_HTTP_REQUEST_MS         60000        /* time to send a whole request; then 408 */
#define LIMIT_HTTP_BODIES_TOTAL_BYTES (512u << 20) /* bodies being received in the process; over it 503 */
#define LIMIT_HTTP_HEADERS            128          /* header lines of a request; over it 431 */
#define LIMIT_HTTP_PIPELINE_BYTES     (64u << 10)  /* read ahead of the request being handled; then reading pauses */
#define LIMIT_HTTP_STALL_MS           30000        /* an answer of which nothing is taken for so long; then closed */
#define LIMIT_STREAM_LINGER_MS        3000         /* a closing socket waits so long for the peer's end */

/* HTTP client */
#define LIMIT_HTTP_CLIENT_CONNECTIONS 64          /* to one host, where the caller names no other number; calls wait */
#define LIMIT_HTTP_CLIENT_CONNECT_MS  5000        /* connecting with TLS; then -ETIMEDOUT */
#define LIMIT_HTTP_CLIENT_IDLE_MS     20000       /* a kept http connection without a call; then closed */
#define LIMIT_HTTP_CLIENT_NAME_MS     30000       /* the addresses of an http host are kept for so long */
#define LIMIT_HTTP_CLIENT_HEAD_BYTES  (64u << 10) /* headers of an answer; over it -EMSGSIZE */

/* WebSocket client */
#define LIMIT_WS_CLIENT_CLOSE_MS 3000 /* for the peer to answer our close; then the socket is cut */

/* coroutines */
#define LIMIT_CO_STACK_BYTES (128u << 10) /* with a guard page below */
#define LIMIT_CO_MAX         20000        /* at once; over it HTTP answers 503 */

/* gateway */
#define LIMIT_WS_PAYLOAD_BYTES        4096         /* one payload from a client; over it close 4002 */
#define LIMIT_WS_PAYLOAD_JSON_BYTES   (32u << 10)  /* the same from ETF as JSON; escaped control characters take six */
#define LIMIT_WS_SENDS_PER_MINUTE     120          /* over it close 4008 */
#define LIMIT_WS_QUEUE_BYTES          (8u << 20)   /* unsent bytes of a connection; over it close 4000: slow consumer */
#define LIMIT_WS_AHEAD_BYTES          (256u << 10) /* the same of a full socket; then events wait in the replay ring */
#define LIMIT_WS_BLOCKED_MS           1000 /* full for so long, and the half of a full ring unsent: the same close */
#define LIMIT_WS_BEHIND_RING          2
#define LIMIT_WS_CLIENT_PAYLOAD_BYTES (64u << 20) /* one inflated message from an upstream; over it reconnect */
#define LIMIT_STREAM_CONTEXTS         16384       /* compressors of connections, 37 to 92 KB each; over it they share */
#define LIMIT_REPLAY_EVENTS           1024        /* kept for RESUME by a session */
#define LIMIT_REPLAY_BYTES            (4u << 20)  /* the same in bytes; older ones are dropped, RESUME then gets op 9 */
#define LIMIT_REPLAY_ACKED_MS         120000 /* what a heartbeat acknowledged is kept so long; then RESUME gets op 9 */
#define LIMIT_REPLAY_TOTAL_BYTES      (512u << 20) /* encoded events of a node; over it the oldest are emptied, as above */
#define LIMIT_RESUME_WINDOW_MS        120000       /* a cut session waits so long for RESUME */
#define LIMIT_SESSIONS                131072       /* of a node; over it those that wait for RESUME longest are ended */
#define LIMIT_TOPIC_HELD_EVENTS       4096 /* waiting for a missing number; over it the topic's sessions get op 9 */
#define LIMIT_TOPIC_HELD_BYTES        (16u << 20) /* the same in bytes */
#define LIMIT_TOPIC_GAP_MS            300         /* a missing number is waited for so long, then fetched */
#define LIMIT_TOPIC_REFILL_MS         15000       /* fetching is tried again so long; then op 9 */
#define LIMIT_TOPIC_REFILL_EVENTS     1000        /* a larger gap is not fetched: op 9 */
#define LIMIT_TOPIC_IDLE_MS           60000       /* a topic without a session is kept so long */
#define LIMIT_GUILD_MEMBERS_KEPT      250         /* members a guild's state holds besides those with a session here */
#define LIMIT_GUILD_MEMBERS_KEEP_MS   60000       /* those others are forgotten after this */
#define LIMIT_GUILD_ACTIVES           2000        /* of more members GUILD_CREATE lists so many: 1 MB with presences */
#define LIMIT_ACTIVES_KEPT            100000      /* such members of a node, some 70 MB; the oldest guilds' go */
#define LIMIT_NODE_LEASE_MS           15000       /* a gateway node's lease in kv; renewed three times as often */
#define LIMIT_SESSION_LOG_BYTES       (64u << 20) /* of a node in kv; the oldest go, a RESUME that needs them gets op 9 */
#define LIMIT_SESSION_LOG_ENTRIES     262144      /* the same in entries: one for each loop turn with such events */
#define LIMIT_SESSION_LOG_ENTRY_BYTES (1u << 20)  /* an entry is closed when it has so much */
#define LIMIT_SESSION_LOG_EVENT_BYTES (64u << 10) /* a larger dispatch is logged without its data */
#define LIMIT_SESSION_LOG_READ_MS     60000       /* another node's log is kept decoded so long after its last use */
#define LIMIT_SESSION_RECORD_MS       300000      /* what kv has of a node that is gone ends after this */
#define LIMIT_SESSION_RECORD_RENEW_MS 60000       /* how often a session's record is written again */
#define LIMIT_RELEASE_ASK_MS          2000  /* a node that is asked for a session answers by then; or it is taken */
#define LIMIT_RELEASE_WAIT_MS         2000  /* a session that is still loading guilds is waited for so long */
#define LIMIT_ADOPT_MS                20000 /* a RESUME from another node takes at most so long; then close 4000 */
#define LIMIT_PAST_MS                 300000 /* which events other nodes dispatched is known so long after their sessions came */
#define LIMIT_DRAIN_COPIES            2097152 /* dispatches of people copied into the log by a drain; older get op 9 */
#define LIMIT_RECENT_EVENTS           4096    /* of a topic, kept for sessions from other nodes; the oldest go */
#define LIMIT_RECENT_BYTES            (16u << 20) /* the same in bytes */
#define LIMIT_RECENT_KEEP_MS          30000       /* after the last of them came */
#define LIMIT_GUILDS_PER_SESSION      2500        /* more close with 4011 */
#define LIMIT_LOADS_PER_SESSION       4           /* batches of guilds of one IDENTIFY loaded at once */
#define LIMIT_LOADS_AT_ONCE           32          /* guilds in such a batch */
#define LIMIT_LOAD_TURN_NS            5000000     /* of a loop turn that a batch takes; then others get theirs */
#define LIMIT_READY_QUEUE_BYTES       (1u << 20)  /* GUILD_CREATEs of an IDENTIFY pause while so much is unsent */
#define LIMIT_MEMBERS_CHUNK           1000        /* members in one GUILD_MEMBERS_CHUNK */
#define LIMIT_PRESENCE_ACTIVITIES     8           /* of one session; further ones are left out */
#define LIMIT_ACTIVITY_CHARS          128         /* name, state, details; a longer activity is left out */
#define LIMIT_ACTIVITY_URL_CHARS      512         /* the same for its links */
#define LIMIT_PRESENCE_UPDATES        5 /* op 3 of a session in the window below; the last waits for the next */
#define LIMIT_PRESENCE_WINDOW_MS      20000
#define LIMIT_PRESENCE_SOON_MS        100   /* changes of a user in a guild are gathered so long */
#define LIMIT_PRESENCE_LATER_MS       1500  /* going offline waits so long for another session */
#define LIMIT_PRESENCE_GUILD_MEMBERS  75000 /* of larger guilds GUILD_CREATE lists the session's own presence only */
#define LIMIT_STANDING_GAP_MS         1000  /* a missing change is waited for so long, then all are read again */
#define LIMIT_STANDING_CHECK_MS       30000 /* how often a node compares the versions it has with kv's */
#define LIMIT_STANDING_OWNER_MS       20000 /* a node not heard of for so long is dead: its entries go */
#define LIMIT_STANDING_YOUNG_MS       20000 /* in a new incarnation entries are put again for so long, then judged */
#define LIMIT_MEMBERS_REQUESTS        16    /* op 8 of one session being answered; further ones wait */
#define LIMIT_MEMBERS_REQUESTS_OPEN   256   /* with those that wait; over it close 4008 */
#define LIMIT_MEMBERS_ALL_MS          30000 /* a bot asks for a whole guild so often; else RATE_LIMITED */

/* bus and brokers */
#define LIMIT_AMQP_QUEUE_MESSAGES   65536 /* published and not confirmed; over it publishing fails with -EAGAIN */
#define LIMIT_AMQP_QUEUE_BYTES      (256u << 20) /* the same in bytes */
#define LIMIT_AMQP_UNCONFIRMED      2048         /* in flight to the broker; the others wait */
#define LIMIT_AMQP_PREFETCH         65535   /* unacknowledged deliveries of a queue, and so what waits for the loop */
#define LIMIT_AMQP_CONNECT_MS       5000    /* connecting, and each step of logging in and declaring */
#define LIMIT_AMQP_BACKOFF_FIRST_MS 100     /* pause before the next attempt, doubled each time */
#define LIMIT_AMQP_BACKOFF_MS       2000    /* longest pause */
#define LIMIT_AMQP_HEARTBEAT_S      10      /* a broker silent for two of them is gone */
#define LIMIT_AMQP_SILENCE_MS       20000   /* a broker that takes no bytes for so long is gone */
#define LIMIT_BUS_NODE_QUEUE        1000000 /* events of a node at the broker; over it the oldest go: the numbers tell */
#define LIMIT_BUS_BATCH_EVENTS      64      /* events to the same nodes that share a message */
#define LIMIT_BUS_BATCH_BYTES       (256u << 10) /* the same in bytes */
#define LIMIT_BUS_CONFIRM_MS        5000         /* then the publish fails; the outbox publishes it later */

/* publishing (platform/ports/publish.c) */
#define LIMIT_PUBLISH_EVENTS 1024 /* numbered and published in one step; those behind them follow in the next */

/* Redis */
#define LIMIT_REDIS_PENDING          65536       /* commands without a reply; over it -EAGAIN */
#define LIMIT_REDIS_PENDING_BYTES    (64u << 20) /* unsent bytes, and one command; over it -EAGAIN */
#define LIMIT_REDIS_COMMAND_MS       2000        /* deadline of an awaited command; then -ETIMEDOUT */
#define LIMIT_REDIS_CONNECT_MS       3000        /* from resolving to the last greeting; then the next attempt */
#define LIMIT_REDIS_BACKOFF_FIRST_MS 50          /* pause before the next attempt, doubled each time */
#define LIMIT_REDIS_BACKOFF_MS       1000        /* longest pause */
#define LIMIT_REDIS_PING_MS          2000        /* how often a connection is probed */
#define LIMIT_REDIS_PING_TIMEOUT_MS  2000        /* an unanswered probe: the connection is dropped */

/* rest-proxy */
#define LIMIT_PROXY_QUEUE_BUCKET      10000       /* requests waiting for one bucket; over it 429 with retry_after */
#define LIMIT_PROXY_QUEUE_TOTAL       16000       /* waiting in the process; over it 503 */
#define LIMIT_PROXY_BUCKETS           200000      /* remembered buckets and route hashes; over it 503 */
#define LIMIT_PROXY_TOKENS            10000       /* remembered tokens; over it 503 */
#define LIMIT_PROXY_ANSWER_BYTES      (64u << 20) /* an upstream's answer; over it 502 */
#define LIMIT_PROXY_PERMITS_MAX       16          /* asked of Redis at once by one queue */
#define LIMIT_PROXY_PERMIT_MS         5000        /* a dead proxy's permits count as in flight so long, then as lost */
#define LIMIT_PROXY_BEAT_MS           1000        /* how often a proxy tells Redis that it and its permits are alive */
#define LIMIT_PROXY_POLL_MS           40          /* asking again for a bucket that another proxy has in flight */
#define LIMIT_PROXY_REDIS_MS          3000 /* an answer of Redis must be there by then; else the proxy decides alone */
#define LIMIT_PROXY_FIRST_MS          5000 /* after its start a proxy waits so long for Redis before it decides alone */
#define LIMIT_PROXY_REJOIN_MS         1500 /* after Redis came back: all proxies have told what they hold by then */
#define LIMIT_PROXY_KEPT              100000 /* idempotency keys in hand; without Redis also those kept; over it 503 */
#define LIMIT_PROXY_KEPT_MS           600000 /* how long an answer is kept under its key */
#define LIMIT_PROXY_KEPT_BYTES        (64u << 20) /* of kept answers, without Redis; over it 503 */
#define LIMIT_PROXY_KEPT_ANSWER_BYTES (1u << 20)  /* a larger one is reported as lost when asked for again */
#define LIMIT_PROXY_KEPT_LEASE_MS                                                                                      \
    10000 /* what a dead proxy had queued may be sent by another, what it had sent is lost */
#define LIMIT_PROXY_UPSTREAM_MS 60000 /* an upstream's answer must be there by then; else 502 */

/* bot side */
#define LIMIT_SHARE_SLOTS           4096   /* shards of an application, partitions of a worker group */
#define LIMIT_SHARE_RELEASES        256    /* slots given back in one tick; the others wait for the next */
#define LIMIT_BROKER_QUEUE_MESSAGES 100000 /* in one partition of a worker group; over it the broker refuses */
#define LIMIT_SHARD_PENDING_EVENTS  4096   /* of a shard, not confirmed; then it stops reading */
#define LIMIT_SHARD_PENDING_BYTES   (64u << 20)
#define LIMIT_SHARD_PUBLISHING      1024        /* of a shard, under way to the broker */
#define LIMIT_CACHE_TIMEOUT_MS      5000        /* a cache write without an answer is repeated */
#define LIMIT_CACHE_MESSAGES        100         /* kept of a channel; the oldest go */
#define LIMIT_CACHE_MESSAGE_TTL_S   (24 * 3600) /* a channel's messages, after its last one */
#define LIMIT_CACHE_USER_TTL_S      (7 * 24 * 3600)
#define LIMIT_CACHE_USER_AGAIN_MS   60000 /* the same bytes of a user are not written again by a process within it */
#define LIMIT_CACHE_USER_SHARDS     16    /* shards whose last place is kept with a user */
#define LIMIT_CACHE_SLICE           1000  /* entities asked for at once of a long list */
#define LIMIT_CACHE_LIST            10000 /* entities in one list; a longer one is read in slices */
#define LIMIT_CACHE_EVENT_USERS     1000  /* users written for one event's list of members; all stand in the members */
#define LIMIT_CACHE_GONE_TTL_S      (24 * 3600) /* the version of a guild that was left, against older events */
#define LIMIT_CACHE_SAMPLE_KEYS     512         /* keys looked at when users are counted */
#define LIMIT_CACHE_SAMPLE_SMALL    10000       /* keys up to which all are */
#define LIMIT_CACHE_PENDING         16384       /* commands under way; the shard waits then */

/* commands that workers send through a shard, dead letters */
#define LIMIT_BROKER_COMMANDS        10000  /* for one shard; over it the broker refuses */
#define LIMIT_BROKER_DEAD_LETTERS    100000 /* of a worker group, of commands; over it the oldest go */
#define LIMIT_SHARD_COMMANDS_WAITING 128    /* of a shard, received and not sent */
#define LIMIT_SHARD_COMMAND_BYTES    4096   /* a longer one closes the connection, upstream */
#define LIMIT_SHARD_SENDS            120    /* on one gateway connection in 60 s, heartbeats included; */
#define LIMIT_SHARD_SENDS_WINDOW_MS  62000  /* with some for what is late on its way */

/* outbox and nonces */
#define LIMIT_OUTBOX_CONFIRMED  65536  /* confirmed ids waiting to be marked; over it they are published once more */
#define LIMIT_OUTBOX_PENDING_MS 5000   /* an unconfirmed event this old is published again */
#define LIMIT_OUTBOX_KEEP_MS    120000 /* confirmed events are kept so long: gaps are refilled from them */
#define LIMIT_OUTBOX_SWEEP_MS   10000  /* how often old ones are deleted */
#define LIMIT_OUTBOX_SWEEP_ROWS 5000   /* rows deleted at once, four times a second */
#define LIMIT_OUTBOX_LEASE_MS   4000   /* one process at a time publishes leftovers */
#define LIMIT_NONCE_KEEP_MS     300000 /* enforce_nonce remembers so long */

/* objects */
#define LIMIT_OBJECTS_MEMORY_BYTES (256u << 20) /* of `dev` in memory; over it uploads get 130000 */

/* messages */
#define LIMIT_MESSAGE_CHARS     2000             /* content */
#define LIMIT_EMBEDS            10               /* in a message */
#define LIMIT_EMBED_CHARS       6000             /* in all embeds of a message together */
#define LIMIT_ATTACHMENTS       10               /* in a message */
#define LIMIT_ATTACHMENT_BYTES  (10u << 20)      /* one file; over it 40005 */
#define LIMIT_REACTIONS         20               /* different emoji on a message; over it 30010 */
#define LIMIT_PINS              50               /* in a channel; over it 30003 */
#define LIMIT_ATTACHMENT_URL_MS (24 * 3600000LL) /* a signed link is good so long */

/* SQL */
#define LIMIT_SQL_QUEUE        16384       /* batches waiting for a connection; over it -EAGAIN at once */
#define LIMIT_SQL_PIPELINE     32          /* batches sent on one connection and not answered; the others wait */
#define LIMIT_SQL_GROUP        64          /* batches that share one commit */
#define LIMIT_SQL_DEADLINE_MS  10000       /* from the call to the answer; over it -EAGAIN unsent, -EHOSTDOWN sent */
#define LIMIT_SQL_DOWN_MS      5000        /* a batch waits so long for a connection when there is none: -EHOSTDOWN */
#define LIMIT_SQL_LOCK_MS      3000        /* wait for a row or table lock; over it -EAGAIN */
#define LIMIT_SQL_STATEMENT_MS 8000        /* one statement; over it -EAGAIN */
#define LIMIT_SQL_PARAM_BYTES  (16u << 20) /* one text parameter; over it -EINVAL */
#define LIMIT_SQL_STATEMENTS   2048        /* prepared statements; over it the process stops: they are static */

/* HTTP API */
#define LIMIT_MULTIPART_PARTS      32           /* in a body; over it 50035 */
#define LIMIT_MULTIPART_HEAD_BYTES 8192         /* headers of a part; over it 50035 */
#define LIMIT_API_GLOBAL           50           /* requests of a bot or user in a second; over it 429, global */
#define LIMIT_API_LOCAL_BUCKETS    65536        /* kept by a process while kv is away; over it all are forgotten */
#define LIMIT_API_FORM_ERRORS      64           /* told about one body; further ones are dropped */
#define LIMIT_ACCESS_CHANNELS      20000        /* channels whose roles and overwrites a process keeps; the oldest go */
#define LIMIT_ACCESS_MEMBERS       100000       /* members a process keeps for permissions; the oldest go */
#define LIMIT_IMAGE_BYTES          (10u << 20)  /* an avatar or icon; over it 50035 */
#define LIMIT_PASSWORD_JOBS        2            /* hashes computed at once, 8 MiB each; others wait in line */
#define LIMIT_PASSWORD_WAITING     64           /* requests in that line; over it 503 */
#define LIMIT_REGISTRATIONS        10           /* from one address in an hour; over it 429 */
#define LIMIT_GUILDS_OF_USER       100          /* over it 30001 */
#define LIMIT_ROLES                250          /* in a guild; over it 30005 */
#define LIMIT_CHANNELS             500          /* in a guild; over it 30013 */
#define LIMIT_INVITES              1000         /* in a guild; over it 30016 */
#define LIMIT_OVERWRITES           500          /* in a channel; over it 50035 */
#define LIMIT_COMMANDS             100          /* slash commands of an application in a scope; over it 30032 */
#define LIMIT_COMMANDS_MENU        15           /* its user commands, its message commands; over it 30032 */
#define LIMIT_COMMAND_CHARS        8000         /* names, descriptions and values of a command; over it 50035 */
#define LIMIT_COMMAND_CREATES      200          /* new commands in a scope in a day; over it 429 */
#define LIMIT_COMMAND_PERMISSIONS  100          /* overwrites of a command in a guild; over it 50035 */
#define LIMIT_INTERACTION_MS       (15 * 60000) /* an interaction's token is good so long; then 50027 */
#define LIMIT_INTERACTION_FIRST_MS 3000         /* its first answer must be there by then; else 10062 */
#define LIMIT_USER_FOLLOWUPS       5 /* to an interaction with an application that only a person installed; over it 40094 */
#define LIMIT_INTERACTIONS_PENDING 100000     /* of a process, waiting for that answer; over it 503 */
#define LIMIT_ENDPOINT_BYTES       (1u << 20) /* what an application's endpoint answers; over it the interaction failed */
#define LIMIT_BEARER_MS            (7 * 86400000LL) /* an OAuth2 token is good so long */
#define LIMIT_EPHEMERAL_MS         (60 * 60000) /* a message for one person alone is kept so long after its last change */
#define LIMIT_WEBHOOK_STRANGERS    50           /* wrong tokens of an address in a second; over it 429 */
#define LIMIT_BOT_GUILDS_PER_SHARD 1000         /* what /gateway/bot recommends shards by */
#define LIMIT_GUILD_LOCK_MS        10000        /* a change of a guild's structure holds its lock so long at most */
#define LIMIT_AUDIT_KEEP_MS        (45 * 86400000LL) /* entries of the audit log, as documented */
#define LIMIT_IDENTIFIES_PER_DAY   1000 /* of a bot, in 24 hours, unless its application has a limit of its own: op 9 */
