-- One dialect for PostgreSQL and SQLite: BIGINT, INTEGER (booleans are 0/1) and TEXT only; times are Unix milliseconds;
-- ids are snowflakes; JSON is TEXT that the API has checked.

CREATE TABLE users (
    id BIGINT PRIMARY KEY,
    username TEXT NOT NULL,
    discriminator TEXT NOT NULL DEFAULT '0',
    global_name TEXT, avatar TEXT, banner TEXT, locale TEXT NOT NULL DEFAULT 'en-US',
    email TEXT,
    password_hash TEXT,
    bot INTEGER NOT NULL DEFAULT 0,
    verified INTEGER NOT NULL DEFAULT 0,
    flags BIGINT NOT NULL DEFAULT 0,
    public_flags BIGINT NOT NULL DEFAULT 0,
    accent_color BIGINT NOT NULL DEFAULT -1,
    created_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (email);
CREATE UNIQUE INDEX users_username ON users (username, discriminator);

CREATE TABLE token_versions (user_id BIGINT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE, version BIGINT NOT NULL);
CREATE TABLE fixed_tokens (token TEXT PRIMARY KEY, user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE);
CREATE INDEX fixed_tokens_user ON fixed_tokens (user_id);

CREATE TABLE applications (
    id BIGINT PRIMARY KEY,
    owner_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    bot_id BIGINT REFERENCES users (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    icon TEXT, verify_key TEXT NOT NULL, interactions_endpoint_url TEXT,
    tags TEXT NOT NULL DEFAULT '[]', redirect_uris TEXT NOT NULL DEFAULT '[]', custom_install_url TEXT,
    bot_public INTEGER NOT NULL DEFAULT 1,
    bot_require_code_grant INTEGER NOT NULL DEFAULT 0,
    flags BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX applications_owner ON applications (owner_id);

CREATE TABLE guilds (
    id BIGINT PRIMARY KEY,
    owner_id BIGINT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    icon TEXT, banner TEXT, splash TEXT, discovery_splash TEXT, description TEXT, vanity_url_code TEXT,
    preferred_locale TEXT NOT NULL DEFAULT 'en-US',
    features TEXT NOT NULL DEFAULT '[]',
    verification_level INTEGER NOT NULL DEFAULT 0,
    default_message_notifications INTEGER NOT NULL DEFAULT 0,
    explicit_content_filter INTEGER NOT NULL DEFAULT 0,
    mfa_level INTEGER NOT NULL DEFAULT 0,
    afk_channel_id BIGINT, afk_timeout INTEGER NOT NULL DEFAULT 300,
    system_channel_id BIGINT, system_channel_flags BIGINT NOT NULL DEFAULT 0,
    rules_channel_id BIGINT, public_updates_channel_id BIGINT,
    nsfw_level INTEGER NOT NULL DEFAULT 0,
    premium_tier INTEGER NOT NULL DEFAULT 0,
    premium_progress_bar_enabled INTEGER NOT NULL DEFAULT 0,
    member_count BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE roles (
    id BIGINT PRIMARY KEY,
    guild_id BIGINT NOT NULL REFERENCES guilds (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    color BIGINT NOT NULL DEFAULT 0,
    position INTEGER NOT NULL DEFAULT 0,
    permissions BIGINT NOT NULL DEFAULT 0,
    hoist INTEGER NOT NULL DEFAULT 0,
    mentionable INTEGER NOT NULL DEFAULT 0,
    managed INTEGER NOT NULL DEFAULT 0,
    icon TEXT, unicode_emoji TEXT,
    bot_id BIGINT,
    flags BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX roles_guild ON roles (guild_id);

CREATE TABLE channels (
    id BIGINT PRIMARY KEY,
    guild_id BIGINT REFERENCES guilds (id) ON DELETE CASCADE,
    type INTEGER NOT NULL,
    name TEXT, topic TEXT, rtc_region TEXT,
    position INTEGER NOT NULL DEFAULT 0,
    parent_id BIGINT, owner_id BIGINT,
    nsfw INTEGER NOT NULL DEFAULT 0,
    rate_limit_per_user INTEGER NOT NULL DEFAULT 0,
    bitrate INTEGER NOT NULL DEFAULT 64000,
    user_limit INTEGER NOT NULL DEFAULT 0,
    flags BIGINT NOT NULL DEFAULT 0,
    default_auto_archive_duration INTEGER NOT NULL DEFAULT 0,
    last_pin_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX channels_guild ON channels (guild_id);
CREATE INDEX channels_parent ON channels (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE channel_overwrites (
    channel_id BIGINT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    target_id BIGINT NOT NULL,
    type INTEGER NOT NULL,
    allow BIGINT NOT NULL DEFAULT 0,
    deny BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (channel_id, target_id)
);

-- A DM of two: user_low < user_high. Both orders are found through channel_recipients.
CREATE TABLE dm_pairs (
    user_low BIGINT NOT NULL, user_high BIGINT NOT NULL,
    channel_id BIGINT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    PRIMARY KEY (user_low, user_high)
);
CREATE INDEX dm_pairs_channel ON dm_pairs (channel_id);
CREATE TABLE channel_recipients (
    channel_id BIGINT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (channel_id, user_id)
);
CREATE INDEX channel_recipients_user ON channel_recipients (user_id);

CREATE TABLE members (
    guild_id BIGINT NOT NULL REFERENCES guilds (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    nick TEXT, avatar TEXT,
    joined_ms BIGINT NOT NULL,
    premium_since_ms BIGINT NOT NULL DEFAULT 0,
    communication_disabled_until_ms BIGINT NOT NULL DEFAULT 0,
    deaf INTEGER NOT NULL DEFAULT 0,
    mute INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    flags BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (guild_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

CREATE TABLE member_roles (
    guild_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    role_id BIGINT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    PRIMARY KEY (guild_id, user_id, role_id),
    FOREIGN KEY (guild_id, user_id) REFERENCES members (guild_id, user_id) ON DELETE CASCADE
);
CREATE INDEX member_roles_role ON member_roles (role_id);

CREATE TABLE invites (
    code TEXT PRIMARY KEY,
    guild_id BIGINT NOT NULL REFERENCES guilds (id) ON DELETE CASCADE,
    channel_id BIGINT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    inviter_id BIGINT,
    max_age_s INTEGER NOT NULL DEFAULT 86400,
    max_uses INTEGER NOT NULL DEFAULT 0,
    uses INTEGER NOT NULL DEFAULT 0,
    temporary INTEGER NOT NULL DEFAULT 0,
    created_ms BIGINT NOT NULL
);
CREATE INDEX invites_guild ON invites (guild_id);
CREATE INDEX invites_channel ON invites (channel_id);

CREATE TABLE messages (
    channel_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    guild_id BIGINT,
    author_id BIGINT NOT NULL,
    type INTEGER NOT NULL DEFAULT 0,
    flags BIGINT NOT NULL DEFAULT 0,
    content TEXT NOT NULL DEFAULT '',
    embeds TEXT, attachments TEXT, components TEXT, sticker_items TEXT, poll TEXT,
    mentions TEXT, mention_roles TEXT, -- ids joined by commas
    mention_everyone INTEGER NOT NULL DEFAULT 0,
    tts INTEGER NOT NULL DEFAULT 0,
    reference TEXT, reference_id BIGINT,
    nonce TEXT, nonce_is_number INTEGER NOT NULL DEFAULT 0,
    edited_ms BIGINT NOT NULL DEFAULT 0,
    pinned_ms BIGINT NOT NULL DEFAULT 0, -- 0: not pinned
    PRIMARY KEY (channel_id, id)
);
CREATE INDEX messages_pinned ON messages (channel_id, pinned_ms) WHERE pinned_ms > 0;

CREATE TABLE message_nonces (
    channel_id BIGINT NOT NULL, author_id BIGINT NOT NULL, nonce TEXT NOT NULL,
    message_id BIGINT NOT NULL, created_ms BIGINT NOT NULL,
    PRIMARY KEY (channel_id, author_id, nonce)
);
CREATE INDEX message_nonces_created ON message_nonces (created_ms);

CREATE TABLE reactions (
    channel_id BIGINT NOT NULL, message_id BIGINT NOT NULL,
    emoji TEXT NOT NULL, -- the custom emoji's id, or the Unicode emoji itself
    user_id BIGINT NOT NULL,
    emoji_name TEXT NOT NULL, emoji_id BIGINT,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (channel_id, message_id, emoji, user_id)
);

CREATE TABLE outbox (
    id BIGINT PRIMARY KEY,
    topic BIGINT NOT NULL,
    topic_is_user INTEGER NOT NULL,
    type TEXT NOT NULL,
    channel_id BIGINT, user_id BIGINT,
    mentions TEXT, -- ids joined by commas
    data TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    confirmed_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX outbox_pending ON outbox (created_ms) WHERE confirmed_ms = 0;
CREATE INDEX outbox_confirmed ON outbox (confirmed_ms) WHERE confirmed_ms > 0;
