/* What a message may carry: content, embeds, components, flags, and whom it mentions. Coroutine.
 * Source: "Message: Create Message", "Allowed Mentions Object". */
#include "platform/api/form.h"
#include "platform/api/messages/components.h"
#include "platform/api/messages/messages.h"

#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#define MENTIONS_MAX 100

/* What allowed_mentions lets through. */
struct allowed {
    bool users, roles, everyone, replied_user;
    bool listed_users, listed_roles; /* only the ids below */
    uint64_t *user_ids, *role_ids;
    unsigned user_count, role_count;
};

static bool id_in(uint64_t id, const uint64_t *ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* A member of allowed_mentions that must be an array where it is given. */
static json_t *list_of(struct api_ctx *x, json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v) || json_is_array(v))
        return v;
    form_error(x, arena_printf(x->arena, "allowed_mentions.%s", key).p, "LIST_TYPE_CONVERT",
               "Only iterables may be used in a ListType");
    return NULL;
}

static uint64_t *ids_of(struct api_ctx *x, json_t *array, const char *path, unsigned *ret_count)
{
    size_t count = json_array_size(array);
    uint64_t *ids = ARENA_ARRAY(x->arena, uint64_t, MENTIONS_MAX);
    *ret_count = 0;
    if (count > MENTIONS_MAX)
        form_error(x, path, "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length.");
    for (size_t i = 0; i < count && i < MENTIONS_MAX; i++) {
        if (json_to_id(json_array_get(array, i), &ids[*ret_count]))
            (*ret_count)++;
        else
            form_error(x, path, "NUMBER_TYPE_COERCE", "Value is not snowflake.");
    }
    return ids;
}

static void allowed_parse_list(struct api_ctx *x, json_t *parse, struct allowed *a)
{
    for (size_t i = 0; i < json_array_size(parse); i++) {
        struct str kind = str_c(json_string_value(json_array_get(parse, i)));
        if (str_eq(kind, STR("users")))
            a->users = true;
        else if (str_eq(kind, STR("roles")))
            a->roles = true;
        else if (str_eq(kind, STR("everyone")))
            a->everyone = true;
        else
            form_error(x, "allowed_mentions.parse", "BASE_TYPE_CHOICES",
                       "Value must be one of {'users', 'everyone', 'roles'}.");
    }
}

static struct allowed allowed_read(struct api_ctx *x)
{
    struct allowed a = {.users = true, .roles = true, .everyone = true, .replied_user = true};
    json_t *o = form_object(x, "allowed_mentions", FORM_NULLABLE);
    if (!o)
        return a;
    json_t *users = list_of(x, o, "users"), *roles = list_of(x, o, "roles");
    a = (struct allowed){.replied_user = json_is_true(json_object_get(o, "replied_user"))};
    allowed_parse_list(x, list_of(x, o, "parse"), &a);
    a.user_ids = ids_of(x, users, "allowed_mentions.users", &a.user_count);
    a.role_ids = ids_of(x, roles, "allowed_mentions.roles", &a.role_count);
    a.listed_users = a.user_count > 0;
    a.listed_roles = a.role_count > 0;
    if ((a.users && a.listed_users) || (a.roles && a.listed_roles))
        form_error(x, "allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                   "parse:[\"users\"] and users: [ids...] are mutually exclusive.");
    return a;
}

static bool user_allowed(const struct allowed *a, uint64_t id)
{
    return a->users || (a->listed_users && id_in(id, a->user_ids, a->user_count));
}

static bool role_allowed(const struct allowed *a, const struct api_access *access, uint64_t id)
{
    if (!a->roles && !(a->listed_roles && id_in(id, a->role_ids, a->role_count)))
        return false;
    for (unsigned i = 0; i < access->snap.role_count; i++)
        if (access->snap.roles[i].id == id)
            return access->snap.roles[i].mentionable || (access->permissions & PERMISSION_MENTION_EVERYONE);
    return false;
}

struct found {
    uint64_t users[MENTIONS_MAX + 1], roles[MENTIONS_MAX];
    unsigned user_count, role_count;
};

static void found_add(uint64_t *ids, unsigned *count, uint64_t id)
{
    if (*count < MENTIONS_MAX && !id_in(id, ids, *count))
        ids[(*count)++] = id;
}

/* "<@123>", "<@!123>", "<@&123>" from `at`, which points behind "<@". Returns how many bytes were read. */
static size_t mention_read(struct str s, size_t at, char *ret_kind, uint64_t *ret_id)
{
    size_t i = at;
    *ret_kind = i < s.n && (s.p[i] == '!' || s.p[i] == '&') ? s.p[i++] : '@';
    size_t digits = i;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    if (i >= s.n || s.p[i] != '>' || snowflake_parse((struct str){s.p + digits, i - digits}, ret_id) < 0)
        return 0;
    return i + 1 - at;
}

static void content_scan(struct str s, const struct allowed *a, const struct api_access *access, struct found *f)
{
    for (size_t i = 0; i + 2 < s.n; i++) {
        char kind;
        uint64_t id;
        if (s.p[i] != '<' || s.p[i + 1] != '@' || !mention_read(s, i + 2, &kind, &id))
            continue;
        if (kind == '&' ? role_allowed(a, access, id) : user_allowed(a, id))
            found_add(kind == '&' ? f->roles : f->users, kind == '&' ? &f->role_count : &f->user_count, id);
    }
}

static bool names_everyone(struct str s)
{
    return memmem(s.p, s.n, "@everyone", 9) || memmem(s.p, s.n, "@here", 5);
}

static enum api_error mentions_read(struct api_ctx *x, const struct api_access *access, uint64_t replied_author,
                                    struct message *m)
{
    struct allowed a = allowed_read(x);
    struct found *f = ARENA_NEW(x->arena, struct found);
    struct str said = m->flags & MESSAGE_COMPONENTS_V2 ? components_text(x->arena, m->components_json) : m->content;
    if (said.n)
        content_scan(said, &a, access, f);
    if (replied_author && a.replied_user)
        found_add(f->users, &f->user_count, replied_author);
    m->mention_everyone = said.n && a.everyone && !access->is_dm &&
                          (access->permissions & PERMISSION_MENTION_EVERYONE) && names_everyone(said);
    m->mention_roles = f->roles;
    m->mention_role_count = f->role_count;

    struct user *users;
    unsigned count = 0;
    if (f->user_count) {
        int r = store_users_get(x->ports->db, x->arena, f->users, f->user_count, &users, &count);
        if (r < 0)
            return api_port_error(r, API_ERROR_UNKNOWN_USER);
        for (unsigned i = 0; i < count; i++)
            f->users[i] = users[i].id;
    }
    m->mentions = f->users;
    m->mention_count = count;
    return API_OK;
}

enum api_error message_content_read(struct api_ctx *x, const struct api_access *access, uint64_t replied_author,
                                    struct message *m)
{
    struct str content;
    int64_t flags;
    if (form_str(x, "content", FORM_NULLABLE, 0, LIMIT_MESSAGE_CHARS, &content))
        m->content = content.p ? content : STR("");
    if (form_has(x, "embeds"))
        m->embeds_json = embeds_read(x);
    if (form_i64(x, "flags", FORM_NULLABLE, 0, INT32_MAX, &flags)) {
        int64_t settable = MESSAGE_SUPPRESS_EMBEDS | MESSAGE_SUPPRESS_NOTIFICATIONS;
        m->flags = (m->flags & ~settable) | (flags & (settable | MESSAGE_COMPONENTS_V2));
    }
    /* Only applications send components; a person's are left out, as by the original. */
    if (form_has(x, "components") && x->is_bot)
        m->components_json = components_read(x, m->flags & MESSAGE_COMPONENTS_V2 ? COMPONENTS_V2 : COMPONENTS_LEGACY,
                                             m->attachments_json);
    if (m->flags & MESSAGE_COMPONENTS_V2 && (m->content.n || m->embeds_json.n))
        form_error(x, m->content.n ? "content" : "embeds", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                   "This field cannot be used together with MessageFlags.IS_COMPONENTS_V2");
    if (!(access->permissions & PERMISSION_EMBED_LINKS))
        m->embeds_json = STR_NONE;
    /* An edit that leaves the text alone leaves its mentions alone. */
    if (m->mentions && !form_has(x, "content") && !form_has(x, "allowed_mentions") &&
        !(m->flags & MESSAGE_COMPONENTS_V2 && form_has(x, "components")))
        return API_OK;
    return mentions_read(x, access, replied_author, m);
}

bool message_is_empty(const struct message *m)
{
    for (size_t i = 0; i < m->content.n; i++)
        if (!strchr(" \t\r\n", m->content.p[i]))
            return false;
    return !m->embeds_json.n && !m->attachments_json.n && !m->components_json.n && !m->sticker_items_json.n &&
           !m->poll_json.n;
}
