-- Applications that people install for themselves, and what applications support; the version of a client secret.

-- The documented dictionary: "0" installed to guilds, "1" to users.
ALTER TABLE applications ADD COLUMN integration_types TEXT NOT NULL DEFAULT '{"0":{}}';
ALTER TABLE applications ADD COLUMN secret_version INTEGER NOT NULL DEFAULT 0;

CREATE TABLE user_installs (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    application_id BIGINT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL, -- a list of strings
    PRIMARY KEY (user_id, application_id)
);
CREATE INDEX user_installs_application ON user_installs (application_id);
