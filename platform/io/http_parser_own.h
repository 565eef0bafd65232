/* http-parser under another name for its method enum: ours is called http_method too. Internal to platform/io. */
#pragma once

#define http_method http_parser_method
#include <http_parser.h>
#undef http_method
