/*
 * The load on a path from one network namespace to another: one thread sends in the first, one receives in the
 * second, and both have one clock.
 *
 *     path window FROM TO ADDRESS SECONDS SIZE WINDOW   datagrams, WINDOW of them on their way: the most that passes
 *     path pace   FROM TO ADDRESS SECONDS SIZE RATE     datagrams, so many a second: how long each one takes
 *     path tcp    FROM TO ADDRESS SECONDS               one connection, as fast as it goes
 *
 * FROM and TO are files such as /proc/PID/ns/net; ADDRESS is one of TO's. The first tenth of the time is not
 * measured.
 *
 * It is in C because what it measures passes a hundred thousand packets a second: a generator in Python would be
 * the slower side.
 *
 * One JSON object on stdout. Exit status: 0 measured, 2 usage, 3 not possible here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { USAGE = 2, ENVIRONMENT = 3 };
enum { BATCH = 32, LARGEST = 1472, PORT = 12000, PIECE = 1 << 17, MOST = 1 << 20 };

#define SECOND UINT64_C(1000000000)
#define LOST (SECOND / 2) /* what has not come after so long will not come */

struct datagram {
    uint32_t number;
    uint64_t sent_ns;
} __attribute__((packed));

static struct sockaddr_in address;
static uint64_t duration, begin_ns; /* begin_ns: of the measurement, behind the first tenth */
static size_t size;
static uint64_t limit; /* window, or datagrams a second */
static bool paced;

static _Atomic uint64_t sent, received, measured_sent, measured_received, measured_bytes, doubled;
static _Atomic uint64_t last_ns; /* when the last measured thing was received */
static _Atomic bool sending = true, receiving = true;
static uint64_t *delays;
static _Atomic size_t delay_count;
static uint8_t *seen; /* by number */

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ": %s\n", strerror(errno));
    exit(ENVIRONMENT);
}

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* This thread, and the sockets it makes from now on, belong to that network. */
static void enter(const char *namespace)
{
    int fd = open(namespace, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        die("cannot enter the network %s", namespace);
    close(fd);
}

static int new_socket(int type)
{
    struct timeval patience = {.tv_usec = 50000};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), bytes = 16 << 20;

    if (fd < 0)
        die("socket");
    if (type == SOCK_DGRAM) { /* TCP sizes its own */
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    return fd;
}

/* ---- datagrams ---- */

static void note(const struct datagram *datagram, uint64_t at)
{
    uint32_t number = datagram->number;
    size_t i;

    if (seen[number % MOST] == (uint8_t)(1 + number / MOST)) {
        doubled++;
        return;
    }
    seen[number % MOST] = (uint8_t)(1 + number / MOST);
    received++;
    if (datagram->sent_ns < begin_ns)
        return;
    measured_received++;
    last_ns = at;
    i = delay_count;
    if (i < MOST) {
        delays[i] = at - datagram->sent_ns;
        delay_count = i + 1;
    }
}

static void *receive_datagrams(void *socket)
{
    static char slots[BATCH][LARGEST];
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    int fd = *(int *)socket;

    prctl(PR_SET_TIMERSLACK, 1);
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){slots[i], LARGEST};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    while (receiving) {
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        uint64_t at = now();

        for (int i = 0; i < count; i++)
            note((const struct datagram *)slots[i], at);
    }
    return NULL;
}

static void send_datagrams(int fd)
{
    static char slots[BATCH][LARGEST];
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    uint64_t start = now(), end = start + duration, progress = start, known = 0;
    uint32_t number = 0;

    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){slots[i], size};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (uint64_t at = start; at < end; at = now()) {
        uint64_t room = BATCH;
        int count;

        if (paced) {
            uint64_t due = start + (uint64_t)number * SECOND / limit;

            if (at < due) {
                struct timespec until = {(time_t)(due / SECOND), (long)(due % SECOND)};

                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
                at = now();
            }
            room = 1;
        } else {
            uint64_t back = received;

            if (back != known) {
                known = back;
                progress = at;
            }
            room = sent - back < limit ? limit - (sent - back) : 0;
            if (room < BATCH && room < limit / 2 + 1) {
                if (at - progress > LOST) { /* what is missing is lost: make room for others */
                    received += sent - back;
                    continue;
                }
                sched_yield();
                continue;
            }
        }
        if (room > BATCH)
            room = BATCH;
        for (uint64_t i = 0; i < room; i++)
            *(struct datagram *)slots[i] = (struct datagram){number + (uint32_t)i, at};
        count = sendmmsg(fd, messages, (unsigned)room, 0);
        if (count <= 0) {
            if (errno == ENOBUFS || errno == EAGAIN)
                continue;
            die("sendmmsg");
        }
        number += (uint32_t)count;
        sent += (uint64_t)count;
        if (at >= begin_ns)
            measured_sent += (uint64_t)count;
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static double quantile(size_t count, double share)
{
    return count ? (double)delays[(size_t)(share * (double)(count - 1))] / 1e3 : 0;
}

static void measure_datagrams(const char *from, const char *to)
{
    pthread_t receiver;
    int in, out;
    size_t count;

    delays = calloc(MOST, sizeof *delays);
    seen = calloc(MOST, 1);
    if (delays == NULL || seen == NULL)
        die("memory");
    enter(to);
    in = new_socket(SOCK_DGRAM);
    if (bind(in, (struct sockaddr *)&address, sizeof address) != 0)
        die("bind");
    if (pthread_create(&receiver, NULL, receive_datagrams, &in) != 0)
        die("thread");
    enter(from);
    out = new_socket(SOCK_DGRAM);
    if (connect(out, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    send_datagrams(out);
    for (uint64_t give_up = now() + LOST; measured_received < measured_sent && now() < give_up;)
        usleep(1000);
    receiving = false;
    pthread_join(receiver, NULL);
    count = delay_count;
    qsort(delays, count, sizeof *delays, by_size);
    printf("{\"sent\": %ju, \"received\": %ju, \"doubled\": %ju, \"seconds\": %.6f, \"least_us\": %.1f, "
           "\"median_us\": %.1f, \"p95_us\": %.1f, \"p99_us\": %.1f, \"longest_us\": %.1f}\n",
           (uintmax_t)measured_sent, (uintmax_t)measured_received, (uintmax_t)doubled,
           last_ns > begin_ns ? (double)(last_ns - begin_ns) / 1e9 : 0, quantile(count, 0), quantile(count, 0.5),
           quantile(count, 0.95), quantile(count, 0.99), quantile(count, 1));
}

/* ---- TCP ---- */

static void *receive_stream(void *socket)
{
    static char piece[PIECE];
    int fd = accept(*(int *)socket, NULL, NULL);
    ssize_t count;

    if (fd < 0)
        die("accept");
    while ((count = recv(fd, piece, PIECE, 0)) > 0) {
        uint64_t at = now();

        if (at >= begin_ns && sending) {
            measured_bytes += (uint64_t)count;
            last_ns = at;
        }
    }
    close(fd);
    return NULL;
}

static void measure_stream(const char *from, const char *to)
{
    static char piece[PIECE];
    pthread_t receiver;
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    struct timeval patience = {.tv_usec = 100000};
    uint64_t end;
    int in, out;

    enter(to);
    in = new_socket(SOCK_STREAM);
    if (setsockopt(in, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        bind(in, (struct sockaddr *)&address, sizeof address) != 0 || listen(in, 1) != 0)
        die("listen");
    if (pthread_create(&receiver, NULL, receive_stream, &in) != 0)
        die("thread");
    enter(from);
    out = new_socket(SOCK_STREAM);
    if (connect(out, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    setsockopt(out, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    for (end = begin_ns + duration * 9 / 10; now() < end;)
        if (send(out, piece, PIECE, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
            die("send");
    sending = false;
    getsockopt(out, IPPROTO_TCP, TCP_INFO, &info, &length);
    /* What is still on its way does not count: end at once, so that the next measurement finds a quiet path. */
    setsockopt(out, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(out);
    shutdown(in, SHUT_RDWR);
    printf("{\"bytes\": %ju, \"seconds\": %.6f, \"retransmitted\": %u, \"rtt_us\": %u}\n",
           (uintmax_t)measured_bytes, (double)(last_ns - begin_ns) / 1e9, info.tcpi_total_retrans, info.tcpi_rtt);
}

int main(int count, char **words)
{
    bool tcp = count > 1 && strcmp(words[1], "tcp") == 0;

    if (count != (tcp ? 6 : 8)) {
        fprintf(stderr, "usage: path window|pace|tcp FROM TO ADDRESS SECONDS [SIZE WINDOW|RATE]\n");
        return USAGE;
    }
    paced = strcmp(words[1], "pace") == 0;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT)};
    if (inet_pton(AF_INET, words[4], &address.sin_addr) != 1) {
        fprintf(stderr, "path: expected an IPv4 address, got %s\n", words[4]);
        return USAGE;
    }
    duration = (uint64_t)(atof(words[5]) * (double)SECOND);
    if (!tcp) {
        size = (size_t)atoi(words[6]);
        limit = (uint64_t)atoll(words[7]);
        if (size < sizeof(struct datagram) || size > LARGEST || limit == 0) {
            fprintf(stderr, "path: expected 12 to %d bytes, and a window or rate above 0\n", LARGEST);
            return USAGE;
        }
    }
    prctl(PR_SET_TIMERSLACK, 1);
    alarm((unsigned)(duration / SECOND) + 20); /* whatever hangs, here or on the path, ends */
    begin_ns = now() + duration / 10;
    (tcp ? measure_stream : measure_datagrams)(words[2], words[3]);
    return 0;
}
