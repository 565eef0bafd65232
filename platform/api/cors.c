/* Clients in a browser, served from another origin: every origin may call the API, because what it may do is said by
 * the Authorization header and by no cookie. Loop thread. Source: Fetch Standard, "CORS protocol". */
#include "platform/api/api_private.h"

static const char exposed[] =
    "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
    "X-RateLimit-Reset-After, X-RateLimit-Bucket, X-RateLimit-Global, X-RateLimit-Scope, Via, "
    "Date";

void cors_headers(struct http_request *req, struct http_response *res)
{
    if (!http_request_header(req, "Origin").p)
        return;
    http_response_header(res, "Access-Control-Allow-Origin", "*");
    http_response_header(res, "Access-Control-Expose-Headers", "%s", exposed);
}

/* Credentials are never needed, so `*` stands for every method and header but Authorization, which must be named. */
bool cors_preflight(struct http_request *req, struct http_response *res)
{
    if (req->method != HTTP_METHOD_OPTIONS)
        return false;
    res->status = 204;
    http_response_header(res, "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    if (!http_request_header(req, "Access-Control-Request-Method").p)
        return true;
    http_response_header(res, "Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE");
    http_response_header(res, "Access-Control-Allow-Headers", "*, Authorization, Content-Type, X-Audit-Log-Reason");
    http_response_header(res, "Access-Control-Max-Age", "86400");
    return true;
}
