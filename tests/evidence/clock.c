/* Gives a program another clock: CARNET_TEST_CLOCK has it in seconds since 1970.
   Preloaded by tests/evidence_clock.rs; no rights are needed for that. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *time) {
    const char *now = getenv("CARNET_TEST_CLOCK");
    if (id == CLOCK_REALTIME && now) {
        time->tv_sec = atoll(now);
        time->tv_nsec = 0;
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, id, time);
}
