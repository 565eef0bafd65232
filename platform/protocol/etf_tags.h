/* The tags of Erlang's External Term Format that the gateway writes or reads. */
#pragma once

#define ETF_FLOAT_TEXT_BYTES 31 /* of TAG_FLOAT */
#define ETF_BIG_BYTES_MAX    8  /* integers of 64 bits */

enum tag {
    TAG_VERSION = 131,
    TAG_NEW_FLOAT = 70,
    TAG_SMALL_INTEGER = 97,
    TAG_INTEGER = 98,
    TAG_FLOAT = 99,
    TAG_ATOM = 100,
    TAG_SMALL_TUPLE = 104,
    TAG_LARGE_TUPLE = 105,
    TAG_NIL = 106,
    TAG_STRING = 107,
    TAG_LIST = 108,
    TAG_BINARY = 109,
    TAG_SMALL_BIG = 110,
    TAG_LARGE_BIG = 111,
    TAG_SMALL_ATOM = 115,
    TAG_MAP = 116,
    TAG_ATOM_UTF8 = 118,
    TAG_SMALL_ATOM_UTF8 = 119,
};
