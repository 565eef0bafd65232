/* `guildhall shard`: holds shards of a bot at the upstream's gateway, keeps the cache, hands events to workers. */
#pragma once

/* Settings are loaded, the loop is made. Returns the exit status. */
int shard_main(void);
