/* The tools of `guildhall ctl` that are more than a few lines. */
#pragma once

/* ctl chat: runs until the end of input, or until the gateway ends it. Returns the exit code. */
int chat_main(void);
