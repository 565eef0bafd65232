/* Application commands as JSON; which names they may have. Pure.
 * Source: Discord API documentation, "Application Command Naming". */
#include "platform/model/command.h"

#include "platform/base/jw.h"
#include "platform/protocol/json_text.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>

void application_command_write(struct buf *b, const struct application_command *c)
{
    jw_obj(b);
    jw_kid(b, "id", c->id);
    jw_kid(b, "application_id", c->application_id);
    if (c->guild_id)
        jw_kid(b, "guild_id", c->guild_id);
    jw_kid(b, "version", c->version);
    jw_ki64(b, "type", c->type);
    jw_kstr(b, "name", c->name);
    (void)json_members_copy(b, c->definition_json, NULL, 0);
    jw_obj_end(b);
}

void command_permissions_write(struct buf *b, const struct command_permissions *p)
{
    jw_obj(b);
    jw_kid(b, "id", p->command_id);
    jw_kid(b, "application_id", p->application_id);
    jw_kid(b, "guild_id", p->guild_id);
    jw_kraw(b, "permissions", p->permissions_json.n ? p->permissions_json : STR("[]"));
    jw_obj_end(b);
}

static locale_t unicode;

static void unicode_open(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static uint32_t code_point(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;

    switch (n) {
    case 1:
        return u[0];
    case 2:
        return (u[0] & 0x1Fu) << 6 | (u[1] & 0x3Fu);
    case 3:
        return (u[0] & 0x0Fu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
    default:
        return (u[0] & 0x07u) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
    }
}

/* Without the C library's Unicode tables letters of other alphabets are believed. */
static bool name_char(uint32_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '\'';
    if ((c >= 0x0900 && c <= 0x0963) || (c >= 0x0966 && c <= 0x097F) || (c >= 0x0E01 && c <= 0x0E3A) ||
        (c >= 0x0E40 && c <= 0x0E5B))
        return true;
    if (!unicode)
        return true;
    return iswalnum_l((wint_t)c, unicode) && (uint32_t)towlower_l((wint_t)c, unicode) == c;
}

bool command_name_valid(struct str name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int64_t count = utf8_count(name);

    if (count < 1 || count > 32)
        return false;
    pthread_once(&once, unicode_open);
    for (size_t n; name.n; name = (struct str){name.p + n, name.n - n}) {
        n = utf8_next(name);
        if (!n || !name_char(code_point(name.p, n)))
            return false;
    }
    return true;
}

bool locale_known(struct str locale)
{
    static const char *const known[] = {"id", "da", "de",    "en-GB", "en-US", "es-ES", "es-419", "fr",
                                        "hr", "it", "lt",    "hu",    "nl",    "no",    "pl",     "pt-BR",
                                        "ro", "fi", "sv-SE", "vi",    "tr",    "cs",    "el",     "bg",
                                        "ru", "uk", "hi",    "th",    "zh-CN", "ja",    "zh-TW",  "ko"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_eq(locale, str_c(known[i])))
            return true;
    return false;
}
