/* Reads --cache. */
#include "cache/selection.h"

#include "platform/base/mem.h"
#include <errno.h>

/* Up to the next `stop`; takes it off. */
static struct str word_take(struct str *text, char stop)
{
    const char *at = text->n ? memchr(text->p, stop, text->n) : NULL;
    struct str word = {text->p, at ? (size_t)(at - text->p) : text->n};

    *text = (struct str){text->p + word.n + (at != NULL), text->n - word.n - (at != NULL)};
    return word;
}

static void fields_add(struct str *fields, unsigned *count, struct str names)
{
    while (names.n > 0) {
        struct str name = word_take(&names, '|');
        if (name.n == 0)
            continue;
        char *copy = mem_alloc(name.n + 1);
        memcpy(copy, name.p, name.n);
        copy[name.n] = '\0';
        fields[(*count)++] = (struct str){copy, name.n};
    }
}

static void fields_free(struct str *fields)
{
    for (struct str *f = fields; f && f->p; f++)
        mem_free((char *)f->p);
    mem_free(fields);
}

static void fields_set(struct cache_selection *s, enum cache_entity e, struct str names)
{
    struct str always = str_c(cache_entity_always(e));
    struct str *fields = mem_zalloc(sizeof(*fields) * (names.n + always.n + 2));
    unsigned count = 0;

    fields_add(fields, &count, always);
    fields_add(fields, &count, names);
    fields_free(s->fields[e]);
    s->fields[e] = fields;
}

static int entity_take(struct cache_selection *s, struct str word, struct buf *err)
{
    bool without = word.n > 0 && *word.p == '-';
    struct str rest = without ? (struct str){word.p + 1, word.n - 1} : word;
    struct str name = word_take(&rest, ':');
    enum cache_entity e;

    if (cache_entity_find(name, &e) != 0 || (without && rest.n > 0) || (rest.n > 0 && e == CACHE_REACTIONS)) {
        buf_addf(err, "cache: '%.*s' is no entity of the cache%s", STR_ARG(word),
                 rest.n > 0 ? " that can be trimmed like this" : "");
        return -EINVAL;
    }
    if (without) {
        s->entities &= ~(1u << e);
        return 0;
    }
    s->entities |= 1u << e;
    if (rest.n > 0)
        fields_set(s, e, rest);
    return 0;
}

int cache_selection_read(struct cache_selection *s, const char *text, struct buf *err)
{
    struct str words = str_c(text);

    *s = (struct cache_selection){0};
    while (words.n > 0) {
        struct str word = word_take(&words, ',');

        if (str_eq(word, STR("all")))
            s->entities = (1u << CACHE_ENTITY_COUNT) - 1;
        else if (word.n > 0 && !str_eq(word, STR("none")) && entity_take(s, word, err) != 0)
            return -EINVAL;
    }
    return 0;
}

void cache_selection_done(struct cache_selection *s)
{
    for (unsigned i = 0; i < CACHE_ENTITY_COUNT; i++)
        fields_free(s->fields[i]);
    *s = (struct cache_selection){0};
}

bool cache_selection_has(const struct cache_selection *s, enum cache_entity e, struct str field)
{
    for (const struct str *f = s->fields[e]; f && f->p; f++)
        if (str_eq(*f, field))
            return true;
    return s->fields[e] == NULL;
}
