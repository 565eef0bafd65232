/* One table of every dispatch that the documentation lists: what the cache holds of it afterwards, that its entity is
 * switched off, trimmed and left out without its intent, or why nothing is kept. Each row begins from the same guild.
 */
#include "tests/contract/cache/writing.h"

#define G "\"guild_id\":\"21000000\""

static const char guild_before[] =
    "{\"id\":\"21000000\",\"name\":\"Demo\",\"member_count\":3,\"channels\":[{\"id\":\"31\",\"name\":\"general\","
    "\"topic\":\"t\"},{\"id\":\"32\",\"name\":\"voice\"}],\"threads\":[{\"id\":\"71\",\"parent_id\":\"31\",\"name\":"
    "\"th\","
    "\"member\":{\"user_id\":\"11\",\"flags\":1}}],\"roles\":[{\"id\":\"41\",\"name\":\"mod\"}],\"emojis\":[{\"id\":"
    "\"51\","
    "\"name\":\"e\"}],\"stickers\":[{\"id\":\"61\",\"name\":\"s\"}],\"soundboard_sounds\":[{\"sound_id\":\"81\","
    "\"name\":"
    "\"b\"}],\"stage_instances\":[{\"id\":\"91\",\"topic\":\"t\"}],\"guild_scheduled_events\":[{\"id\":\"95\",\"name\":"
    "\"p\"}],"
    "\"presences\":[{\"user\":{\"id\":\"12\"},\"status\":\"idle\"}],\"voice_states\":[{\"user_id\":\"12\",\"channel_"
    "id\":"
    "\"32\",\"mute\":false}],\"members\":[{\"user\":{\"id\":\"11\",\"username\":\"bot\"},\"nick\":\"b\"},{\"user\":{"
    "\"id\":"
    "\"12\",\"username\":\"alice\"},\"nick\":\"a\"}]}";

static const char *const before[][2] = {
    {"READY", "{\"user\":{\"id\":\"11\",\"username\":\"bot\"},\"guilds\":[{\"id\":\"21000000\"}],\"shard\":[0,1]}"},
    {"GUILD_CREATE", guild_before},
    {"MESSAGE_CREATE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\",\"content\":\"hi\",\"author\":{\"id\":\"12\","
                       "\"username\":\"alice\"}}"},
    {"MESSAGE_CREATE", "{\"id\":\"901\"," G ",\"channel_id\":\"31\",\"content\":\"ho\",\"author\":{\"id\":\"12\","
                       "\"username\":\"alice\"}}"},
    {"MESSAGE_REACTION_ADD", "{" G ",\"channel_id\":\"31\",\"message_id\":\"900\",\"user_id\":\"11\",\"emoji\":{\"id\":"
                             "null,\"name\":\"x\"}}"},
};

/* entity and id (of a thread member, message or reaction: in `part`), what its JSON holds afterwards (NULL: it is gone)
 * and did not hold before. */
struct row {
    const char *event;
    const char *data;
    enum cache_entity e;
    uint64_t part, id;
    const char *has;
};

#define NOT_KEPT NULL, 0, 0, 0, NULL
#define REACTION                                                                                                       \
    G ",\"channel_id\":\"31\",\"message_id\":\"900\",\"user_id\":\"12\",\"emoji\":{\"id\":null,\"name\":\"x\"}"

static const struct row rows[] = {
    {"READY", "{\"user\":{\"id\":\"11\",\"username\":\"new\"}}", CACHE_USERS, 0, 11, "new"},
    {"GUILD_CREATE", "{\"id\":\"21000000\",\"name\":\"new\"}", CACHE_GUILDS, 0, 0, "new"},
    {"GUILD_CREATE", "{\"id\":\"21000000\",\"channels\":[]}", CACHE_CHANNELS, 0, 31, NULL},
    {"GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"new\"}", CACHE_GUILDS, 0, 0, "new"},
    {"GUILD_UPDATE", "{\"id\":\"21000000\",\"roles\":[]}", CACHE_ROLES, 0, 41, NULL},
    {"GUILD_DELETE", "{\"id\":\"21000000\"}", CACHE_GUILDS, 0, 0, NULL},
    {"GUILD_DELETE", "{\"id\":\"21000000\"}", CACHE_MESSAGES, 31, 900, NULL},
    {"GUILD_DELETE", "{\"id\":\"21000000\",\"unavailable\":true}", CACHE_GUILDS, 0, 0, "\"unavailable\":true"},
    {"GUILD_ROLE_CREATE", "{" G ",\"role\":{\"id\":\"42\",\"name\":\"new\"}}", CACHE_ROLES, 0, 42, "new"},
    {"GUILD_ROLE_UPDATE", "{" G ",\"role\":{\"id\":\"41\",\"name\":\"new\"}}", CACHE_ROLES, 0, 41, "new"},
    {"GUILD_ROLE_DELETE", "{" G ",\"role_id\":\"41\"}", CACHE_ROLES, 0, 41, NULL},
    {"GUILD_EMOJIS_UPDATE", "{" G ",\"emojis\":[{\"id\":\"52\",\"name\":\"new\"}]}", CACHE_EMOJIS, 0, 52, "new"},
    {"GUILD_EMOJIS_UPDATE", "{" G ",\"emojis\":[]}", CACHE_EMOJIS, 0, 51, NULL},
    {"GUILD_STICKERS_UPDATE", "{" G ",\"stickers\":[{\"id\":\"62\",\"name\":\"new\"}]}", CACHE_STICKERS, 0, 62, "new"},
    {"GUILD_STICKERS_UPDATE", "{" G ",\"stickers\":[]}", CACHE_STICKERS, 0, 61, NULL},
    {"GUILD_SOUNDBOARD_SOUND_CREATE", "{" G ",\"sound_id\":\"82\",\"name\":\"new\"}", CACHE_SOUNDS, 0, 82, "new"},
    {"GUILD_SOUNDBOARD_SOUND_UPDATE", "{" G ",\"sound_id\":\"81\",\"name\":\"new\"}", CACHE_SOUNDS, 0, 81, "new"},
    {"GUILD_SOUNDBOARD_SOUND_DELETE", "{" G ",\"sound_id\":\"81\"}", CACHE_SOUNDS, 0, 81, NULL},
    {"GUILD_SOUNDBOARD_SOUNDS_UPDATE", "{" G ",\"soundboard_sounds\":[{\"sound_id\":\"81\",\"name\":\"new\"}]}",
     CACHE_SOUNDS, 0, 81, "new"},
    {"SOUNDBOARD_SOUNDS", "{" G ",\"soundboard_sounds\":[]}", CACHE_SOUNDS, 0, 81, NULL},
    {"CHANNEL_CREATE", "{\"id\":\"33\"," G ",\"name\":\"new\"}", CACHE_CHANNELS, 0, 33, "new"},
    {"CHANNEL_UPDATE", "{\"id\":\"31\"," G ",\"name\":\"new\"}", CACHE_CHANNELS, 0, 31, "new"},
    {"CHANNEL_DELETE", "{\"id\":\"31\"," G "}", CACHE_CHANNELS, 0, 31, NULL},
    {"CHANNEL_DELETE", "{\"id\":\"31\"," G "}", CACHE_THREADS, 0, 71, NULL},
    {"CHANNEL_DELETE", "{\"id\":\"31\"," G "}", CACHE_MESSAGES, 31, 900, NULL},
    {"CHANNEL_PINS_UPDATE", "{" G ",\"channel_id\":\"31\",\"last_pin_timestamp\":\"2020\"}", CACHE_CHANNELS, 0, 31,
     "2020"},
    {"CHANNEL_INFO", "{" G ",\"channels\":[{\"id\":\"32\",\"status\":\"new\"}]}", CACHE_CHANNELS, 0, 32, "new"},
    {"VOICE_CHANNEL_STATUS_UPDATE", "{\"id\":\"32\"," G ",\"status\":\"new\"}", CACHE_CHANNELS, 0, 32, "new"},
    {"VOICE_CHANNEL_START_TIME_UPDATE", "{\"id\":\"32\"," G ",\"voice_start_time\":77}", CACHE_CHANNELS, 0, 32, "77"},
    {"THREAD_CREATE", "{\"id\":\"72\"," G ",\"parent_id\":\"31\",\"name\":\"new\"}", CACHE_THREADS, 0, 72, "new"},
    {"THREAD_UPDATE", "{\"id\":\"71\"," G ",\"parent_id\":\"31\",\"name\":\"new\"}", CACHE_THREADS, 0, 71, "new"},
    {"THREAD_UPDATE", "{\"id\":\"71\"," G ",\"thread_metadata\":{\"archived\":true}}", CACHE_THREADS, 0, 71, NULL},
    {"THREAD_DELETE", "{\"id\":\"71\"," G ",\"parent_id\":\"31\",\"type\":11}", CACHE_THREADS, 0, 71, NULL},
    {"THREAD_LIST_SYNC", "{" G ",\"threads\":[{\"id\":\"72\",\"parent_id\":\"31\",\"name\":\"new\"}],\"members\":[]}",
     CACHE_THREADS, 0, 72, "new"},
    {"THREAD_LIST_SYNC", "{" G ",\"threads\":[],\"members\":[]}", CACHE_THREADS, 0, 71, NULL},
    {"THREAD_MEMBER_UPDATE", "{\"id\":\"71\"," G ",\"user_id\":\"11\",\"flags\":9}", CACHE_THREAD_MEMBERS, 71, 11, "9"},
    {"THREAD_MEMBERS_UPDATE", "{\"id\":\"71\"," G ",\"added_members\":[{\"user_id\":\"13\",\"flags\":5}]}",
     CACHE_THREAD_MEMBERS, 71, 13, "5"},
    {"THREAD_MEMBERS_UPDATE", "{\"id\":\"71\"," G ",\"removed_member_ids\":[\"11\"]}", CACHE_THREAD_MEMBERS, 71, 11,
     NULL},
    {"GUILD_MEMBER_ADD", "{" G ",\"nick\":\"new\",\"user\":{\"id\":\"13\"}}", CACHE_MEMBERS, 0, 13, "new"},
    {"GUILD_MEMBER_ADD", "{" G ",\"user\":{\"id\":\"13\",\"username\":\"new\"}}", CACHE_USERS, 0, 13, "new"},
    {"GUILD_MEMBER_ADD", "{" G ",\"user\":{\"id\":\"13\"}}", CACHE_GUILDS, 0, 0, "\"member_count\":4"},
    {"GUILD_MEMBER_UPDATE", "{" G ",\"nick\":\"new\",\"user\":{\"id\":\"12\"}}", CACHE_MEMBERS, 0, 12, "new"},
    {"GUILD_MEMBER_REMOVE", "{" G ",\"user\":{\"id\":\"12\"}}", CACHE_MEMBERS, 0, 12, NULL},
    {"GUILD_MEMBER_REMOVE", "{" G ",\"user\":{\"id\":\"12\"}}", CACHE_PRESENCES, 0, 12, NULL},
    {"GUILD_MEMBER_REMOVE", "{" G ",\"user\":{\"id\":\"12\"}}", CACHE_VOICE_STATES, 0, 12, NULL},
    {"GUILD_MEMBERS_CHUNK", "{" G ",\"members\":[{\"nick\":\"new\",\"user\":{\"id\":\"14\"}}]}", CACHE_MEMBERS, 0, 14,
     "new"},
    {"GUILD_MEMBERS_CHUNK", "{" G ",\"members\":[],\"presences\":[{\"user\":{\"id\":\"14\"},\"status\":\"dnd\"}]}",
     CACHE_PRESENCES, 0, 14, "dnd"},
    {"USER_UPDATE", "{\"id\":\"11\",\"username\":\"new\"}", CACHE_USERS, 0, 11, "new"},
    {"PRESENCE_UPDATE", "{" G ",\"user\":{\"id\":\"12\"},\"status\":\"dnd\"}", CACHE_PRESENCES, 0, 12, "dnd"},
    {"PRESENCE_UPDATE", "{" G ",\"user\":{\"id\":\"12\"},\"status\":\"offline\"}", CACHE_PRESENCES, 0, 12, NULL},
    {"VOICE_STATE_UPDATE", "{" G ",\"user_id\":\"12\",\"channel_id\":\"32\",\"mute\":true}", CACHE_VOICE_STATES, 0, 12,
     "true"},
    {"VOICE_STATE_UPDATE", "{" G ",\"user_id\":\"12\",\"channel_id\":null}", CACHE_VOICE_STATES, 0, 12, NULL},
    {"STAGE_INSTANCE_CREATE", "{\"id\":\"92\"," G ",\"topic\":\"new\"}", CACHE_STAGES, 0, 92, "new"},
    {"STAGE_INSTANCE_UPDATE", "{\"id\":\"91\"," G ",\"topic\":\"new\"}", CACHE_STAGES, 0, 91, "new"},
    {"STAGE_INSTANCE_DELETE", "{\"id\":\"91\"," G "}", CACHE_STAGES, 0, 91, NULL},
    {"GUILD_SCHEDULED_EVENT_CREATE", "{\"id\":\"96\"," G ",\"name\":\"new\"}", CACHE_EVENTS, 0, 96, "new"},
    {"GUILD_SCHEDULED_EVENT_UPDATE", "{\"id\":\"95\"," G ",\"name\":\"new\"}", CACHE_EVENTS, 0, 95, "new"},
    {"GUILD_SCHEDULED_EVENT_DELETE", "{\"id\":\"95\"," G "}", CACHE_EVENTS, 0, 95, NULL},
    {"MESSAGE_CREATE", "{\"id\":\"902\"," G ",\"channel_id\":\"31\",\"content\":\"new\",\"author\":{\"id\":\"12\"}}",
     CACHE_MESSAGES, 31, 902, "new"},
    {"MESSAGE_UPDATE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\",\"content\":\"new\",\"author\":{\"id\":\"12\"}}",
     CACHE_MESSAGES, 31, 900, "new"},
    {"MESSAGE_DELETE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\"}", CACHE_MESSAGES, 31, 900, NULL},
    {"MESSAGE_DELETE_BULK", "{\"ids\":[\"900\",\"901\"]," G ",\"channel_id\":\"31\"}", CACHE_MESSAGES, 31, 901, NULL},
    {"MESSAGE_REACTION_ADD", "{" REACTION "}", CACHE_REACTIONS, 31, 900, "\"count\":2"},
    {"MESSAGE_REACTION_REMOVE", "{" REACTION "}", CACHE_REACTIONS, 31, 900, NULL},
    {"MESSAGE_REACTION_REMOVE_ALL", "{" REACTION "}", CACHE_REACTIONS, 31, 900, NULL},
    {"MESSAGE_REACTION_REMOVE_EMOJI", "{" REACTION "}", CACHE_REACTIONS, 31, 900, NULL},
    /* Nothing that is kept changes: bans, invites, integrations, webhooks, commands, subscribers, votes, sales, ... */
    {"RESUMED", NOT_KEPT},
    {"RATE_LIMITED", NOT_KEPT},
    {"APPLICATION_COMMAND_PERMISSIONS_UPDATE", NOT_KEPT},
    {"AUTO_MODERATION_RULE_CREATE", NOT_KEPT},
    {"AUTO_MODERATION_RULE_UPDATE", NOT_KEPT},
    {"AUTO_MODERATION_RULE_DELETE", NOT_KEPT},
    {"AUTO_MODERATION_ACTION_EXECUTION", NOT_KEPT},
    {"ENTITLEMENT_CREATE", NOT_KEPT},
    {"ENTITLEMENT_UPDATE", NOT_KEPT},
    {"ENTITLEMENT_DELETE", NOT_KEPT},
    {"GUILD_AUDIT_LOG_ENTRY_CREATE", NOT_KEPT},
    {"GUILD_BAN_ADD", NOT_KEPT},
    {"GUILD_BAN_REMOVE", NOT_KEPT},
    {"GUILD_INTEGRATIONS_UPDATE", NOT_KEPT},
    {"GUILD_SCHEDULED_EVENT_USER_ADD", NOT_KEPT},
    {"GUILD_SCHEDULED_EVENT_USER_REMOVE", NOT_KEPT},
    {"INTEGRATION_CREATE", NOT_KEPT},
    {"INTEGRATION_UPDATE", NOT_KEPT},
    {"INTEGRATION_DELETE", NOT_KEPT},
    {"INTERACTION_CREATE", NOT_KEPT},
    {"INTERACTION_SUCCESS", NOT_KEPT},
    {"INTERACTION_FAILURE", NOT_KEPT},
    {"INTERACTION_MODAL_CREATE", NOT_KEPT},
    {"APPLICATION_COMMAND_AUTOCOMPLETE_RESPONSE", NOT_KEPT},
    {"INVITE_CREATE", NOT_KEPT},
    {"INVITE_DELETE", NOT_KEPT},
    {"SUBSCRIPTION_CREATE", NOT_KEPT},
    {"SUBSCRIPTION_UPDATE", NOT_KEPT},
    {"SUBSCRIPTION_DELETE", NOT_KEPT},
    {"TYPING_START", NOT_KEPT},
    {"VOICE_CHANNEL_EFFECT_SEND", NOT_KEPT},
    {"VOICE_SERVER_UPDATE", NOT_KEPT},
    {"WEBHOOKS_UPDATE", NOT_KEPT},
    {"MESSAGE_POLL_VOTE_ADD", NOT_KEPT},
    {"MESSAGE_POLL_VOTE_REMOVE", NOT_KEPT},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const char *const documented[] = {
#define EVENT(name, ...) #name,
#include "platform/protocol/events.def"
#undef EVENT
};

static void every_documented_event_has_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++) {
        bool found = strncmp(documented[i], "CONTROL_", strlen("CONTROL_")) == 0; /* between nodes only */
        for (size_t r = 0; r < ROWS; r++)
            found |= strcmp(rows[r].event, documented[i]) == 0;
        if (!found)
            fail_msg("%s is in no row", documented[i]);
    }
}

static uint64_t application = 100;

static void begin(uint32_t intents, const struct cache_selection *selection)
{
    open_cache_with(++application, intents, selection);
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
        put(before[i][0], before[i][1]);
}

/* The row's entity as it is now; false: not there. */
static bool look(const struct row *r)
{
    int error;

    buf_clear(&text);
    switch (r->e) {
    case CACHE_GUILDS:
        error = cache_guild(&cache, GUILD, &text);
        break;
    case CACHE_USERS:
        error = cache_user(&cache, r->id, &text);
        break;
    case CACHE_THREAD_MEMBERS:
        error = cache_thread_member(&cache, GUILD, r->part, r->id, &text);
        break;
    case CACHE_MESSAGES:
        error = cache_message(&cache, GUILD, r->part, r->id, &text);
        break;
    case CACHE_REACTIONS:
        error = cache_message(&cache, GUILD, r->part, r->id, &text);
        error = error || strstr(buf_str(&text).p, "reactions") ? error : -ENOENT;
        break;
    default:
        error = cache_get(&cache, r->e, GUILD, r->id, &text);
    }
    assert_true(error == 0 || error == -ENOENT);
    return error == 0;
}

static bool has(const struct row *r)
{
    return look(r) && strstr(buf_str(&text).p, r->has) != NULL;
}

static void row_holds(const struct row *r)
{
    begin(INTENTS_ALL, NULL);
    if (!r->data) {
        at.seq++;
        assert_false(cache_write(writer, str_c(r->event), STR("{" G ",\"id\":\"31\",\"channel_id\":\"31\"}"), &at,
                                 on_nothing, NULL));
    } else if (r->has) {
        assert_false(has(r)); /* so that the row can fail */
        put(r->event, r->data);
        if (!has(r))
            fail_msg("%s: no %s in '%.*s'", r->event, r->has, STR_ARG(buf_str(&text)));
    } else {
        assert_true(look(r));
        put(r->event, r->data);
        if (look(r))
            fail_msg("%s: still there: '%.*s'", r->event, STR_ARG(buf_str(&text)));
    }
    close_cache();
}

static void every_event_changes_what_it_should(void)
{
    for (size_t i = 0; i < ROWS; i++)
        row_holds(&rows[i]);
}
ON_LOOP(every_event_changes_what_it_should)

/* Keys of this application that belong to the entity: what nothing but the entity being kept brings. */
static int64_t keys_of(enum cache_entity e)
{
    char pattern[128];
    struct redis_reply *r;

    snprintf(pattern, sizeof(pattern), "gh:%llu:{*}:%s%s", (unsigned long long)application, cache_entity_suffix(e),
             cache_entity_in_parts(e) ? ":*" : "");
    assert_int_equal(redis_await(redis, 2, (struct str[]){STR("KEYS"), str_c(pattern)}, &r), 0);
    int64_t n = (int64_t)redis_reply_count(r);
    redis_reply_free(r);
    return n;
}

static void all_rows(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (!rows[i].data || !rows[i].has)
            continue;
        at.seq++;
        (void)write_at(rows[i].event, rows[i].data, &at);
    }
}

static uint32_t intents_without(enum cache_entity e)
{
    for (uint32_t bit = 1; bit; bit <<= 1) /* those that bring it, and nothing else is asked of */
        if (!(cache_entities_of(INTENTS_ALL & ~bit) & (1u << e)))
            return INTENTS_ALL & ~bit;
    return e == CACHE_MESSAGES ? INTENTS_ALL & ~(INTENT_GUILD_MESSAGES | INTENT_DIRECT_MESSAGES)
                               : INTENTS_ALL & ~(INTENT_GUILD_MESSAGE_REACTIONS | INTENT_DIRECT_MESSAGE_REACTIONS);
}

static void every_entity_is_switched_off_and_asks_for_its_intent(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    char words[64];

    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++) {
        struct cache_selection s;
        begin(INTENTS_ALL, NULL);
        all_rows();
        assert_true(keys_of((enum cache_entity)e) > 0); /* so that the rest can fail */
        close_cache();
        snprintf(words, sizeof(words), "all,-%s", cache_entity_name((enum cache_entity)e));
        assert_int_equal(cache_selection_read(&s, words, &err), 0);
        begin(INTENTS_ALL, &s);
        all_rows();
        assert_int_equal(keys_of((enum cache_entity)e), 0);
        close_cache();
        cache_selection_done(&s);
        if (e == CACHE_USERS) /* whatever the intents */
            continue;
        begin(intents_without((enum cache_entity)e), NULL);
        all_rows();
        assert_int_equal(keys_of((enum cache_entity)e), 0);
        close_cache();
    }
}
ON_LOOP(every_entity_is_switched_off_and_asks_for_its_intent)

/* Of each entity a field that the rows bring and the cache does not need, and one that it does. */
static const struct {
    enum cache_entity e;
    uint64_t part, id;
    const char *field, *need;
} trims[] = {
    {CACHE_GUILDS, 0, 0, "\"name\"", "\"id\""},          {CACHE_CHANNELS, 0, 31, "\"name\"", "\"id\""},
    {CACHE_THREADS, 0, 71, "\"name\"", "\"parent_id\""}, {CACHE_THREAD_MEMBERS, 71, 11, "\"flags\"", "\"user_id\""},
    {CACHE_ROLES, 0, 41, "\"name\"", "\"id\""},          {CACHE_EMOJIS, 0, 51, "\"name\"", "\"id\""},
    {CACHE_STICKERS, 0, 61, "\"name\"", "\"id\""},       {CACHE_SOUNDS, 0, 81, "\"name\"", "\"sound_id\""},
    {CACHE_MEMBERS, 0, 12, "\"nick\"", "\"user\""},      {CACHE_PRESENCES, 0, 12, NULL, "\"status\""},
    {CACHE_STAGES, 0, 91, "\"topic\"", "\"id\""},        {CACHE_VOICE_STATES, 0, 12, "\"mute\"", "\"channel_id\""},
    {CACHE_EVENTS, 0, 95, "\"name\"", "\"id\""},         {CACHE_MESSAGES, 31, 901, "\"content\"", "\"channel_id\""},
    {CACHE_USERS, 0, 12, "\"username\"", "\"id\""},
};

static void every_entity_is_trimmed(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    char words[64];

    for (size_t i = 0; i < sizeof(trims) / sizeof(trims[0]); i++) {
        struct row r = {.e = trims[i].e, .part = trims[i].part, .id = trims[i].id};
        struct cache_selection s;
        begin(INTENTS_ALL, NULL);
        assert_true(look(&r));
        assert_non_null(strstr(buf_str(&text).p, trims[i].need));
        if (trims[i].field)
            assert_non_null(strstr(buf_str(&text).p, trims[i].field));
        close_cache();
        snprintf(words, sizeof(words), "all,%s:nothing_else", cache_entity_name(trims[i].e));
        assert_int_equal(cache_selection_read(&s, words, &err), 0);
        begin(INTENTS_ALL, &s);
        assert_true(look(&r));
        assert_non_null(strstr(buf_str(&text).p, trims[i].need));
        if (trims[i].field)
            assert_null(strstr(buf_str(&text).p, trims[i].field));
        close_cache();
        cache_selection_done(&s);
    }
}
ON_LOOP(every_entity_is_trimmed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_documented_event_has_a_row),
        cmocka_unit_test(every_event_changes_what_it_should_test),
        cmocka_unit_test(every_entity_is_switched_off_and_asks_for_its_intent_test),
        cmocka_unit_test(every_entity_is_trimmed_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
