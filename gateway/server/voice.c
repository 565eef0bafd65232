/* Voice states. Loop thread. */
#include "gateway/server/server.h"

void voice_changed(struct entries_user *u, struct str old, void *topic)
{
    (void)u, (void)old, (void)topic;
}
