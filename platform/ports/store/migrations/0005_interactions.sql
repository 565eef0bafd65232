-- Application commands and their permissions; what a message that answers an interaction is.

CREATE TABLE application_commands (
    id BIGINT PRIMARY KEY,
    application_id BIGINT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    guild_id BIGINT REFERENCES guilds (id) ON DELETE CASCADE, -- NULL: global
    type INTEGER NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    definition TEXT NOT NULL -- the documented object's other members
);
CREATE UNIQUE INDEX application_commands_name
    ON application_commands (application_id, COALESCE(guild_id, 0), type, name);
CREATE INDEX application_commands_guild ON application_commands (guild_id);

CREATE TABLE application_command_permissions (
    application_id BIGINT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    guild_id BIGINT NOT NULL REFERENCES guilds (id) ON DELETE CASCADE,
    command_id BIGINT NOT NULL, -- the application's id: of all its commands that have none of their own
    permissions TEXT NOT NULL,
    PRIMARY KEY (application_id, guild_id, command_id)
);
CREATE INDEX application_command_permissions_guild ON application_command_permissions (guild_id);

ALTER TABLE messages ADD COLUMN webhook_id BIGINT;
ALTER TABLE messages ADD COLUMN interaction TEXT; -- interaction_metadata and interaction, as members of one object
