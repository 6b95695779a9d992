/* The floor: the system calls of one `reserve`, and nothing else. Locks the registry, reads it,
 * binds the port, writes the registry with one entry more, and prints. Never parses and never
 * chooses: what it leaves out is what the program may cost.
 *
 *   floor REGISTRY PORT         one reservation, as a whole process
 *   floor REGISTRY PORT leased  for each number that is read: so many times reserve and release;
 *   floor REGISTRY PORT guarded   answers with the nanoseconds that all of them took
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
static const char *registry;
static struct sockaddr_in6 address;

static int must(int result) {
    if (result < 0) {
        perror("floor");
        exit(1);
    }
    return result;
}

static int lock(void) {
    int side = must(open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    must(flock(side, LOCK_EX));
    return side;
}

static size_t load(void) {
    struct stat stat;
    int file = must(open(registry, O_RDONLY | O_CLOEXEC));
    must(fstat(file, &stat));
    ssize_t length = must(read(file, text, stat.st_size));
    must(close(file));
    return length;
}

static void commit(struct iovec *parts, int count) {
    int temp = must(open(temp_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    must(writev(temp, parts, count));
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
    size_t length = load();
    claim();
    /* The first entry has no comma before it. */
    int skipped = text[length - 4] == '{';
    struct iovec parts[] = {{text, length - 3},
                            {entry + skipped, strlen(entry) - skipped},
                            {text + length - 3, 3}};
    commit(parts, 3);
    must(close(side));
}

static void release(void) {
    int side = lock();
    size_t length = load(), added = strlen(entry);
    struct iovec parts[] = {{text, length - 3 - added}, {text + length - 3, 3}};
    commit(parts, 2);
    must(close(side));
}

/* As long as a value in a process: a file that it has locked. */
static int keep_alive(void) {
    int live = must(open(live_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
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
    snprintf(live_path, sizeof live_path, "%s.live/%d", registry, getpid());
    snprintf(entry, sizeof entry,
             ",\n\"tcp/127.0.0.1:%d@0\":{\"id\":\"00000000000000000000000000\",\"port\":%d,"
             "\"host\":\"127.0.0.1\",\"proto\":\"tcp\",\"uid\":0,\"fence\":1,"
             "\"created\":\"2026-01-01T00:00:00Z\",\"kind\":\"leased\",\"netns\":0,"
             "\"timens\":0,\"expires_boot_ms\":86400000}",
             port, port);
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
