-- Of large guilds GUILD_CREATE lists who has a nick; most have none.
CREATE INDEX members_nick ON members (guild_id, user_id) WHERE nick IS NOT NULL;
