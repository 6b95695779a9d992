/* Starts programs in turns and measures each, from its start until it has been waited for. In C
 * and small, because a process begins with the peak of memory of the one that started it. Never
 * compares: it prints a line for each run.
 *
 * A plan is read from standard input, one step a line, its words separated by tabs:
 *   copy FROM TO    FROM takes the place of TO, before every run of the next program
 *   do WORD...      a command to be run before it
 *   time WORD...    the program
 *   then WORD...    a command to be run after it
 * and the argument says how many rounds there are. For each run: the number of the program,
 * nanoseconds, peak memory in KiB, page faults without and with a read from the disk, and the code
 * that it ended with (128 and more: a signal). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAMS 64
#define STEPS 8
#define WORDS 24

struct step {
    char *words[WORDS + 1];
};
struct program {
    struct step before[STEPS], timed, after;
    int steps;
};

static struct program programs[PROGRAMS];
static int order[PROGRAMS], count;
extern char **environ;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "stopwatch: ");
    perror(what);
    exit(1);
}

static int run(char **words, struct rusage *used) {
    pid_t pid;
    int status, error = posix_spawnp(&pid, words[0], NULL, NULL, words, environ);
    if (error)
        return 127;
    if (wait4(pid, &status, 0, used) != pid)
        fail(words[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void copy(const char *from, const char *to) {
    struct stat stat;
    char temp[4096];
    snprintf(temp, sizeof temp, "%s.copy", to);
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int target = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (source < 0 || target < 0 || fstat(source, &stat))
        fail(from);
    for (off_t left = stat.st_size; left > 0;) {
        ssize_t more = sendfile(target, source, NULL, left);
        if (more <= 0)
            fail(to);
        left -= more;
    }
    if (close(source) | close(target) | rename(temp, to))
        fail(to);
}

static void prepare(struct step *step) {
    struct rusage used;
    if (strcmp(step->words[0], "copy") == 0)
        copy(step->words[1], step->words[2]);
    else if (run(step->words + 1, &used) != 0)
        fprintf(stderr, "stopwatch: %s %s failed\n", step->words[1], step->words[2]);
}

static void read_plan(void) {
    static char line[1 << 16];
    int before = 0;
    while (fgets(line, sizeof line, stdin)) {
        struct program *program = &programs[count];
        struct step step = {{0}};
        line[strcspn(line, "\n")] = 0;
        int words = 0;
        for (char *word = strtok(line, "\t"); word && words < WORDS; word = strtok(NULL, "\t"))
            step.words[words++] = strdup(word);
        if (words < 2 || count == PROGRAMS || before == STEPS) {
            fprintf(stderr, "stopwatch: a plan that is too long, or an empty step\n");
            exit(2);
        }
        if (strcmp(step.words[0], "then") == 0 && count > 0) {
            programs[count - 1].after = step;
            continue;
        }
        if (strcmp(step.words[0], "time") != 0) {
            program->before[before++] = step;
            continue;
        }
        program->timed = step;
        program->steps = before;
        order[count] = count;
        count++;
        before = 0;
    }
}

/* Another order in each round: nobody always comes after the same program. */
static void shuffle(void) {
    static unsigned seed = 1;
    for (int at = count - 1; at > 0; at--) {
        seed = seed * 1664525u + 1013904223u;
        int other = (seed >> 8) % (at + 1), kept = order[at];
        order[at] = order[other];
        order[other] = kept;
    }
}

int main(int words, char **argv) {
    if (words < 2)
        return 2;
    read_plan();
    /* The programs say nothing; nothing that else runs here is let in between. */
    FILE *out = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 3), "w");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (!out || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
        fail("/dev/null");
    struct sched_param first = {.sched_priority = 1};
    int is_first = sched_setscheduler(0, SCHED_FIFO, &first) == 0;
    fprintf(out, "%s\n", is_first ? "first" : "among others");
    for (int round = 0; round < atoi(argv[1]); round++) {
        shuffle();
        for (int at = 0; at < count; at++) {
            struct program *program = &programs[order[at]];
            for (int step = 0; step < program->steps; step++)
                prepare(&program->before[step]);
            struct rusage used = {0};
            long long begun = now();
            int code = run(program->timed.words + 1, &used);
            long long took = now() - begun;
            if (program->after.words[0])
                prepare(&program->after);
            fprintf(out, "%d\t%lld\t%ld\t%ld\t%ld\t%d\n", order[at], took, used.ru_maxrss,
                    used.ru_minflt, used.ru_majflt, code);
        }
    }
    return fclose(out) ? 1 : 0;
}
