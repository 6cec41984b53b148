// lookups NAME COUNT [STOP]: asks the C library for NAME at least COUNT times, and until the file STOP is there.
// Prints how many lookups failed, why the last one did, how many were slow, and how long the fastest and the longest took; ends with 1 when one failed.
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int main(int count, char **words) {
    if (count < 3) return 2;
    long wanted = atol(words[2]), done = 0, failed = 0, longest = 0, slow = 0, fastest = -1;
    const char *why = "";
    while (done < wanted || (count > 3 && access(words[3], F_OK) != 0)) {
        struct addrinfo hints, *found = NULL;
        memset(&hints, 0, sizeof hints);
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;
        long begin = now();
        int outcome = getaddrinfo(words[1], NULL, &hints, &found);
        long taken = now() - begin;
        if (taken > longest) longest = taken;
        if (fastest < 0 || taken < fastest) fastest = taken;
        if (taken > 20000) slow++;
        if (outcome != 0) {
            failed++;
            why = gai_strerror(outcome);
        } else {
            freeaddrinfo(found);
        }
        done++;
        usleep(500);
    }
    printf("%ld lookups, %ld failed %s, %ld took more than 20 ms, the fastest took %ld us, the longest took %ld us\n", done,
           failed, why, slow, fastest, longest);
    return failed != 0;
}
