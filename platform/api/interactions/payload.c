/* Interactions as JSON: what the application gets, what stands on the messages that answer, what the person's clients
 * hear. Coroutine. */
#include "platform/api/interactions/interactions.h"

#include "platform/api/events.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/model/permissions.h"
#include "platform/protocol/json_text.h"

static void bits_write(struct buf *b, const char *key, uint64_t bits)
{
    jw_key(b, key);
    buf_addf(b, "\"%llu\"", (unsigned long long)bits);
}

static void member_with_permissions(struct buf *b, const struct member *m, uint64_t permissions)
{
    jw_obj(b);
    member_write_fields(b, m, true);
    bits_write(b, "permissions", permissions);
    jw_obj_end(b);
}

static void channel_with_permissions(struct buf *b, const struct channel *ch, uint64_t permissions)
{
    struct buf whole = {0};

    channel_write(&whole, ch);
    jw_obj(b);
    (void)json_members_copy(b, buf_str(&whole), NULL, 0);
    bits_write(b, "permissions", permissions);
    jw_obj_end(b);
    buf_done(&whole);
}

static void guild_partial(struct buf *b, const struct guild *g)
{
    jw_kid(b, "guild_id", g->id);
    jw_kstr(b, "guild_locale", g->preferred_locale.n ? g->preferred_locale : STR("en-US"));
    jw_kobj(b, "guild");
    jw_kid(b, "id", g->id);
    jw_kstr(b, "locale", g->preferred_locale.n ? g->preferred_locale : STR("en-US"));
    jw_kraw(b, "features", g->features_json.n ? g->features_json : STR("[]"));
    jw_obj_end(b);
}

bool interaction_of_user(const struct interaction *ix)
{
    return !json_member(ix->owners_json, STR("0")).n;
}

/* Where the bot is not, it has what the person has. */
static uint64_t app_permissions(const struct interaction *ix, const struct api_access *access, const struct member *bot)
{
    const struct guild_snapshot *s = &access->snap;
    uint64_t anywhere = PERMISSION_ATTACH_FILES | PERMISSION_EMBED_LINKS | PERMISSION_MENTION_EVERYONE;

    if (access->is_dm)
        return anywhere | (ix->bot_here ? PERMISSION_USE_EXTERNAL_EMOJIS : 0);
    if (!ix->bot_here)
        return access->permissions & (anywhere | PERMISSION_USE_EXTERNAL_EMOJIS | PERMISSION_SEND_MESSAGES);
    return permissions_of_member(&s->guild, s->roles, s->role_count, access->channel, bot, clock_wall_ms());
}

struct str interaction_payload(struct api_ctx *x, const struct interaction *ix, const struct api_access *access,
                               const struct member *bot, struct str data_json, struct str message_json)
{
    struct buf b = {0};
    struct str locale = http_request_header(x->req, "X-Discord-Locale");

    jw_obj(&b);
    jw_kid(&b, "id", ix->id);
    jw_kid(&b, "application_id", ix->application_id);
    jw_ki64(&b, "type", ix->type);
    jw_ki64(&b, "version", 1);
    jw_kstr(&b, "token", ix->token);
    jw_kraw(&b, "data", data_json);
    jw_kid(&b, "channel_id", ix->channel_id);
    jw_key(&b, "channel");
    channel_with_permissions(&b, access->channel, access->permissions);
    if (access->is_dm) {
        jw_kraw(&b, "user", ix->user_json);
    } else {
        guild_partial(&b, &access->snap.guild);
        jw_key(&b, "member");
        member_with_permissions(&b, &access->snap.members[0], access->permissions);
    }
    if (message_json.n)
        jw_kraw(&b, "message", message_json);
    bits_write(&b, "app_permissions", app_permissions(ix, access, bot));
    jw_kstr(&b, "locale", locale_known(locale) ? locale : STR("en-US"));
    jw_karr(&b, "entitlements");
    jw_arr_end(&b);
    jw_kraw(&b, "authorizing_integration_owners", ix->owners_json);
    jw_ki64(&b, "context", !access->is_dm ? 0 : ix->bot_here ? 1 : 2);
    jw_ku64(&b, "attachment_size_limit", LIMIT_ATTACHMENT_BYTES);
    jw_obj_end(&b);
    return payload_take(x->arena, &b);
}

struct str interaction_metadata(struct api_ctx *x, const struct interaction *ix, uint64_t response_id)
{
    struct buf b = {0};

    jw_obj(&b);
    jw_kobj(&b, "interaction_metadata");
    jw_kid(&b, "id", ix->id);
    jw_ki64(&b, "type", ix->type);
    jw_kraw(&b, "user", ix->user_json);
    jw_kraw(&b, "authorizing_integration_owners", ix->owners_json);
    if (response_id)
        jw_kid(&b, "original_response_message_id", response_id);
    if (ix->type == INTERACTION_COMPONENT)
        jw_kid(&b, "interacted_message_id", ix->source_id);
    if (ix->target_json.n)
        jw_kraw(&b, "target_user", ix->target_json);
    if (ix->command_type == COMMAND_MESSAGE)
        jw_kid(&b, "target_message_id", ix->target_id);
    if (ix->trigger_json.n)
        jw_kraw(&b, "triggering_interaction_metadata", ix->trigger_json);
    jw_obj_end(&b);
    if (ix->type == INTERACTION_COMMAND && !response_id) {
        jw_kobj(&b, "interaction");
        jw_kid(&b, "id", ix->id);
        jw_ki64(&b, "type", ix->type);
        jw_kstr(&b, "name", ix->name);
        jw_kraw(&b, "user", ix->user_json);
        jw_obj_end(&b);
    }
    jw_obj_end(&b);
    return payload_take(x->arena, &b);
}

/* Numbered and kept like any event of the guild, so that a bot whose connection is away for a moment, or whose session
 * goes to another node, still gets it by RESUME. What autocomplete asks is out of date with the next key. */
enum api_error interaction_dispatch(struct api_ctx *x, const struct interaction *ix, struct str payload)
{
    bool in_guild = ix->guild_id && ix->bot_here; /* else to its own topic, as of DMs */
    struct commit c;

    commit_init(&c, x->arena);
    struct event *e = commit_event(&c, EVENT_INTERACTION_CREATE, in_guild ? ix->guild_id : ix->bot_id, !in_guild);
    e->user_id = ix->bot_id;
    e->channel_id = ix->channel_id;
    e->data = payload;
    if (ix->type != INTERACTION_AUTOCOMPLETE)
        return api_commit(x, &c, API_ERROR_UNKNOWN_APPLICATION);
    commit_publish_transient(x->arena, x->ports, e);
    return API_OK;
}

void interaction_tell_user(struct api_ctx *x, const struct interaction *ix, enum event_type type, struct str data)
{
    struct event e = {.id = snowflake_next(),
                      .type = type,
                      .topic = ix->user_id,
                      .topic_is_user = true,
                      .channel_id = ix->channel_id,
                      .user_id = ix->user_id,
                      .data = data};

    commit_publish_transient(x->arena, x->ports, &e);
}

struct str interaction_head(struct api_ctx *x, const struct interaction *ix)
{
    struct buf b = {0};

    jw_obj(&b);
    jw_kid(&b, "id", ix->id);
    if (ix->nonce.n)
        jw_kraw(&b, "nonce", ix->nonce);
    jw_obj_end(&b);
    return payload_take(x->arena, &b);
}
