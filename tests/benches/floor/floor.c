/* The floor: the system calls of one `reserve`, and nothing else. Locks the registry, reads it,
 * binds the port, writes the registry with one entry more, and prints. Never parses and never
 * chooses: what it leaves out is what the program may cost.
 *
 *   floor REGISTRY PORT         one reservation, as a whole process
 *   floor REGISTRY PORT leased  for each number that is read: so many times reserve and release;
 *   floor REGISTRY PORT guarded   answers with the nanoseconds that all of them took
 *   floor REGISTRY PORT leased all, floor REGISTRY PORT guarded all
 *                               the same with every call by which the program makes sure that nobody
 *                               exchanges its folder, its lock or its files, and that modes are right
 *
 * The registry must end in `}}` and a line feed, and have an entry for it to release. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char text[64 << 20], entry[512], lock_path[4096], temp_path[4096], live_path[4096];
static char folder_path[4096], live_folder[4096];
static const char *registry;
static int all, folder, locked_file = -1;
static struct sockaddr_in6 address;

static int must(int result) {
    if (result < 0) {
        perror("floor");
        exit(1);
    }
    return result;
}

static int lock(void) {
    struct stat stat;
    if (all) {
        folder = must(open(folder_path, O_DIRECTORY | O_CLOEXEC));
        must(fstat(folder, &stat));
    }
    int side = must(open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (all)
        must(fstat(side, &stat));
    must(flock(side, LOCK_EX));
    if (all)
        must(lstat(lock_path, &stat));
    return side;
}

static void unlock(int side) {
    if (all) {
        char generation[32] = "generation 00000000000000000000";
        must(pwrite(side, generation, sizeof generation, 0));
        must(close(locked_file));
    }
    must(close(side));
    if (all)
        must(close(folder));
}

static size_t load(int side) {
    struct stat stat;
    char generation[33];
    int file = must(open(registry, O_RDONLY | O_CLOEXEC));
    must(fstat(file, &stat));
    if (all) {
        must(flock(file, LOCK_EX));
        must(lstat(registry, &stat));
        must(fstat(file, &stat));
        must(pread(side, generation, sizeof generation, 0));
    }
    ssize_t length = must(read(file, text, stat.st_size));
    if (all)
        locked_file = file;
    else
        must(close(file));
    return length;
}

static void commit(struct iovec *parts, int count) {
    int temp = must(open(temp_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    must(writev(temp, parts, count));
    if (all) {
        struct stat stat;
        must(fstat(temp, &stat));
        must(fchmod(temp, 0600));
        must(lstat(lock_path, &stat));
        must(lstat(registry, &stat));
    }
    must(rename(temp_path, registry));
    must(close(temp));
}

static void claim(void) {
    int no = 0, claim = must(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
    must(setsockopt(claim, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no));
    must(bind(claim, (struct sockaddr *)&address, sizeof address));
    must(close(claim));
}

static void reserve(void) {
    int side = lock();
    size_t length = load(side);
    claim();
    /* The first entry has no comma before it. */
    int skipped = text[length - 4] == '{';
    struct iovec parts[] = {{text, length - 3},
                            {entry + skipped, strlen(entry) - skipped},
                            {text + length - 3, 3}};
    commit(parts, 3);
    unlock(side);
}

static void release(void) {
    int side = lock();
    size_t length = load(side), added = strlen(entry);
    struct iovec parts[] = {{text, length - 3 - added}, {text + length - 3, 3}};
    commit(parts, 2);
    unlock(side);
}

static void enter_live(void) {
    struct stat stat;
    if (all) {
        int live = must(open(live_folder, O_DIRECTORY | O_CLOEXEC));
        must(fstat(live, &stat));
        must(close(live));
    }
}

/* As long as a value in a process: a file that it has locked. */
static int keep_alive(void) {
    enter_live();
    int live = must(open(live_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (all)
        must(fchmod(live, 0600));
    must(flock(live, LOCK_EX));
    return live;
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void in_turns(int is_guarded) {
    int rounds;
    while (scanf("%d", &rounds) == 1) {
        long long begun = now();
        for (int round = 0; round < rounds; round++) {
            int live = is_guarded ? keep_alive() : -1;
            reserve();
            release();
            if (is_guarded) {
                enter_live();
                must(unlink(live_path));
                must(close(live));
            }
        }
        printf("%lld\n", now() - begun);
        fflush(stdout);
    }
}

int main(int count, char **words) {
    if (count < 3)
        return 2;
    registry = words[1];
    int port = atoi(words[2]);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    snprintf(lock_path, sizeof lock_path, "%s.lock", registry);
    snprintf(temp_path, sizeof temp_path, "%s.tmp-%d", registry, getpid());
    snprintf(folder_path, sizeof folder_path, "%s", registry);
    *strrchr(folder_path, '/') = 0;
    snprintf(live_folder, sizeof live_folder, "%s.live", registry);
    snprintf(live_path, sizeof live_path, "%s.live/%d", registry, getpid());
    snprintf(entry, sizeof entry,
             ",\n\"tcp/127.0.0.1:%d@0\":{\"id\":\"00000000000000000000000000\",\"port\":%d,"
             "\"host\":\"127.0.0.1\",\"proto\":\"tcp\",\"uid\":0,\"fence\":1,"
             "\"created\":\"2026-01-01T00:00:00Z\",\"kind\":\"leased\",\"netns\":0,"
             "\"timens\":0,\"expires_boot_ms\":86400000}",
             port, port);
    all = count > 4;
    if (count > 3) {
        in_turns(strcmp(words[3], "guarded") == 0);
        return 0;
    }
    reserve();
    char line[64];
    int length = snprintf(line, sizeof line, "{\"port\":%d}\n", port);
    must(write(1, line, length));
    return 0;
}
