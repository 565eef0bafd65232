-- What a message's permission check was made from has two versions: the guild's (owner, roles, channels, overwrites) and
-- the user's (profile, memberships and their roles). A process may keep what it read and insert on condition that both
-- are still the same. Triggers raise them, so that no way of changing a row can forget to.

ALTER TABLE guilds ADD COLUMN access_version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN access_version BIGINT NOT NULL DEFAULT 1;

--[postgresql]
CREATE FUNCTION access_own() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    NEW.access_version := OLD.access_version + 1;
    RETURN NEW;
END';
CREATE FUNCTION access_of_guild() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    UPDATE guilds SET access_version = access_version + 1 WHERE id = coalesce(NEW.guild_id, OLD.guild_id);
    RETURN NULL;
END';
CREATE FUNCTION access_of_channel() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    UPDATE guilds SET access_version = access_version + 1
        WHERE id = (SELECT guild_id FROM channels WHERE id = coalesce(NEW.channel_id, OLD.channel_id));
    RETURN NULL;
END';
CREATE FUNCTION access_of_user() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    UPDATE users SET access_version = access_version + 1 WHERE id = coalesce(NEW.user_id, OLD.user_id);
    RETURN NULL;
END';
CREATE TRIGGER access_version BEFORE UPDATE OF owner_id ON guilds FOR EACH ROW EXECUTE FUNCTION access_own();
CREATE TRIGGER access_version BEFORE UPDATE OF username, discriminator, global_name, avatar, banner, bot, public_flags,
    accent_color ON users FOR EACH ROW EXECUTE FUNCTION access_own();
CREATE TRIGGER access_version AFTER INSERT OR UPDATE OR DELETE ON roles
    FOR EACH ROW EXECUTE FUNCTION access_of_guild();
CREATE TRIGGER access_version AFTER DELETE OR UPDATE OF guild_id, type, rate_limit_per_user, parent_id, nsfw ON channels
    FOR EACH ROW EXECUTE FUNCTION access_of_guild();
CREATE TRIGGER access_version AFTER INSERT OR UPDATE OR DELETE ON channel_overwrites
    FOR EACH ROW EXECUTE FUNCTION access_of_channel();
-- Depth 0: not what a foreign key deletes with a guild, a role or a user, whose own version says it for all.
CREATE TRIGGER access_version AFTER UPDATE OR DELETE ON members
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION access_of_user();
CREATE TRIGGER access_version AFTER INSERT OR UPDATE OR DELETE ON member_roles
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION access_of_user();

--[sqlite]
CREATE TRIGGER access_guild AFTER UPDATE OF owner_id ON guilds BEGIN
    UPDATE guilds SET access_version = access_version + 1 WHERE id = NEW.id;
END;
CREATE TRIGGER access_user AFTER UPDATE OF username, discriminator, global_name, avatar, banner, bot, public_flags,
    accent_color ON users BEGIN
    UPDATE users SET access_version = access_version + 1 WHERE id = NEW.id;
END;
CREATE TRIGGER access_role_insert AFTER INSERT ON roles BEGIN
    UPDATE guilds SET access_version = access_version + 1 WHERE id = NEW.guild_id;
END;
CREATE TRIGGER access_role_update AFTER UPDATE ON roles BEGIN
    UPDATE guilds SET access_version = access_version + 1 WHERE id = NEW.guild_id;
END;
CREATE TRIGGER access_role_delete AFTER DELETE ON roles BEGIN
    UPDATE guilds SET access_version = access_version + 1 WHERE id = OLD.guild_id;
END;
CREATE TRIGGER access_channel_update AFTER UPDATE OF guild_id, type, rate_limit_per_user, parent_id, nsfw ON channels BEGIN
    UPDATE guilds SET access_version = access_version + 1 WHERE id = NEW.guild_id;
END;
CREATE TRIGGER access_channel_delete AFTER DELETE ON channels BEGIN
    UPDATE guilds SET access_version = access_version + 1 WHERE id = OLD.guild_id;
END;
CREATE TRIGGER access_overwrite_insert AFTER INSERT ON channel_overwrites BEGIN
    UPDATE guilds SET access_version = access_version + 1
        WHERE id = (SELECT guild_id FROM channels WHERE id = NEW.channel_id);
END;
CREATE TRIGGER access_overwrite_update AFTER UPDATE ON channel_overwrites BEGIN
    UPDATE guilds SET access_version = access_version + 1
        WHERE id = (SELECT guild_id FROM channels WHERE id = NEW.channel_id);
END;
CREATE TRIGGER access_overwrite_delete AFTER DELETE ON channel_overwrites BEGIN
    UPDATE guilds SET access_version = access_version + 1
        WHERE id = (SELECT guild_id FROM channels WHERE id = OLD.channel_id);
END;
CREATE TRIGGER access_member_update AFTER UPDATE ON members BEGIN
    UPDATE users SET access_version = access_version + 1 WHERE id = NEW.user_id;
END;
CREATE TRIGGER access_member_delete AFTER DELETE ON members BEGIN
    UPDATE users SET access_version = access_version + 1 WHERE id = OLD.user_id;
END;
CREATE TRIGGER access_member_role_insert AFTER INSERT ON member_roles BEGIN
    UPDATE users SET access_version = access_version + 1 WHERE id = NEW.user_id;
END;
CREATE TRIGGER access_member_role_delete AFTER DELETE ON member_roles BEGIN
    UPDATE users SET access_version = access_version + 1 WHERE id = OLD.user_id;
END;
