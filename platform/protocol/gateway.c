/* The gateway's close codes in words. Any thread. */
#include "platform/protocol/gateway.h"

const char *gateway_close_reason(int code)
{
    switch ((enum gateway_close)code) {
    case GATEWAY_CLOSE_UNKNOWN_ERROR:
        return "Unknown error.";
    case GATEWAY_CLOSE_UNKNOWN_OPCODE:
        return "Unknown opcode.";
    case GATEWAY_CLOSE_DECODE_ERROR:
        return "Error while decoding payload.";
    case GATEWAY_CLOSE_NOT_AUTHENTICATED:
        return "Not authenticated.";
    case GATEWAY_CLOSE_AUTHENTICATION_FAILED:
        return "Authentication failed.";
    case GATEWAY_CLOSE_ALREADY_AUTHENTICATED:
        return "Already authenticated.";
    case GATEWAY_CLOSE_INVALID_SEQ:
        return "Invalid seq.";
    case GATEWAY_CLOSE_RATE_LIMITED:
        return "Rate limited.";
    case GATEWAY_CLOSE_SESSION_TIMED_OUT:
        return "Session timed out.";
    case GATEWAY_CLOSE_INVALID_SHARD:
        return "Invalid shard.";
    case GATEWAY_CLOSE_SHARDING_REQUIRED:
        return "Sharding required.";
    case GATEWAY_CLOSE_INVALID_API_VERSION:
        return "Invalid API version.";
    case GATEWAY_CLOSE_INVALID_INTENTS:
        return "Invalid intent(s).";
    case GATEWAY_CLOSE_DISALLOWED_INTENTS:
        return "Disallowed intent(s).";
    }
    return "";
}
