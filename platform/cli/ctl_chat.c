/* `guildhall ctl chat`: a person in the terminal. Lines of standard input are posted to a channel over HTTP, or use an
 * application (ctl_chat_use.c); what the person's own gateway connection receives is printed. Ends a second after the
 * end of input, so that answers are seen. Loop thread. */
#include "platform/cli/ctl_chat.h"
#include "platform/api/messages/messages.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/mem.h"
#include "platform/base/settings.h"
#include "platform/cli/cli.h"
#include "platform/cli/ctl.h"
#include "platform/io/co.h"
#include "platform/io/http_client.h"
#include "platform/io/lines.h"
#include "platform/io/loop.h"
#include "platform/io/ws_client.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/gateway.h"
#include "platform/protocol/intents.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define LAST_WORDS_MS    1500
#define ANSWER_MAX_BYTES (8u << 20)

static struct {
    struct http_client *http;
    struct ws_client *ws;
    struct loop_timer *heartbeat, *end;
    int64_t seq;
    bool input_started;
    size_t guilds_left; /* GUILD_CREATEs to come */
    int asking;         /* requests under way */
    bool input_ended;
    int code;
} chat;

struct chat_place chat_place;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "guildhall: chat: %s: %s\n", what, why);
    chat.code = 1;
    loop_stop();
}

static void end_when_quiet(void)
{
    if (chat.input_ended && chat.asking == 0)
        loop_timer_start(chat.end, LAST_WORDS_MS, 0);
}

/* --- speaking --- */

json_t *chat_ask(const char *method, const char *path, json_t *body)
{
    BUF_AUTO struct buf url = {0}, auth = {0};
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_t *answer = NULL;
    struct http_result r;

    buf_addf(&url, "%s/v10/%s", setting_str(SETTING_upstream), path);
    buf_addf(&auth, "Authorization: %s", setting_str(SETTING_token));
    const char *headers[] = {auth.data, text ? "Content-Type: application/json" : NULL, NULL};
    struct http_call_options o = {.method = method,
                                  .url = url.data,
                                  .headers = headers,
                                  .body = text ? str_c(text) : STR_NONE,
                                  .timeout_ms = 10000,
                                  .body_max = ANSWER_MAX_BYTES};
    chat.asking++;
    int error = http_call_await(chat.http, &o, &r);
    chat.asking--;
    if (error < 0)
        fprintf(stderr, "guildhall: chat: not sent: %s\n", strerror(-error));
    else if (r.status >= 300)
        fprintf(stderr, "guildhall: chat: not sent: %d %.*s\n", r.status, STR_ARG(buf_str(&r.body)));
    else if (!r.body.len)
        answer = json_null();
    else if (json_read(buf_str(&r.body), &answer, NULL) < 0)
        fprintf(stderr, "guildhall: chat: the answer is no JSON\n");
    http_result_done(&r);
    free(text);
    json_decref(body);
    end_when_quiet();
    return answer;
}

static void post(void *arg)
{
    char *content = arg, path[64];

    snprintf(path, sizeof path, "channels/%s/messages", chat_place.channel);
    json_decref(chat_ask("POST", path, json_pack("{ss}", "content", content)));
    mem_free(content);
}

void chat_start(void (*fn)(void *line), struct str line)
{
    char *copy = mem_strndup(line.p, line.n);

    if (co_spawn(fn, copy) < 0) {
        fprintf(stderr, "guildhall: chat: too much at once: %s\n", copy);
        mem_free(copy);
    }
}

static void on_line(struct str line, void *arg)
{
    (void)arg;
    if (!line.p) {
        chat.input_ended = true;
        end_when_quiet();
    } else if (!chat_use_line(line) && line.n)
        chat_start(post, line);
}

/* --- listening --- */

static void ws_send_json(struct buf *b)
{
    (void)ws_client_send(chat.ws, false, buf_str(b));
    buf_done(b);
}

static void heartbeat(void *arg)
{
    (void)arg;
    struct buf b = {0};
    jw_obj(&b);
    jw_ku64(&b, "op", GATEWAY_OP_HEARTBEAT);
    jw_key(&b, "d");
    if (chat.seq > 0)
        jw_i64(&b, chat.seq);
    else
        jw_null(&b);
    jw_obj_end(&b);
    ws_send_json(&b);
}

static void identify(void)
{
    struct buf b = {0};
    jw_obj(&b);
    jw_ku64(&b, "op", GATEWAY_OP_IDENTIFY);
    jw_kobj(&b, "d");
    jw_kcstr(&b, "token", setting_str(SETTING_token));
    jw_ku64(&b, "intents", INTENTS_ALL);
    jw_kobj(&b, "properties");
    jw_kcstr(&b, "os", "linux");
    jw_kcstr(&b, "browser", "guildhall ctl");
    jw_kcstr(&b, "device", "guildhall ctl");
    jw_obj_end(&b);
    jw_obj_end(&b);
    jw_obj_end(&b);
    ws_send_json(&b);
}

static void on_hello(json_t *d)
{
    int64_t interval = json_integer_value(json_object_get(d, "heartbeat_interval"));
    if (interval < 100)
        interval = 41250;
    loop_timer_start(chat.heartbeat, interval / 2, interval);
    identify();
}

const char *chat_text(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

void chat_print(const char *s)
{
    for (; *s; s++)
        putchar((unsigned char)*s < 0x20 && *s != '\t' ? ' ' : *s);
}

static void embeds_print(json_t *message)
{
    json_t *o;
    size_t i;

    json_array_foreach(json_object_get(message, "embeds"), i, o)
    {
        fputs("   [", stdout);
        chat_print(chat_text(o, "title"));
        fputs("] ", stdout);
        chat_print(chat_text(o, "description"));
        putchar('\n');
    }
}

static void on_message(json_t *d, const char *mark)
{
    json_int_t flags = json_integer_value(json_object_get(d, "flags"));

    if (strcmp(chat_text(d, "channel_id"), chat_place.channel) != 0)
        return;
    chat_print(chat_text(json_object_get(d, "author"), "username"));
    fputs(mark, stdout);
    fputs(flags & MESSAGE_EPHEMERAL ? " (to you only): " : ": ", stdout);
    chat_print(flags & MESSAGE_LOADING ? "thinking..." : chat_text(d, "content"));
    putchar('\n');
    embeds_print(d);
    chat_use_show(d);
    fflush(stdout);
}

/* The wanted channel, or the first text channel of the wanted (or first) guild. */
static void on_guild_create(json_t *d)
{
    const char *guild = setting_str(SETTING_guild), *wanted = setting_str(SETTING_channel);
    json_t *channels = json_object_get(d, "channels");
    if (chat.input_started || (*guild && strcmp(guild, chat_text(d, "id")) != 0))
        return;
    for (size_t i = 0; i < json_array_size(channels); i++) {
        json_t *c = json_array_get(channels, i);
        bool fits =
            *wanted ? strcmp(wanted, chat_text(c, "id")) == 0 : json_integer_value(json_object_get(c, "type")) == 0;
        if (!fits)
            continue;
        snprintf(chat_place.channel, sizeof chat_place.channel, "%s", chat_text(c, "id"));
        snprintf(chat_place.guild, sizeof chat_place.guild, "%s", chat_text(d, "id"));
        fprintf(stderr, "-- #%s in %s\n", chat_text(c, "name"), chat_text(d, "name"));
        chat.input_started = true;
        lines_start(on_line, NULL);
        return;
    }
}

static void no_channel_yet(void)
{
    if (!chat.guilds_left && !chat.input_started)
        fail("no such channel", *setting_str(SETTING_channel) ? setting_str(SETTING_channel) : "no guild has one");
}

static void on_dispatch(struct str type, json_t *d)
{
    if (str_eq(type, STR("READY"))) {
        fprintf(stderr, "-- connected as %s\n", chat_text(json_object_get(d, "user"), "username"));
        snprintf(chat_place.session, sizeof chat_place.session, "%s", chat_text(d, "session_id"));
        chat.guilds_left = json_array_size(json_object_get(d, "guilds"));
        no_channel_yet();
    } else if (str_eq(type, STR("GUILD_CREATE"))) {
        on_guild_create(d);
        chat.guilds_left -= chat.guilds_left > 0;
        no_channel_yet();
    } else if (str_eq(type, STR("MESSAGE_CREATE")))
        on_message(d, "");
    else if (str_eq(type, STR("MESSAGE_UPDATE")))
        on_message(d, " (edited)");
    else if (str_eq(type, STR("INTERACTION_MODAL_CREATE")))
        chat_use_modal(d);
    else if (str_eq(type, STR("INTERACTION_FAILURE")))
        fprintf(stderr, "-- the application did not respond\n");
}

static void on_payload(struct ws_client *c, struct str data, bool binary, void *arg)
{
    (void)c, (void)binary, (void)arg;
    struct envelope e;
    json_t *d = NULL;
    if (envelope_scan(data, &e) < 0)
        return;
    if (e.seq > 0)
        chat.seq = e.seq;
    if (e.data.n && json_read(e.data, &d, NULL) < 0)
        return;
    if (e.op == GATEWAY_OP_HELLO)
        on_hello(d);
    else if (e.op == GATEWAY_OP_DISPATCH)
        on_dispatch(e.type, d);
    else if (e.op == GATEWAY_OP_INVALID_SESSION || e.op == GATEWAY_OP_RECONNECT)
        fail("gateway", "the session was ended; start again");
    json_decref(d);
}

static void on_close(struct ws_client *c, int code, const char *reason, void *arg)
{
    (void)c, (void)arg;
    chat.ws = NULL;
    if (!chat.input_ended) {
        char why[128];
        snprintf(why, sizeof why, "closed with %d %s", code, reason);
        fail("gateway", why);
    }
    loop_stop();
}

static void on_open(struct ws_client *c, void *arg)
{
    (void)c, (void)arg;
}

static int connect_gateway(struct str answer)
{
    BUF_AUTO struct buf url = {0}, err = {0};
    json_t *o;
    if (json_read(answer, &o, NULL) < 0 || !json_is_string(json_object_get(o, "url")))
        return -EPROTO;
    buf_addf(&url, "%s?v=10&encoding=json", chat_text(o, "url"));
    json_decref(o);
    const char *ca = setting_str(SETTING_upstream_ca);
    struct ws_client_options w = {.url = url.data,
                                  .ca_file = *ca ? ca : NULL,
                                  .user_agent = "guildhall-ctl/" GUILDHALL_VERSION,
                                  .cb = {on_open, on_payload, on_close},
                                  .payload_max = ANSWER_MAX_BYTES,
                                  .queue_bytes_max = 1u << 20,
                                  .connect_timeout_ms = 10000};
    chat.ws = ws_client_connect(&w, &err);
    return chat.ws ? 0 : -EINVAL;
}

static void start(void *arg)
{
    (void)arg;
    BUF_AUTO struct buf url = {0};
    buf_addf(&url, "%s/v10/gateway", setting_str(SETTING_upstream));
    struct http_call_options o = {.method = "GET", .url = url.data, .timeout_ms = 10000, .body_max = ANSWER_MAX_BYTES};
    struct http_result r;
    int error = http_call_await(chat.http, &o, &r);
    if (error == 0)
        error = r.status == 200 ? connect_gateway(buf_str(&r.body)) : -EPROTO;
    http_result_done(&r);
    if (error < 0)
        fail(url.data, strerror(-error));
}

static void end(void *arg)
{
    (void)arg;
    if (chat.ws)
        ws_client_close(chat.ws, 1000, "");
    else
        loop_stop();
}

int chat_main(void)
{
    const char *ca = setting_str(SETTING_upstream_ca);
    if (!*setting_str(SETTING_token)) {
        fprintf(stderr, "guildhall: --token is needed\n");
        return 2;
    }
    struct http_client_options o = {.ca_file = *ca ? ca : NULL, .user_agent = "guildhall-ctl/" GUILDHALL_VERSION};
    chat.http = http_client_new(&o);
    chat.heartbeat = loop_timer_new(heartbeat, NULL);
    chat.end = loop_timer_new(end, NULL);
    (void)co_spawn(start, NULL);
    loop_run();
    loop_timer_free(chat.heartbeat);
    loop_timer_free(chat.end);
    http_client_free(chat.http);
    return chat.code;
}
