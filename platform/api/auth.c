/* Who asks: the Authorization header against the token registry; addresses. Coroutine. */
#include "platform/api/api_private.h"

#include "platform/api/oauth2/oauth2.h"
#include "platform/ports/tokens.h"

#include <errno.h>

struct str caller_address(struct api_ctx *x)
{
    struct str peer = str_c(x->req->peer);
    struct str forwarded = http_request_header(x->req, "X-Forwarded-For");

    /* Only a proxy on this machine is believed; the last address is the one it saw. */
    if (!forwarded.n || !(str_starts(peer, STR("127.")) || str_eq(peer, STR("::1"))))
        return peer;
    const char *comma = memrchr(forwarded.p, ',', forwarded.n);
    struct str last = comma ? (struct str){comma + 1, (size_t)(forwarded.p + forwarded.n - comma - 1)} : forwarded;
    while (last.n && last.p[0] == ' ')
        last.p++, last.n--;
    return last.n && last.n < 64 ? last : peer;
}

/* "Bot TOKEN" or "TOKEN". */
static struct str token_of(struct str header, bool *ret_is_bot)
{
    *ret_is_bot = header.n > 4 && str_eq_nocase((struct str){header.p, 4}, STR("Bot "));
    if (*ret_is_bot)
        header = (struct str){header.p + 4, header.n - 4};
    while (header.n && header.p[0] == ' ')
        header.p++, header.n--;
    while (header.n && header.p[header.n - 1] == ' ')
        header.n--;
    return header;
}

enum api_error authenticate(struct api_ctx *x, const struct route *route)
{
    bool says_bot;
    struct str header = http_request_header(x->req, "Authorization");
    struct str token = token_of(header, &says_bot);
    enum route_auth need = route->auth;
    uint64_t user_id;

    if (need == ROUTE_NONE)
        return API_OK;
    if (header.n > 7 && str_eq_nocase((struct str){header.p, 7}, STR("Bearer ")))
        return bearer_enter(x, route, (struct str){header.p + 7, header.n - 7});
    if (token.n == 0 || token_verify(x->options->tokens, token, &user_id) < 0)
        return API_ERROR_UNAUTHORIZED;
    int r = token_user_is_bot(x->options->tokens, x->ports->db, user_id, &x->is_bot);
    if (r == -ENOENT)
        return API_ERROR_UNAUTHORIZED;
    if (r < 0)
        return api_port_error(r, API_ERROR_UNAUTHORIZED);
    if (says_bot != x->is_bot)
        return API_ERROR_UNAUTHORIZED;
    x->user_id = user_id;
    if (need == ROUTE_USER && x->is_bot)
        return API_ERROR_BOTS_CANNOT_USE;
    return need == ROUTE_BOT && !x->is_bot ? API_ERROR_ONLY_BOTS : API_OK;
}
