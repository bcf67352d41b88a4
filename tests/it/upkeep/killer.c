/* Kills its process before the n-th call that changes names or makes them
 * last (PIVOT_KILL_AT), or counts these calls into a file (PIVOT_KILL_COUNT). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static long calls;

static void step(void) {
    const char *at = getenv("PIVOT_KILL_AT");
    calls += 1;
    if (at && atol(at) == calls) {
        kill(getpid(), SIGKILL);
        pause();
    }
}

__attribute__((destructor)) static void count(void) {
    const char *path = getenv("PIVOT_KILL_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%ld", calls);
        fclose(file);
    }
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int rename(const char *from, const char *to) { step(); return REAL(rename)(from, to); }
int mkdir(const char *path, mode_t mode) { step(); return REAL(mkdir)(path, mode); }
int rmdir(const char *path) { step(); return REAL(rmdir)(path); }
int unlink(const char *path) { step(); return REAL(unlink)(path); }
int unlinkat(int dir, const char *path, int flags) {
    step();
    return REAL(unlinkat)(dir, path, flags);
}
int fsync(int file) { step(); return REAL(fsync)(file); }
