/* Standard input line by line, on the loop, whatever standard input is (terminal, pipe, file). */
#pragma once

#include "platform/base/str.h"

/* fn gets each line without its newline, valid during the call; STR_NONE at the end of input. Once per process. */
void lines_start(void (*fn)(struct str line, void *arg), void *arg);
