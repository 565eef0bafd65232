/* Settings from file, environment and flags, checked against one table (settings.def). Loop thread; read once at
 * start. Values stay valid for the process's life, so replaced ones are kept on a list. */
#include "platform/base/settings.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum setting_type { TYPE_STRING, TYPE_INT, TYPE_BOOL };

struct setting_row {
    const char *name;
    unsigned commands;
    enum setting_type type;
    const char *def;
    int64_t min, max;
    const char *unit, *env_alias, *help;
};

static const struct setting_row rows[] = {
#define SETTING(name, commands, type, def, min, max, unit, env_alias, help)                                            \
    [SETTING_##name] = {#name, (commands), TYPE_##type, def, min, max, unit, env_alias, help},
#include "platform/base/settings.def"
#undef SETTING
};

struct setting_value {
    struct setting_value *older;
    int64_t number;
    char text[];
};

static struct setting_value *values[SETTING_COUNT];

/* The last settings_load, for settings_reload. */
static struct {
    enum settings_command command;
    int argc;
    char **argv;
} loaded;

static int parse_bool(struct str s, int64_t *ret)
{
    static const struct {
        struct str word;
        int64_t value;
    } words[] = {{STR("on"), 1},  {STR("true"), 1},  {STR("1"), 1}, {STR("yes"), 1},
                 {STR("off"), 0}, {STR("false"), 0}, {STR("0"), 0}, {STR("no"), 0}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_eq_nocase(s, words[i].word)) {
            *ret = words[i].value;
            return 0;
        }
    return -EINVAL;
}

/* Is s one of the words of `choices`, "a|b|c"? */
static bool one_of(struct str s, const char *choices)
{
    for (const char *at = choices; *at;) {
        size_t n = strcspn(at, "|");
        if (str_eq(s, (struct str){at, n}))
            return true;
        at += n + (at[n] == '|');
    }
    return false;
}

/* source: for the error line, e.g. `--port` or `GUILDHALL_PORT`. */
static int setting_check(const struct setting_row *row, const char *text, const char *source, int64_t *ret,
                         struct buf *err)
{
    *ret = 0;
    if (row->type == TYPE_INT && (str_to_i64(str_c(text), ret) < 0 || *ret < row->min || *ret > row->max)) {
        buf_addf(err, "%s: %s must be a whole number from %" PRId64 " to %" PRId64 ", not `%s`", source, row->name,
                 row->min, row->max, text);
        return -EINVAL;
    }
    if (row->type == TYPE_BOOL && parse_bool(str_c(text), ret) < 0) {
        buf_addf(err, "%s: %s must be on or off, not `%s`", source, row->name, text);
        return -EINVAL;
    }
    if (row->type == TYPE_STRING && strchr(row->unit, '|') && !one_of(str_c(text), row->unit)) {
        buf_addf(err, "%s: %s must be one of %s, not `%s`", source, row->name, row->unit, text);
        return -EINVAL;
    }
    return 0;
}

static int setting_set(enum setting s, const char *text, const char *source, struct buf *err)
{
    int64_t number;
    int r = setting_check(&rows[s], text, source, &number, err);

    if (r < 0)
        return r;
    struct setting_value *v = mem_alloc(sizeof(*v) + strlen(text) + 1);
    v->older = values[s];
    v->number = number;
    strcpy(v->text, text);
    values[s] = v;
    return 0;
}

static const struct setting_value *setting_value(enum setting s)
{
    CHECK(s < SETTING_COUNT);
    if (!values[s])
        setting_override(s, rows[s].def);
    return values[s];
}

const char *setting_str(enum setting s)
{
    return setting_value(s)->text;
}

int64_t setting_int(enum setting s)
{
    CHECK(rows[s].type == TYPE_INT);
    return setting_value(s)->number;
}

bool setting_bool(enum setting s)
{
    CHECK(rows[s].type == TYPE_BOOL);
    return setting_value(s)->number != 0;
}

void setting_override(enum setting s, const char *value)
{
    BUF_AUTO struct buf err = BUF_INIT(0);

    CHECK_MSG(setting_set(s, value, "override", &err) == 0, "%.*s", STR_ARG(buf_str(&err)));
}

/* Finds the setting of a file's name or of a flag's name (blanks of a name are `_` in files and `-` in flags). */
static int find_setting(struct str name, enum setting *ret)
{
    for (int s = 0; s < SETTING_COUNT; s++) {
        const char *row = rows[s].name;
        size_t i = 0;
        while (i < name.n && row[i] && (row[i] == name.p[i] || (row[i] == '_' && name.p[i] == '-')))
            i++;
        if (i == name.n && !row[i]) {
            *ret = (enum setting)s;
            return 0;
        }
    }
    return -ENOENT;
}

static struct str trim(struct str s)
{
    while (s.n && isspace((unsigned char)s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

static int read_file_line(enum settings_command command, const char *source, struct str line, struct buf *err)
{
    enum setting s;

    line = trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return 0;
    const char *eq = memchr(line.p, '=', line.n);
    if (!eq) {
        buf_addf(err, "%s: expected `name = value`, not `%.*s`", source, STR_ARG(line));
        return -EINVAL;
    }
    struct str name = trim((struct str){line.p, (size_t)(eq - line.p)});
    struct str value = trim((struct str){eq + 1, line.n - (size_t)(eq + 1 - line.p)});
    if (find_setting(name, &s) < 0 || s == SETTING_config) {
        buf_addf(err, "%s: no setting is called `%.*s`", source, STR_ARG(name));
        return -EINVAL;
    }
    if (!(rows[s].commands & command))
        return 0;
    MEM_AUTO char *text = mem_strndup(value.p, value.n);
    return setting_set(s, text, source, err);
}

static int read_file(enum settings_command command, const char *path, struct buf *err)
{
    FILE *f = fopen(path, "re");
    char *line = NULL, source[512];
    size_t size = 0;
    ssize_t n;
    int r = 0;

    if (!f) {
        buf_addf(err, "config %s: %s", path, strerrordesc_np(errno));
        return -EINVAL;
    }
    for (unsigned number = 1; r == 0 && (n = getline(&line, &size, f)) >= 0; number++) {
        snprintf(source, sizeof(source), "%s:%u", path, number);
        r = read_file_line(command, source, (struct str){line, (size_t)n}, err);
    }
    free(line);
    fclose(f);
    return r;
}

/* The value and name of the environment variable that sets s; NULL when there is none. */
static const char *env_value(enum setting s, char name[64])
{
    size_t at = (size_t)snprintf(name, 64, "GUILDHALL_%s", rows[s].name);

    for (size_t i = 0; i < at; i++)
        name[i] = (char)toupper((unsigned char)name[i]);
    const char *value = getenv(name);
    if (!value && rows[s].env_alias) {
        snprintf(name, 64, "%s", rows[s].env_alias);
        value = getenv(name);
    }
    return value;
}

static int read_environment(enum settings_command command, struct buf *err)
{
    char name[64];

    for (int s = 0; s < SETTING_COUNT; s++) {
        const char *value = rows[s].commands & command ? env_value((enum setting)s, name) : NULL;
        int r = value ? setting_set((enum setting)s, value, name, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

struct flags {
    enum settings_command command;
    int argc, at;
    char **argv;
    char **rest;
    int rest_count;
    char *found[SETTING_COUNT]; /* mem_free each */
    struct buf *err;
};

/* The next word as a flag's value; NULL when there is none. */
static const char *flags_next_value(struct flags *f)
{
    if (f->at >= f->argc || strncmp(f->argv[f->at], "--", 2) == 0)
        return NULL;
    return f->argv[f->at++];
}

static char *flags_bool_value(struct flags *f)
{
    int64_t ignored;

    if (f->at < f->argc && parse_bool(str_c(f->argv[f->at]), &ignored) == 0)
        return mem_strdup(f->argv[f->at++]);
    return mem_strdup("on");
}

/* Where inline_value is NULL the value is in the words to come. NULL when it is missing. */
static char *flags_value(struct flags *f, enum setting s, const char *inline_value)
{
    if (!inline_value && rows[s].type == TYPE_BOOL)
        return flags_bool_value(f);
    const char *first = inline_value ? inline_value : flags_next_value(f);
    if (first && s == SETTING_tls) {
        const char *second = flags_next_value(f);
        char *both = NULL;
        return second && asprintf(&both, "%s\n%s", first, second) >= 0 ? both : NULL;
    }
    return first ? mem_strdup(first) : NULL;
}

static int flags_take(struct flags *f, const char *word)
{
    size_t name_len = strcspn(word, "=");
    enum setting s;

    if (find_setting((struct str){word, name_len}, &s) < 0 || memchr(word, '_', name_len)) {
        buf_addf(f->err, "--%.*s: no such flag (see --help)", (int)name_len, word);
        return -EINVAL;
    }
    if (!(rows[s].commands & f->command)) {
        buf_addf(f->err, "--%.*s: not a flag of this command (see --help)", (int)name_len, word);
        return -EINVAL;
    }
    char *value = flags_value(f, s, word[name_len] == '=' ? word + name_len + 1 : NULL);
    if (!value) {
        buf_addf(f->err, "--%.*s: needs a value (%s)", (int)name_len, word, rows[s].unit);
        return -EINVAL;
    }
    mem_free(f->found[s]);
    f->found[s] = value;
    return 0;
}

static int flags_read(struct flags *f)
{
    bool only_words = false;

    while (f->at < f->argc) {
        char *word = f->argv[f->at++];
        if (only_words || strncmp(word, "--", 2) != 0) {
            f->rest[f->rest_count++] = word;
        } else if (word[2] == 0) {
            only_words = true;
        } else {
            int r = flags_take(f, word + 2);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int flags_apply(struct flags *f)
{
    char source[64];

    for (int s = 0; s < SETTING_COUNT; s++) {
        if (!f->found[s])
            continue;
        snprintf(source, sizeof(source), "--%s", rows[s].name);
        for (char *c = source; *c; c++)
            if (*c == '_')
                *c = '-';
        int r = setting_set((enum setting)s, f->found[s], source, f->err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int load_in_order(struct flags *f)
{
    char name[64];
    int r = flags_read(f);

    if (r < 0)
        return r;
    const char *config = f->found[SETTING_config] ? f->found[SETTING_config] : env_value(SETTING_config, name);
    if (config && *config)
        r = read_file(f->command, config, f->err);
    if (r == 0)
        r = read_environment(f->command, f->err);
    return r < 0 ? r : flags_apply(f);
}

int settings_load(enum settings_command command, int argc, char **argv, char **ret_rest, int *ret_rest_count,
                  struct buf *err)
{
    struct flags f = {.command = command, .argc = argc, .argv = argv, .rest = ret_rest, .err = err};

    loaded.command = command;
    loaded.argc = argc;
    loaded.argv = argv;
    for (int s = 0; s < SETTING_COUNT; s++)
        setting_override((enum setting)s, rows[s].def);
    int r = load_in_order(&f);
    for (int s = 0; s < SETTING_COUNT; s++)
        mem_free(f.found[s]);
    if (r == 0)
        *ret_rest_count = f.rest_count;
    return r;
}

/* Nobody has seen the values that are newer than `before`. */
static void setting_back(enum setting s, const struct setting_value *before)
{
    while (values[s] != before) {
        struct setting_value *newer = values[s];

        values[s] = newer->older;
        mem_free(newer);
    }
}

int settings_reload(struct buf *err)
{
    struct setting_value *before[SETTING_COUNT];
    int rest_count;

    CHECK(loaded.argv);
    MEM_AUTO char **rest = mem_zalloc(sizeof(*rest) * (size_t)(loaded.argc + 1));
    memcpy(before, values, sizeof(before));
    int r = settings_load(loaded.command, loaded.argc, loaded.argv, rest, &rest_count, err);
    for (int s = 0; r < 0 && s < SETTING_COUNT; s++)
        setting_back((enum setting)s, before[s]);
    return r;
}

void settings_help(enum settings_command command, struct buf *out)
{
    char name[64], flag[96];

    for (int s = 0; s < SETTING_COUNT; s++) {
        const struct setting_row *row = &rows[s];
        if (!(row->commands & command))
            continue;
        snprintf(flag, sizeof(flag), "--%s %s", row->name, row->unit);
        for (size_t i = 0; i < strlen(row->name); i++)
            if (flag[2 + i] == '_')
                flag[2 + i] = '-';
        buf_addf(out, "  %-36s %s", flag, row->help);
        if (row->type == TYPE_INT)
            buf_addf(out, "; %" PRId64 " to %" PRId64, row->min, row->max);
        if (row->def[0])
            buf_addf(out, "; default %s", row->def);
        size_t at = (size_t)snprintf(name, sizeof(name), "GUILDHALL_%s", row->name);
        for (size_t i = 0; i < at; i++)
            name[i] = (char)toupper((unsigned char)name[i]);
        buf_addf(out, "  [%s%s%s]\n", name, row->env_alias ? ", " : "", row->env_alias ? row->env_alias : "");
    }
}
