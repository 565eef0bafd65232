/* Messages made by printf, and the nonce that keeps a repeated handler from sending twice. Coroutine. */
#include "worker-sdk/src/rest.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

/* At most 25 characters. Outside events it is random: only the call's own retries are covered. */
static void nonce_make(struct gh_context *c, char nonce[26])
{
    unsigned char hash[crypto_shorthash_BYTES];
    static const unsigned char key[crypto_shorthash_KEYBYTES] = {1};
    char text[192];
    if (c->item) {
        event_identity(c, text, sizeof text);
        crypto_shorthash(hash, (const unsigned char *)text, strlen(text), key);
    } else {
        randombytes_buf(hash, sizeof hash);
    }
    sodium_bin2hex(nonce, 17, hash, sizeof hash);
    snprintf(nonce + 16, 10, "-%u", c->calls++ % 100000);
}

void message_nonce_add(struct gh_context *c, json_t *message)
{
    char nonce[26];
    nonce_make(c, nonce);
    if (json_object_get(message, "nonce"))
        return;
    json_object_set_new(message, "nonce", json_string(nonce));
    json_object_set_new(message, "enforce_nonce", json_true());
}

static const char *formatted(struct gh_context *c, const char *fmt, va_list args)
{
    char *text = NULL;
    int n = vasprintf(&text, fmt, args);
    const char *kept = n < 0 ? "" : arena_strdup(&c->arena, str_c(text));
    free(n < 0 ? NULL : text);
    return kept;
}

#define FORMATTED(text)                                                                                                \
    va_list args;                                                                                                      \
    va_start(args, fmt);                                                                                               \
    const char *text = formatted(c, fmt, args);                                                                        \
    va_end(args)

int gh_message_send(struct gh_context *c, uint64_t channel_id, const char *fmt, ...)
{
    FORMATTED(text);
    return gh_create_message(c, channel_id, &(struct gh_message_body){.content = text}, NULL, NULL);
}

int gh_message_reply(struct gh_context *c, const struct gh_message *to, const char *fmt, ...)
{
    FORMATTED(text);
    struct gh_message_reference reference = {.message_id = to->id,
                                             .json = gh_json_set_flag(gh_json_object(c), "fail_if_not_exists", false)};
    return gh_create_message(c, to->channel_id,
                             &(struct gh_message_body){.content = text, .message_reference = &reference}, NULL, NULL);
}

int gh_message_edit(struct gh_context *c, uint64_t channel_id, uint64_t message_id, const char *fmt, ...)
{
    FORMATTED(text);
    const struct gh_json *content = gh_json_set_text(gh_json_object(c), "content", text); /* "" empties it */
    return gh_edit_message(c, channel_id, message_id, &(struct gh_message_body){.json = content}, NULL, NULL);
}

int gh_reaction_add(struct gh_context *c, uint64_t channel_id, uint64_t message_id, const char *emoji)
{
    return gh_create_reaction(c, channel_id, message_id, emoji, NULL);
}

int gh_message_send_dm(struct gh_context *c, uint64_t user_id, const char *fmt, ...)
{
    FORMATTED(text);
    const struct gh_channel *dm;
    int error = gh_create_dm(c, gh_json_set_id(gh_json_object(c), "recipient_id", user_id), NULL, &dm);
    return error ? error : gh_create_message(c, dm->id, &(struct gh_message_body){.content = text}, NULL, NULL);
}
