/* Processor time of whole process trees (PostgreSQL has a process for each connection) and of the machine, from /proc.
 * What children that have ended took is not counted. Single-threaded. */
#include "tests/bench/bench.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct proc {
    int pid, parent;
    uint64_t ticks;
};

static bool proc_read(int pid, struct proc *ret)
{
    char path[64], line[1024];
    unsigned long long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool read = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    const char *after = read ? strrchr(line, ')') : NULL; /* a name may hold spaces */
    if (!after ||
        sscanf(after + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &ret->parent, &user, &system) != 3)
        return false;
    ret->pid = pid;
    ret->ticks = user + system;
    return true;
}

static unsigned procs_read(struct proc *procs, unsigned cap)
{
    unsigned count = 0;
    DIR *d = opendir("/proc");
    for (const struct dirent *e; d && count < cap && (e = readdir(d));)
        if (atoi(e->d_name) > 0 && proc_read(atoi(e->d_name), &procs[count]))
            count++;
    if (d)
        closedir(d);
    return count;
}

static bool descends(const struct proc *procs, unsigned count, int pid, int from)
{
    for (int depth = 0; depth < 16 && pid > 1; depth++) {
        if (pid == from)
            return true;
        int parent = 0;
        for (unsigned i = 0; i < count; i++)
            if (procs[i].pid == pid)
                parent = procs[i].parent;
        pid = parent;
    }
    return false;
}

static uint64_t machine_ticks(void)
{
    unsigned long long v[8] = {0};
    FILE *f = fopen("/proc/stat", "re");
    if (!f)
        return 0;
    if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6],
               &v[7]) != 8)
        v[0] = 0;
    fclose(f);
    return v[0] + v[1] + v[2] + v[5] + v[6]; /* user, nice, system, irq, softirq */
}

void cpu_read(const struct cpu_group *groups, unsigned count, uint64_t *ret_us, uint64_t *ret_machine_us)
{
    static struct proc procs[8192];
    unsigned n = procs_read(procs, 8192);
    uint64_t tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    for (unsigned g = 0; g < count; g++) {
        ret_us[g] = 0;
        for (unsigned i = 0; i < n; i++)
            if (descends(procs, n, procs[i].pid, groups[g].pid))
                ret_us[g] += procs[i].ticks * tick_us;
    }
    *ret_machine_us = machine_ticks() * tick_us;
}

void cpu_print(const struct cpu_group *groups, unsigned group_count, const uint64_t *before, const uint64_t *after,
               uint64_t machine_us, uint64_t wall_us, unsigned count)
{
    uint64_t sum = 0;
    printf("  processor time for each:");
    for (unsigned i = 0; i < group_count; i++) {
        uint64_t us = after[i] - before[i];
        sum += us;
        printf(" %s %.0f us,", groups[i].name, (double)us / count);
    }
    double cores = (double)sysconf(_SC_NPROCESSORS_ONLN);
    printf(" together %.0f us; %.2f of %.0f cores, others had %.2f\n", (double)sum / count,
           (double)sum / (double)wall_us, cores, (double)(machine_us > sum ? machine_us - sum : 0) / (double)wall_us);
    fflush(stdout);
}
