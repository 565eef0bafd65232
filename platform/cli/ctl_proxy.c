/* `guildhall ctl proxy unlock`: lets a rest-proxy use a token again that got 401. Loop thread. */
#include "platform/base/settings.h"
#include "platform/cli/ctl.h"
#include "platform/io/co.h"
#include "platform/io/http_client.h"
#include "platform/io/loop.h"

#include <stdio.h>
#include <string.h>

#define CALL_TIMEOUT_MS 10000
#define ANSWER_MAX      65536

static int code;

/* The proxy locks what stands in Authorization; a bare token is a bot's. */
static void unlock(void *arg)
{
    BUF_AUTO struct buf url = {0}, authorization = {0};
    const char *proxy = setting_str(SETTING_proxy_url), *token = setting_str(SETTING_token);
    size_t base = strlen(proxy);
    struct http_client *client = http_client_new(&(struct http_client_options){0});
    struct http_result r;

    (void)arg;
    if (base >= 4 && strcmp(proxy + base - 4, "/api") == 0)
        base -= 4;
    buf_addf(&url, "%.*s/proxy/unlock", (int)base, proxy);
    buf_addf(&authorization, "Authorization: %s%s", strchr(token, ' ') ? "" : "Bot ", token);
    const char *headers[] = {authorization.data, NULL};
    struct http_call_options o = {
        .method = "POST", .url = url.data, .headers = headers, .timeout_ms = CALL_TIMEOUT_MS, .body_max = ANSWER_MAX};
    http_call_await(client, &o, &r);
    if (r.error)
        fprintf(stderr, "guildhall: %s: %s\n", proxy, strerror(-r.error));
    else if (r.status == 204)
        printf("unlocked\n");
    else
        fprintf(stderr, "guildhall: %d %.*s\n", r.status, STR_ARG(buf_str(&r.body)));
    code = !r.error && r.status == 204 ? 0 : 1;
    http_result_done(&r);
    http_client_free(client);
    loop_stop();
}

int ctl_proxy_main(int word_count, char **words)
{
    if (word_count != 1 || strcmp(words[0], "unlock") != 0 || !*setting_str(SETTING_token) ||
        !*setting_str(SETTING_proxy_url)) {
        fprintf(stderr, "guildhall: ctl proxy unlock --proxy-url URL --token TOKEN\n");
        return 2;
    }
    (void)co_spawn(unlock, NULL);
    loop_run();
    return code;
}
