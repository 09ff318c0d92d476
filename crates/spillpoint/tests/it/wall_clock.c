// A wall clock that a test steps, for one process and its children: CLOCK_REALTIME as it is read, and
// the kernel's receive stamps, which are of it. Nothing else is touched, and nobody else's clock.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// The test's file: from which moment on, by how much; in nanoseconds. 0: not yet.
struct step {
    volatile long long from, by;
};

static const struct step *step(void) {
    static const struct step *mapped;
    static const struct step none;
    if (!mapped) {
        int file = open(getenv("WALL_CLOCK_STEP"), O_RDONLY | O_CLOEXEC);
        void *page = mmap(0, sizeof none, PROT_READ, MAP_SHARED, file, 0);
        mapped = page == MAP_FAILED ? &none : page;
        close(file);
    }
    return mapped;
}

static void shift(struct timespec *time) {
    long long ns = time->tv_sec * 1000000000LL + time->tv_nsec;
    if (ns == 0 || step()->from == 0 || ns < step()->from)
        return;
    ns += step()->by;
    time->tv_sec = ns / 1000000000;
    time->tv_nsec = ns % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, time);
    if (!failed && clock == CLOCK_REALTIME)
        shift(time);
    return failed;
}

ssize_t recvmsg(int socket, struct msghdr *message, int flags) {
    static ssize_t (*real)(int, struct msghdr *, int);
    if (!real)
        real = dlsym(RTLD_NEXT, "recvmsg");
    ssize_t bytes = real(socket, message, flags);
    if (bytes < 0)
        return bytes;
    for (struct cmsghdr *it = CMSG_FIRSTHDR(message); it; it = CMSG_NXTHDR(message, it))
        if (it->cmsg_level == SOL_SOCKET && it->cmsg_type == SO_TIMESTAMPING)
            for (int nth = 0; nth < 3; nth++)
                shift((struct timespec *)CMSG_DATA(it) + nth);
    return bytes;
}
