-- What the gateway's protocol needs: an application's own identify limits, searching members by name, bans, audit log.

-- 0: what the deployment says.
ALTER TABLE applications ADD COLUMN max_concurrency INTEGER NOT NULL DEFAULT 0;
ALTER TABLE applications ADD COLUMN session_starts INTEGER NOT NULL DEFAULT 0;

-- A member's names in lower case (username, display name, nick), so that a prefix is a range of this key: in the order
-- of bytes, which is SQLite's own.
CREATE TABLE member_names (
    guild_id BIGINT NOT NULL REFERENCES guilds (id) ON DELETE CASCADE,
--[postgresql]
    name TEXT COLLATE "C" NOT NULL,
--[sqlite]
    name TEXT NOT NULL,
--[both]
    user_id BIGINT NOT NULL,
    PRIMARY KEY (guild_id, name, user_id)
);
INSERT INTO member_names (guild_id, name, user_id)
SELECT m.guild_id, lower(u.username), m.user_id FROM members m JOIN users u ON u.id = m.user_id
UNION SELECT m.guild_id, lower(u.global_name), m.user_id FROM members m JOIN users u ON u.id = m.user_id
WHERE u.global_name IS NOT NULL
UNION SELECT m.guild_id, lower(m.nick), m.user_id FROM members m WHERE m.nick IS NOT NULL;

-- Which comings and goings a snapshot already counts: those whose events it sees here.
CREATE INDEX outbox_members ON outbox (topic) WHERE type IN ('GUILD_MEMBER_ADD', 'GUILD_MEMBER_REMOVE');

CREATE TABLE bans (
    guild_id BIGINT NOT NULL REFERENCES guilds (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    reason TEXT,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (guild_id, user_id)
);
CREATE INDEX bans_user ON bans (user_id);

CREATE TABLE audit_log (
    id BIGINT PRIMARY KEY,
    guild_id BIGINT NOT NULL REFERENCES guilds (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL,
    target_id BIGINT,
    action_type INTEGER NOT NULL,
    changes TEXT, options TEXT, reason TEXT
);
CREATE INDEX audit_log_guild ON audit_log (guild_id, id);
