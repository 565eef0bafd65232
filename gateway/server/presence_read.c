/* Op 3 and IDENTIFY's `presence`. Pure. */
#include "gateway/server/presence_read.h"

#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/gateway.h"

#include <errno.h>
#include <jansson.h>

enum { ACTIVITY_PLAYING = 0, ACTIVITY_STREAMING = 1, ACTIVITY_COMPETING = 5 };

static struct str text_of(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

static bool fits(const json_t *v, int64_t chars_max)
{
    return utf8_count(text_of(v)) <= chars_max;
}

/* --- one activity ----------------------------------------------------------------------------------------------------
 */
static void text_copy(struct buf *out, const json_t *from, const char *key)
{
    const json_t *v = json_object_get(from, key);

    if (json_is_string(v))
        jw_kstr(out, key, text_of(v));
}

static void int_copy(struct buf *out, const json_t *from, const char *key)
{
    const json_t *v = json_object_get(from, key);

    if (json_is_integer(v))
        jw_ki64(out, key, json_integer_value(v));
}

static void bool_copy(struct buf *out, const json_t *from, const char *key)
{
    const json_t *v = json_object_get(from, key);

    if (json_is_boolean(v))
        jw_kbool(out, key, json_is_true(v));
}

static void id_copy(struct buf *out, const json_t *from, const char *key)
{
    const json_t *v = json_object_get(from, key);
    uint64_t id;

    if (json_is_string(v) && snowflake_parse(text_of(v), &id) == 0)
        jw_kid(out, key, id);
}

static void timestamps_copy(struct buf *out, const json_t *activity)
{
    const json_t *v = json_object_get(activity, "timestamps");

    if (!json_is_object(v))
        return;
    jw_kobj(out, "timestamps");
    int_copy(out, v, "start");
    int_copy(out, v, "end");
    jw_obj_end(out);
}

static void emoji_copy(struct buf *out, const json_t *activity)
{
    const json_t *v = json_object_get(activity, "emoji");

    if (!json_is_string(json_object_get(v, "name")))
        return;
    jw_kobj(out, "emoji");
    text_copy(out, v, "name");
    id_copy(out, v, "id");
    bool_copy(out, v, "animated");
    jw_obj_end(out);
}

static void party_copy(struct buf *out, const json_t *activity)
{
    const json_t *v = json_object_get(activity, "party"), *size = json_object_get(v, "size");

    if (!json_is_object(v))
        return;
    jw_kobj(out, "party");
    text_copy(out, v, "id");
    if (json_array_size(size) == 2 && json_is_integer(json_array_get(size, 0)) &&
        json_is_integer(json_array_get(size, 1))) {
        jw_karr(out, "size");
        jw_i64(out, json_integer_value(json_array_get(size, 0)));
        jw_i64(out, json_integer_value(json_array_get(size, 1)));
        jw_arr_end(out);
    }
    jw_obj_end(out);
}

static void assets_copy(struct buf *out, const json_t *activity)
{
    static const char *const keys[] = {"large_image", "large_text", "large_url",         "small_image",
                                       "small_text",  "small_url",  "invite_cover_image"};
    const json_t *v = json_object_get(activity, "assets");

    if (!json_is_object(v))
        return;
    jw_kobj(out, "assets");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        text_copy(out, v, keys[i]);
    jw_obj_end(out);
}

/* Sent as objects with label and url, shown as labels. */
static void buttons_copy(struct buf *out, const json_t *activity)
{
    const json_t *v = json_object_get(activity, "buttons");

    if (!json_array_size(v) || json_array_size(v) > 2)
        return;
    jw_karr(out, "buttons");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *button = json_array_get(v, i);
        const json_t *label = json_is_object(button) ? json_object_get(button, "label") : button;
        if (json_is_string(label) && fits(label, 32))
            jw_str(out, text_of(label));
    }
    jw_arr_end(out);
}

static void rich_copy(struct buf *out, const json_t *activity)
{
    timestamps_copy(out, activity);
    id_copy(out, activity, "application_id");
    int_copy(out, activity, "status_display_type");
    text_copy(out, activity, "details");
    text_copy(out, activity, "details_url");
    text_copy(out, activity, "state_url");
    emoji_copy(out, activity);
    party_copy(out, activity);
    assets_copy(out, activity);
    bool_copy(out, activity, "instance");
    int_copy(out, activity, "flags");
    buttons_copy(out, activity);
}

static bool streams(struct str url)
{
    static const struct str sites[] = {{"https://twitch.tv/", 18},
                                       {"https://www.twitch.tv/", 22},
                                       {"https://youtube.com/", 20},
                                       {"https://www.youtube.com/", 24}};

    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++)
        if (url.n > sites[i].n && str_starts(url, sites[i]))
            return true;
    return false;
}

/* name and type, as everything has them. False: not an activity. */
static bool head_read(const json_t *activity, json_int_t *ret_type)
{
    const json_t *type = json_object_get(activity, "type"), *name = json_object_get(activity, "name");

    if (!json_is_string(name) || (type && !json_is_null(type) && !json_is_integer(type)))
        return false;
    *ret_type = json_integer_value(type);
    return *ret_type >= ACTIVITY_PLAYING && *ret_type <= ACTIVITY_COMPETING;
}

static bool short_enough(const json_t *activity)
{
    static const char *const keys[] = {"name", "state", "details"};
    static const char *const urls[] = {"url", "state_url", "details_url"};
    const json_t *name = json_object_get(activity, "name");

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!fits(json_object_get(activity, keys[i]), LIMIT_ACTIVITY_CHARS))
            return false;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        if (!fits(json_object_get(activity, urls[i]), LIMIT_ACTIVITY_URL_CHARS))
            return false;
    return json_string_length(name) > 0;
}

struct same {
    struct str text, found;
};

static int same_activity(struct str element, void *arg)
{
    struct same *s = arg;

    if (str_starts(element, s->text))
        s->found = element;
    return 0;
}

/* created_at comes last, so that what stands before it tells whether the activity was there already. */
static void activity_write(struct buf *out, const json_t *activity, json_int_t type, const struct presence_source *from)
{
    const json_t *url = json_object_get(activity, "url");
    BUF_AUTO struct buf text = {0};

    if (type == ACTIVITY_STREAMING && !streams(text_of(url))) {
        type = ACTIVITY_PLAYING;
        url = NULL;
    }
    jw_obj(&text);
    text_copy(&text, activity, "name");
    jw_ki64(&text, "type", type);
    if (json_is_string(url))
        jw_kstr(&text, "url", text_of(url));
    text_copy(&text, activity, "state");
    if (!from->is_bot)
        rich_copy(&text, activity);
    jw_key(&text, "created_at");
    struct same same = {.text = buf_str(&text)};
    if (from->former.n)
        (void)json_elements_scan(from->former, same_activity, &same);
    if (same.found.n) {
        jw_raw(out, same.found);
        return;
    }
    jw_i64(&text, from->now_ms);
    jw_obj_end(&text);
    jw_raw(out, buf_str(&text));
}

static int activities_read(const json_t *list, const struct presence_source *from, struct buf *out)
{
    unsigned kept = 0;

    jw_arr(out);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *activity = json_array_get(list, i);
        json_int_t type;
        if (!head_read(activity, &type))
            return GATEWAY_CLOSE_UNKNOWN_OPCODE;
        if (kept == LIMIT_PRESENCE_ACTIVITIES || !short_enough(activity))
            continue;
        activity_write(out, activity, type, from);
        kept++;
    }
    jw_arr_end(out);
    return buf_failed(out) ? GATEWAY_CLOSE_UNKNOWN_OPCODE : 0;
}

/* --- the presence ----------------------------------------------------------------------------------------------------
 */
static bool absent(const json_t *v)
{
    return !v || json_is_null(v);
}

int presence_read(const struct json_t *d, const struct presence_source *from, enum presence_status *ret_status,
                  struct buf *activities)
{
    const json_t *status = json_object_get(d, "status"), *list = json_object_get(d, "activities"),
                 *since = json_object_get(d, "since"), *afk = json_object_get(d, "afk");
    enum presence_status s = PRESENCE_ONLINE; /* eris leaves the status out */

    if (!json_is_object(d) || (!absent(list) && !json_is_array(list)) || (!absent(since) && !json_is_number(since)) ||
        (!absent(afk) && !json_is_boolean(afk)))
        return GATEWAY_CLOSE_UNKNOWN_OPCODE;
    if (!absent(status) && (!json_is_string(status) || presence_status_find(text_of(status), &s) < 0))
        return GATEWAY_CLOSE_UNKNOWN_OPCODE;
    int close = activities_read(list, from, activities);
    if (!close)
        *ret_status = s;
    return close;
}

static bool has(struct str text, const char *word)
{
    return text.n && memmem(text.p, text.n, word, strlen(word));
}

enum presence_device presence_device_read(const struct json_t *properties, bool is_bot)
{
    static const char *const browsers[] = {"Chrome", "Firefox", "Safari", "Edge", "Opera", "Mozilla", "Web"};
    const json_t *p = json_object_get(properties, "os"), *q = json_object_get(properties, "browser");
    struct str os = json_is_string(p) ? text_of(p) : STR_NONE, browser = json_is_string(q) ? text_of(q) : STR_NONE;

    if (has(browser, "VR"))
        return PRESENCE_VR;
    if (has(browser, "iOS") || has(browser, "Android") || str_eq_nocase(os, STR("ios")) ||
        str_eq_nocase(os, STR("android")))
        return PRESENCE_MOBILE;
    for (size_t i = 0; i < sizeof browsers / sizeof *browsers; i++)
        if (has(browser, browsers[i]))
            return PRESENCE_WEB;
    return is_bot ? PRESENCE_WEB : PRESENCE_DESKTOP;
}
