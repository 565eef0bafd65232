/* `objects` embedded: files in a folder, or in memory. A file is written beside its place, synced, and renamed, so that
 * a reader never sees half of one; its content type stands in a small file beside it. File work runs on the thread
 * pool. */
#include "platform/ports/objects.h"

#include "platform/base/limits.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_CHARS_MAX    512
#define PART_CHARS_MAX   200 /* of a key: with what is added while writing, a file's name has at most 255 */
#define CONTENT_TYPE_MAX 128

struct object {
    size_t len;
    char content_type[CONTENT_TYPE_MAX];
    char bytes[];
};

struct objects {
    char *dir; /* NULL: in memory */
    struct smap memory;
    size_t memory_bytes;
};

/* Parts of letters, digits, dot, dash and underscore; none empty, none beginning with a dot. */
static bool key_ok(struct str key)
{
    if (!key.n || key.n > KEY_CHARS_MAX)
        return false;
    char before = '/';
    size_t part = 0;
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!plain && c != '.' && c != '/')
            return false;
        if (before == '/' && !plain)
            return false;
        before = c;
        part = c == '/' ? 0 : part + 1;
        if (part > PART_CHARS_MAX)
            return false;
    }
    return before != '/';
}

/* --- files --- */

struct file_job {
    struct objects *o;
    struct str key, bytes, content_type;
    struct buf *out;
    char path[PATH_MAX], type[CONTENT_TYPE_MAX];
    int result;
};

/* The name of a file or folder is durable only when the folder it stands in is. */
static int sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0'; /* the root keeps its own */
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static int make_folder(const char *path)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    return sync_folder_of(path);
}

static int make_folders(char *path, size_t from)
{
    int r = 0;
    for (char *slash = strchr(path + from + 1, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        r = make_folder(path);
        *slash = '/';
    }
    return r;
}

static int write_all(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        s.p += n;
        s.n -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int write_file(const char *path, struct str bytes)
{
    char fresh[PATH_MAX + 32];
    snprintf(fresh, sizeof fresh, "%s.%08x.new", path, randombytes_random());
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, bytes);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(fresh, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(fresh);
    return r;
}

static void path_of(struct file_job *j, const char *suffix)
{
    snprintf(j->path, sizeof j->path, "%s/%.*s%s", j->o->dir, STR_ARG(j->key), suffix);
}

static void put_work(void *arg)
{
    struct file_job *j = arg;
    path_of(j, "+type");
    j->result = make_folders(j->path, strlen(j->o->dir) - 1);
    if (j->result == 0)
        j->result = write_file(j->path, j->content_type);
    path_of(j, "");
    if (j->result == 0)
        j->result = write_file(j->path, j->bytes);
    if (j->result == 0)
        j->result = sync_folder_of(j->path);
}

static int read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = 0;
    for (ssize_t n = 1; n > 0 && r == 0;) {
        char *room = buf_reserve(out, 64u << 10);
        n = room ? read(fd, room, 64u << 10) : 0;
        if (n > 0)
            out->len += (size_t)n;
        else if (n < 0)
            r = -errno;
        else if (!room)
            r = -ENOMEM;
    }
    close(fd);
    return r;
}

static void get_work(void *arg)
{
    struct file_job *j = arg;
    BUF_AUTO struct buf type = BUF_INIT(1u << 20);
    path_of(j, "");
    j->result = read_file(j->path, j->out);
    path_of(j, "+type");
    if (j->result == 0 && read_file(j->path, &type) == 0)
        snprintf(j->type, sizeof j->type, "%.*s", STR_ARG(buf_str(&type)));
}

static void delete_work(void *arg)
{
    struct file_job *j = arg;
    path_of(j, "+type");
    unlink(j->path);
    path_of(j, "");
    j->result = unlink(j->path) < 0 ? -errno : 0;
}

static int file_error(int r)
{
    return r == 0 || r == -ENOENT || r == -ENOSPC ? r : r == -EDQUOT || r == -EFBIG ? -ENOSPC : -EIO;
}

/* --- memory --- */

static void memory_drop(struct objects *o, struct object *old)
{
    if (old)
        o->memory_bytes -= old->len;
    mem_free(old);
}

static int memory_put(struct objects *o, struct str key, struct str bytes, const char *content_type)
{
    if (o->memory_bytes + bytes.n > LIMIT_OBJECTS_MEMORY_BYTES)
        return -ENOSPC;
    struct object *fresh = mem_try_realloc(NULL, sizeof *fresh + bytes.n);
    if (!fresh)
        return -ENOSPC;
    fresh->len = bytes.n;
    snprintf(fresh->content_type, sizeof fresh->content_type, "%s", content_type);
    memcpy(fresh->bytes, bytes.p, bytes.n);
    memory_drop(o, smap_put(&o->memory, key, fresh));
    o->memory_bytes += bytes.n;
    return 0;
}

/* --- the port --- */

struct objects *objects_open(const char *dir, struct buf *err)
{
    int r = dir ? make_folder(dir) : 0;
    if (r < 0) {
        buf_addf(err, "cannot make %s: %s", dir, strerror(-r));
        return NULL;
    }
    struct objects *o = MEM_NEW(struct objects);
    o->dir = dir ? mem_strdup(dir) : NULL;
    return o;
}

void objects_close(struct objects *o)
{
    size_t i = 0;
    struct str key;
    for (void *v; (v = smap_next(&o->memory, &i, &key));)
        mem_free(v);
    smap_done(&o->memory);
    mem_free(o->dir);
    mem_free(o);
}

int objects_put(struct objects *o, struct str key, struct str bytes, const char *content_type)
{
    if (!key_ok(key) || strlen(content_type) >= CONTENT_TYPE_MAX)
        return -EINVAL;
    if (!o->dir)
        return memory_put(o, key, bytes, content_type);
    struct file_job *j = MEM_NEW(struct file_job);
    *j = (struct file_job){.o = o, .key = key, .bytes = bytes, .content_type = str_c(content_type)};
    co_work(put_work, j);
    int r = file_error(j->result);
    mem_free(j);
    return r;
}

int objects_get(struct objects *o, struct str key, struct buf *out, struct arena *a, struct str *ret_content_type)
{
    if (!key_ok(key))
        return -EINVAL;
    if (!o->dir) {
        const struct object *found = smap_get(&o->memory, key);
        if (!found)
            return -ENOENT;
        buf_add(out, found->bytes, found->len);
        *ret_content_type = arena_str(a, str_c(found->content_type));
        return buf_failed(out) ? -EIO : 0;
    }
    struct file_job *j = MEM_NEW(struct file_job);
    *j = (struct file_job){.o = o, .key = key, .out = out};
    co_work(get_work, j);
    int r = file_error(j->result);
    if (r == 0)
        *ret_content_type = arena_str(a, str_c(j->type));
    mem_free(j);
    return r;
}

int objects_delete(struct objects *o, struct str key)
{
    if (!key_ok(key))
        return -EINVAL;
    if (!o->dir) {
        struct object *found = smap_del(&o->memory, key);
        memory_drop(o, found);
        return found ? 0 : -ENOENT;
    }
    struct file_job *j = MEM_NEW(struct file_job);
    *j = (struct file_job){.o = o, .key = key};
    co_work(delete_work, j);
    int r = file_error(j->result);
    mem_free(j);
    return r;
}
