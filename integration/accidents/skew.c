/* A wall clock that is wrong: preloaded into a program (LD_PRELOAD), it adds SKEW_SECONDS to the time of day. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

typedef int (*clock_reader)(clockid_t, struct timespec *);

/* Clocks that measure durations stay right: only the time of day is set by people and by NTP. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    clock_reader right = (clock_reader)dlsym(RTLD_NEXT, "clock_gettime");
    const char *seconds = getenv("SKEW_SECONDS");
    int outcome = right(clock, now);

    if (outcome == 0 && clock == CLOCK_REALTIME && seconds != NULL)
        now->tv_sec += atol(seconds);
    return outcome;
}
