/* Runs a fuzzer's inputs without libFuzzer: every file of the folders named, whole; short ones cut at every byte too.
 * Ends with the number of inputs; fails where there was none, since a corpus that went missing must not look well. */
#include "tests/fuzz/fuzz.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CUT_BYTES_MAX 512

/* In memory of exactly its size, so that a sanitizer sees every read beyond it. */
static void run(const char *bytes, size_t size)
{
    MEM_AUTO uint8_t *copy = mem_alloc(size);

    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
}

static void run_file(const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "re");

    CHECK_MSG(f && fstat(fileno(f), &st) == 0, "%s: cannot be read", path);
    size_t size = (size_t)st.st_size;
    MEM_AUTO char *bytes = mem_alloc(size);
    CHECK(fread(bytes, 1, size, f) == size);
    fclose(f);
    run(bytes, size);
    for (size_t cut = 0; size <= CUT_BYTES_MAX && cut < size; cut++)
        run(bytes, cut);
}

static unsigned run_folder(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    unsigned count = 0;
    char path[4096];

    CHECK_MSG(d, "%s: cannot be opened", folder);
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        run_file(path);
        count++;
    }
    closedir(d);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++)
        count += run_folder(argv[i]);
    printf("%u inputs replayed\n", count);
    return count == 0;
}
