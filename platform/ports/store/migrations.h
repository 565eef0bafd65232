/* The schema's migrations, embedded at build time from migrations/NNNN_name.sql, in rising order (migrations.cmake). */
#pragma once

struct store_migration {
    int version;
    const char *name;
    const char *text;
};

extern const struct store_migration store_migrations[];
extern const int store_migration_count;
