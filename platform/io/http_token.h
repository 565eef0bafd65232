/* The characters of a header's name. Internal to platform/io. Source: RFC 9110, section 5.6.2. */
#pragma once

/* In lower case; 0: not one of them. */
extern const char http_token_lower[256];
