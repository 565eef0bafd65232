/* Rules for what accounts are made of, shared by registration and PATCH /users/@me. Errors go to the form. */
#pragma once

#include "platform/api/api.h"

/* Lower-cases into the arena and checks. False: recorded at `key`. */
bool account_username(struct api_ctx *x, const char *key, struct str given, struct str *ret);
bool account_email(struct api_ctx *x, const char *key, struct str given, struct str *ret);

#define PASSWORD_CHARS_MIN 8
#define PASSWORD_CHARS_MAX 72
