/*
 * The load generator: many clients in one thread, every answer compared byte for byte.
 *
 *     load udp  ADDRESS PORT SECONDS WINDOW         datagrams, WINDOW of them outstanding
 *     load kept ADDRESS PORT SECONDS CONNECTIONS    ping-pong on connections that stay open
 *     load line ADDRESS PORT SECONDS WORKERS        connect, send a line, read the answer, close
 *     load idle ADDRESS PORT SECONDS CONNECTIONS    one connection, alone and among so many idle ones
 *     load slow ADDRESS PORT SECONDS HONEST KIND    HONEST clients, alone and beside one bad one
 *
 * KIND is `flood` (sends lines, never reads) or `drip` (a byte at a time); `+closes` after it says that the
 * server may close after an answer, as the lecture's does: the client then connects again.
 *
 * It is in C because the servers it measures answer up to a few hundred thousand times a second: a generator
 * in Python would be the slower side, and every server would seem equally fast.
 *
 * Each phase ends with one JSON object on a line of stdout; then a newline is awaited on stdin, while all
 * connections stay as they are, so that the caller can look at the server's memory.
 *
 * Exit status: 0 measured, 1 wrong answer, 2 usage, 3 not possible here (sockets, files, memory),
 * 4 the server refused, closed, or did not answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WRONG = 1, USAGE = 2, ENVIRONMENT = 3, SERVER = 4 };
enum { LINE = 64, NUMBER = 8, MAX_WINDOW = 1024, OVERTAKEN = 4096 };

#define SECOND UINT64_C(1000000000)
#define WARM_UP (SECOND / 5)
#define STALL (5 * SECOND)         /* a server that is silent for so long does not answer */
#define LOST (SECOND / 5)          /* a reply on loopback that is so late was dropped */
#define THINKING (SECOND / 100)    /* pause of an honest client, so that delay is not the queue of its peers */
#define DRIPPING (SECOND / 100)

static struct sockaddr_in server;
static uint64_t duration; /* of a phase, in nanoseconds */

/* ---- ends, time, phases ---- */

static void __attribute__((noreturn, format(printf, 2, 3))) die(int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(status);
}

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Whatever hangs, in the server or here, ends: SIGALRM kills us. */
static void limit_time(void)
{
    alarm((unsigned)(duration / SECOND) + 30);
}

static void __attribute__((format(printf, 1, 2))) phase_done(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
    alarm(0);
    if (getchar() == EOF) /* the caller has gone */
        exit(0);
    limit_time();
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        die(ENVIRONMENT, "no memory for %zu x %zu bytes", count, size);
    return memory;
}

/* ---- lines: a number in hexadecimal, so that no two are alike, and text to be changed ---- */

static char request_text[LINE], answer_text[LINE];

static void prepare_text(void)
{
    static const char words[] = " a lower case line, to come back in upper case: 0123 -> abc";

    memset(request_text, '.', LINE);
    memcpy(request_text + NUMBER, words, sizeof words - 1 < LINE - NUMBER - 1 ? sizeof words - 1 : LINE - NUMBER - 1);
    request_text[LINE - 1] = '\n';
    for (int i = 0; i < LINE; i++)
        answer_text[i] = (char)(request_text[i] >= 'a' && request_text[i] <= 'z' ? request_text[i] - 32
                                                                                 : request_text[i]);
}

static void write_number(char *line, uint32_t number, const char *digits)
{
    for (int i = 0; i < NUMBER; i++)
        line[i] = digits[number >> (28 - 4 * i) & 15];
}

static void make_request(char *line, uint32_t number)
{
    memcpy(line, request_text, LINE);
    write_number(line, number, "0123456789abcdef");
}

static void check_answer(const char *line, size_t length, uint32_t number)
{
    char expected[LINE];

    memcpy(expected, answer_text, LINE);
    write_number(expected, number, "0123456789ABCDEF");
    if (length > LINE || memcmp(line, expected, length) != 0)
        die(WRONG, "wrong answer: expected \"%.*s\", got \"%.*s\" (%zu bytes)", LINE - 1, expected,
            (int)(length > LINE ? LINE : length), line, length);
}

/* ---- UDP ---- */

static int open_udp(void)
{
    struct timeval patience = {.tv_usec = (suseconds_t)(LOST / 1000)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0)
        die(ENVIRONMENT, "socket: %s", strerror(errno));
    /* Connected: replies from any other address are not ours, and a closed port is reported. */
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        die(ENVIRONMENT, "connect: %s", strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        die(ENVIRONMENT, "setsockopt: %s", strerror(errno));
    return fd;
}

static uint32_t number_of(const char *line, size_t length)
{
    uint32_t number = 0;

    for (size_t i = 0; i < NUMBER; i++) {
        char digit = i < length ? line[i] : ' ';

        if (digit >= '0' && digit <= '9')
            number = number << 4 | (uint32_t)(digit - '0');
        else if (digit >= 'A' && digit <= 'F')
            number = number << 4 | (uint32_t)(digit - 'A' + 10);
        else
            die(WRONG, "wrong answer: \"%.*s\" (%zu bytes) does not start with a number in upper case",
                (int)(length < LINE ? length : LINE), line, length);
    }
    return number;
}

/*
 * A request has a slot of the window until its reply is here or it counts as lost. Its number is
 * batch * size + slot, so that a reply tells its slot, and one that comes too late is not taken for another.
 */
struct window {
    unsigned size;
    uint32_t batch, number[MAX_WINDOW];
    bool waiting[MAX_WINDOW];
    uint64_t lost, late;
};

static void send_requests(int fd, struct window *window)
{
    static char lines[MAX_WINDOW][LINE];
    static struct mmsghdr messages[MAX_WINDOW];
    static struct iovec parts[MAX_WINDOW];
    unsigned count = 0, sent = 0;

    window->batch++;
    for (unsigned slot = 0; slot < window->size; slot++) {
        if (window->waiting[slot]) {
            /* Overtaken by so many others, it was dropped. */
            if (window->batch - window->number[slot] / window->size <= OVERTAKEN)
                continue;
            window->lost++;
        }
        window->number[slot] = window->batch * window->size + slot;
        window->waiting[slot] = true;
        make_request(lines[count], window->number[slot]);
        parts[count] = (struct iovec){lines[count], LINE};
        messages[count].msg_hdr = (struct msghdr){.msg_iov = &parts[count], .msg_iovlen = 1};
        count++;
    }
    while (sent < count) {
        int done = sendmmsg(fd, messages + sent, count - sent, 0);

        if (done < 0)
            die(errno == ECONNREFUSED ? SERVER : ENVIRONMENT, "sendmmsg: %s", strerror(errno));
        sent += (unsigned)done;
    }
}

/* Returns how many replies there were; none after a while means that those outstanding are lost. */
static unsigned take_replies(int fd, struct window *window)
{
    static char lines[MAX_WINDOW][LINE + 1];
    static struct mmsghdr messages[MAX_WINDOW];
    static struct iovec parts[MAX_WINDOW];
    unsigned good = 0;
    int count;

    for (unsigned i = 0; i < window->size; i++) {
        parts[i] = (struct iovec){lines[i], LINE + 1};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    count = recvmmsg(fd, messages, window->size, MSG_WAITFORONE, NULL);
    if (count < 0 && errno != EAGAIN)
        die(SERVER, "recvmmsg: %s", strerror(errno));
    if (count < 0) {
        for (unsigned slot = 0; slot < window->size; slot++) {
            window->lost += window->waiting[slot];
            window->waiting[slot] = false;
        }
        return 0;
    }
    for (int i = 0; i < count; i++) {
        uint32_t number = number_of(lines[i], messages[i].msg_len);
        unsigned slot = number % window->size;

        if (messages[i].msg_len != LINE)
            die(WRONG, "wrong answer: %u bytes instead of %d", messages[i].msg_len, LINE);
        check_answer(lines[i], LINE, number);
        if (number < window->size || number / window->size > window->batch)
            die(WRONG, "wrong answer: number %u was never asked", number);
        if (number == window->number[slot] && window->waiting[slot]) {
            window->waiting[slot] = false;
            good++;
        } else {
            window->late++; /* counted as lost before, or sent twice */
        }
    }
    return good;
}

static void run_udp(unsigned size)
{
    static struct window window;
    int fd = open_udp();
    uint64_t begin = 0, end = now() + WARM_UP, answered = now(), time, replies = 0, all = 0;

    window.size = size;
    for (;;) {
        unsigned count;

        send_requests(fd, &window);
        count = take_replies(fd, &window);
        replies += count;
        all += count;
        time = now();
        if (count > 0)
            answered = time;
        else if (time - answered > STALL / 2)
            die(SERVER, "no reply for %.1f s", (double)(time - answered) / 1e9);
        if (time < end)
            continue;
        if (begin != 0)
            break;
        begin = time;
        end = begin + duration;
        replies = window.lost = window.late = 0;
    }
    if (replies == 0)
        die(SERVER, "no reply in %.1f s", (double)(time - begin) / 1e9);
    phase_done("{\"answers\": %llu, \"seconds\": %.6f, \"all_answers\": %llu, \"lost\": %llu, \"late\": %llu}",
               (unsigned long long)replies, (double)(time - begin) / 1e9, (unsigned long long)all,
               (unsigned long long)window.lost, (unsigned long long)window.late);
}

/* ---- TCP ---- */

struct client {
    int fd; /* -1: not connected */
    uint32_t number;
    size_t sent, received; /* of the line and of its answer */
    char text[LINE];
};

/* Not blocking. The source addresses go round, so that 10,000 connections, and those in TIME_WAIT, find ports. */
static int open_tcp(void)
{
    static uint32_t round;
    struct sockaddr_in source = {.sin_family = AF_INET};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (fd < 0)
        die(ENVIRONMENT, "socket: %s", strerror(errno));
    source.sin_addr.s_addr = htonl(UINT32_C(0x7f000002) + round++ % 64);
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0
        || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) < 0)
        die(ENVIRONMENT, "setsockopt: %s", strerror(errno));
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
        die(ENVIRONMENT, "bind: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        die(errno == EADDRNOTAVAIL ? ENVIRONMENT : SERVER, "connect: %s", strerror(errno));
    return fd;
}

static void hang_up(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

static void start_line(struct client *client)
{
    static uint32_t numbers;

    client->number = ++numbers;
    client->sent = client->received = 0;
    make_request(client->text, client->number);
}

/* Sends what is left of the line; false: the connection is gone. */
static bool send_line(struct client *client)
{
    ssize_t count = send(client->fd, client->text + client->sent, LINE - client->sent, MSG_NOSIGNAL);

    if (count < 0)
        return errno == EAGAIN; /* also while the connection is being made */
    client->sent += (size_t)count;
    return true;
}

enum reading { NOTHING, PART, WHOLE, GONE };

static enum reading read_answer(struct client *client)
{
    char text[LINE + 1];
    ssize_t count = recv(client->fd, text, sizeof text - client->received, MSG_DONTWAIT);

    if (count < 0 && errno == EAGAIN)
        return NOTHING;
    if (count <= 0)
        return GONE;
    if (client->received + (size_t)count > client->sent)
        die(WRONG, "wrong answer: %zu bytes answered, %zu sent", client->received + (size_t)count, client->sent);
    /* The request, changed to upper case where it arrived, is what must come back. */
    memcpy(client->text + client->received, text, (size_t)count);
    client->received += (size_t)count;
    if (client->received < LINE)
        return PART;
    check_answer(client->text, LINE, client->number);
    return WHOLE;
}

static void __attribute__((noreturn)) server_gone(const struct client *client)
{
    die(SERVER, "the server closed a connection after %zu of %d bytes", client->received, LINE);
}

static void wait_for(struct pollfd *polled, nfds_t count, uint64_t nanoseconds)
{
    struct timespec patience = {.tv_sec = (time_t)(nanoseconds / SECOND), .tv_nsec = (long)(nanoseconds % SECOND)};

    if (ppoll(polled, count, &patience, NULL) < 0 && errno != EINTR)
        die(ENVIRONMENT, "ppoll: %s", strerror(errno));
}

static void watch_client(struct pollfd *polled, const struct client *client)
{
    *polled = (struct pollfd){client->fd, client->sent < LINE ? POLLIN | POLLOUT : POLLIN, 0};
}

/* Blocks until the line is out and its answer in. */
static void exchange(struct client *client)
{
    uint64_t start = now();

    for (;;) {
        enum reading reading;
        struct pollfd polled;

        if (client->sent < LINE && !send_line(client))
            server_gone(client);
        reading = read_answer(client);
        if (reading == WHOLE)
            return;
        if (reading == GONE)
            server_gone(client);
        if (now() - start > STALL)
            die(SERVER, "no answer for %.1f s", (double)(now() - start) / 1e9);
        watch_client(&polled, client);
        wait_for(&polled, 1, STALL);
    }
}

/*
 * All clients ping-pong; with `reconnect` a client closes after its answer and connects again.
 *
 * The clients are visited in turn, with a read that does not wait, and the poll comes only when a whole round
 * brought nothing: cheaper for us than epoll, and the server is not charged for waking us once an answer.
 */
static void run_ping_pong(unsigned count, bool reconnect)
{
    struct client *clients = allocate(count, sizeof *clients);
    struct pollfd *polled = allocate(count, sizeof *polled);
    uint64_t begin = 0, end, time = now(), answered = time, answers = 0, all = 0;

    for (unsigned i = 0; i < count; i++) {
        clients[i].fd = open_tcp();
        start_line(&clients[i]);
    }
    for (end = now() + WARM_UP;;) {
        unsigned good = 0;

        for (unsigned i = 0; i < count; i++) {
            struct client *client = &clients[i];
            enum reading reading;

            if (client->sent < LINE && !send_line(client))
                server_gone(client);
            reading = read_answer(client);
            if (reading == GONE)
                server_gone(client);
            if (reading != WHOLE)
                continue;
            good++;
            if (reconnect) {
                hang_up(client);
                client->fd = open_tcp();
            }
            start_line(client);
            if (!send_line(client))
                server_gone(client);
        }
        time = now();
        answers += good;
        all += good;
        if (good > 0)
            answered = time;
        else if (time - answered > STALL)
            die(SERVER, "no answer for %.1f s", (double)(time - answered) / 1e9);
        if (time >= end) {
            if (begin != 0)
                break;
            begin = time;
            end = begin + duration;
            answers = 0;
        }
        if (good == 0) {
            for (unsigned i = 0; i < count; i++)
                watch_client(&polled[i], &clients[i]);
            wait_for(polled, count, SECOND / 10);
        }
    }
    if (answers == 0)
        die(SERVER, "no answer in %.1f s", (double)(time - begin) / 1e9);
    phase_done("{\"answers\": %llu, \"seconds\": %.6f, \"all_answers\": %llu}", (unsigned long long)answers,
               (double)(time - begin) / 1e9, (unsigned long long)all);
}

/* ---- latencies ---- */

struct latencies {
    size_t count, room;
    uint64_t *ns;
};

static void record(struct latencies *latencies, uint64_t ns)
{
    if (latencies->count == latencies->room) {
        latencies->room = latencies->room * 2 + 4096;
        latencies->ns = realloc(latencies->ns, latencies->room * sizeof *latencies->ns);
        if (latencies->ns == NULL)
            die(ENVIRONMENT, "no memory for %zu latencies", latencies->room);
    }
    latencies->ns[latencies->count++] = ns;
}

static int by_size(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void report_latencies(const char *phase, struct latencies *latencies, unsigned unanswered, uint64_t oldest)
{
    uint64_t *ns = latencies->ns, longest = oldest;
    size_t count = latencies->count;

    if (count > 0) {
        qsort(ns, count, sizeof *ns, by_size);
        longest = ns[count - 1] > oldest ? ns[count - 1] : oldest;
    }
    phase_done("{\"phase\": \"%s\", \"answers\": %zu, \"median_us\": %.1f, \"p99_us\": %.1f, \"longest_us\": %.1f, "
               "\"unanswered\": %u}",
               phase, count, count ? (double)ns[count / 2] / 1e3 : 0, count ? (double)ns[count * 99 / 100] / 1e3 : 0,
               (double)longest / 1e3, unanswered);
    latencies->count = 0;
}

/* ---- many idle connections, one active ---- */

static void measure_active(struct client *active, const char *phase)
{
    struct latencies latencies = {0};
    uint64_t begin = now() + WARM_UP, end = begin + duration;

    for (uint64_t start = now(); start < end;) {
        uint64_t finish;

        start_line(active);
        exchange(active);
        finish = now();
        if (start >= begin)
            record(&latencies, finish - start);
        start = finish;
    }
    report_latencies(phase, &latencies, 0, 0);
    free(latencies.ns);
}

/* A line over each, some at a time: a connection that was answered is one that the server really holds. */
static void exchange_over_all(struct client *clients, unsigned count)
{
    enum { TOGETHER = 64 };

    for (unsigned first = 0; first < count; first += TOGETHER) {
        unsigned last = first + TOGETHER < count ? first + TOGETHER : count;

        for (unsigned i = first; i < last; i++) {
            if (clients[i].fd < 0)
                clients[i].fd = open_tcp();
            start_line(&clients[i]);
            if (!send_line(&clients[i]))
                server_gone(&clients[i]);
        }
        for (unsigned i = first; i < last; i++)
            exchange(&clients[i]);
    }
}

static void run_idle(unsigned count)
{
    struct client *idle = allocate(count, sizeof *idle), active = {.fd = open_tcp()};

    measure_active(&active, "alone");
    for (unsigned i = 0; i < count; i++)
        idle[i].fd = -1;
    exchange_over_all(idle, count);
    phase_done("{\"phase\": \"opened\", \"connections\": %u}", count);
    measure_active(&active, "crowded");
    exchange_over_all(idle, count);
    phase_done("{\"phase\": \"still served\", \"connections\": %u}", count);
}

/* ---- one slow client among many ---- */

struct honest {
    struct client client;
    bool waiting;
    uint64_t start, due;
    unsigned answers; /* in this phase */
};

struct slow {
    bool flood, closes, present;
    struct client client;
    uint64_t due, bytes;
};

/* The connection has gone, which only a server that may close is allowed. */
static void lose(struct client *client, bool closes)
{
    if (!closes)
        server_gone(client);
    hang_up(client);
}

static void step_honest(struct honest *honest, struct latencies *latencies, uint64_t time, bool ready, bool closes)
{
    struct client *client = &honest->client;

    if (!honest->waiting) {
        char rest;

        /* Between two lines there is nothing to read but the end. */
        if (ready && client->fd >= 0) {
            if (recv(client->fd, &rest, 1, MSG_DONTWAIT) > 0)
                die(WRONG, "wrong answer: more came back than was sent");
            lose(client, closes);
        }
        if (time < honest->due)
            return;
        start_line(client);
        honest->waiting = true;
        honest->start = now();
    } else if (!ready && client->fd >= 0) {
        return;
    }
    if (client->fd < 0) {
        client->fd = open_tcp();
        client->sent = client->received = 0;
        make_request(client->text, client->number);
    }
    if (client->sent < LINE && !send_line(client)) {
        lose(client, closes);
        return;
    }
    switch (read_answer(client)) {
    case WHOLE:
        record(latencies, now() - honest->start);
        honest->waiting = false;
        honest->due = now() + THINKING;
        honest->answers++;
        break;
    case GONE:
        lose(client, closes);
        break;
    default:
        break;
    }
}

static void step_flood(struct slow *slow)
{
    static char lines[LINE * 1024];
    ssize_t count;

    if (lines[0] == 0)
        for (uint32_t i = 0; i < 1024; i++)
            make_request(lines + (size_t)i * LINE, i);
    if (slow->client.fd < 0)
        slow->client.fd = open_tcp();
    count = send(slow->client.fd, lines + slow->bytes % sizeof lines, sizeof lines - slow->bytes % sizeof lines,
                 MSG_NOSIGNAL);
    if (count > 0)
        slow->bytes += (uint64_t)count;
    else if (errno != EAGAIN)
        lose(&slow->client, slow->closes);
}

static void step_drip(struct slow *slow, uint64_t time)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static uint64_t read_back;
    char answer;
    ssize_t count;

    if (slow->client.fd < 0) {
        slow->client.fd = open_tcp();
        slow->bytes = read_back = 0;
    }
    count = recv(slow->client.fd, &answer, 1, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        lose(&slow->client, slow->closes);
        return;
    }
    if (count > 0) {
        char expected = (char)(letters[read_back % 26] - 32);

        /* A server that answers lines, and refuses those without an end, may say so in words before it closes. */
        if (answer != expected && !slow->closes)
            die(WRONG, "wrong answer: expected \"%c\", got \"%c\"", expected, answer);
        read_back++;
    }
    if (time < slow->due)
        return;
    count = send(slow->client.fd, letters + slow->bytes % 26, 1, MSG_NOSIGNAL);
    if (count > 0)
        slow->bytes++;
    else if (errno != EAGAIN)
        lose(&slow->client, slow->closes);
    slow->due = time + DRIPPING;
}

static void measure_honest(const char *phase, struct honest *honest, unsigned count, struct slow *slow)
{
    struct pollfd *polled = allocate(count + 1, sizeof *polled);
    struct latencies latencies = {0};
    uint64_t time = now(), end = time + duration, oldest = 0;
    unsigned unanswered = 0;

    for (unsigned i = 0; i < count; i++)
        honest[i].answers = 0;
    for (; time < end; time = now()) {
        uint64_t next = end;

        for (unsigned i = 0; i < count; i++) {
            struct honest *one = &honest[i];

            step_honest(one, &latencies, time, polled[i].revents != 0, slow->closes);
            polled[i] = (struct pollfd){.fd = one->client.fd, .events = POLLIN};
            if (one->waiting && one->client.sent < LINE)
                polled[i].events |= POLLOUT;
            if (!one->waiting && one->due < next)
                next = one->due;
        }
        polled[count] = (struct pollfd){.fd = -1};
        if (slow->present) {
            if (slow->flood)
                step_flood(slow);
            else
                step_drip(slow, time);
            polled[count] = (struct pollfd){.fd = slow->client.fd, .events = slow->flood ? POLLOUT : POLLIN};
            if (!slow->flood && slow->due < next)
                next = slow->due;
        }
        time = now();
        wait_for(polled, count + 1, next > time ? next - time : 0);
    }
    for (unsigned i = 0; i < count; i++) {
        unanswered += honest[i].answers == 0;
        if (honest[i].waiting && time - honest[i].start > oldest)
            oldest = time - honest[i].start;
    }
    report_latencies(phase, &latencies, unanswered, oldest);
    free(latencies.ns);
    free(polled);
}

static void run_slow(unsigned count, const char *kind)
{
    struct honest *honest = allocate(count, sizeof *honest);
    struct slow slow = {.flood = strncmp(kind, "flood", 5) == 0, .closes = strstr(kind, "+closes") != NULL};
    uint64_t start = now();

    /* They do not all speak at once: each begins at its own moment of the thinking time. */
    for (unsigned i = 0; i < count; i++) {
        honest[i].client.fd = -1;
        honest[i].due = start + THINKING * i / count;
    }
    slow.client.fd = -1;
    measure_honest("alone", honest, count, &slow);
    slow.present = true;
    measure_honest("beside", honest, count, &slow);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    unsigned count;

    if (argc < 6 || inet_pton(AF_INET, argv[2], &server.sin_addr) != 1)
        die(USAGE, "usage: load udp|kept|line|idle|slow ADDRESS PORT SECONDS COUNT [KIND]");
    server.sin_family = AF_INET;
    server.sin_port = htons((unsigned short)atoi(argv[3]));
    duration = (uint64_t)(atof(argv[4]) * 1e9);
    count = (unsigned)atoi(argv[5]);
    if (count == 0 || (strcmp(what, "udp") == 0 && count > MAX_WINDOW))
        die(USAGE, "COUNT must be at least 1, and for udp at most %d", MAX_WINDOW);
    /* A wait of 50 microseconds must not become one of 100. */
    if (prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL) < 0)
        die(ENVIRONMENT, "prctl: %s", strerror(errno));
    prepare_text();
    limit_time();
    if (strcmp(what, "udp") == 0)
        run_udp(count);
    else if (strcmp(what, "kept") == 0)
        run_ping_pong(count, false);
    else if (strcmp(what, "line") == 0)
        run_ping_pong(count, true);
    else if (strcmp(what, "idle") == 0)
        run_idle(count);
    else if (strcmp(what, "slow") == 0 && argc > 6)
        run_slow(count, argv[6]);
    else
        die(USAGE, "unknown load \"%s\"", what);
    return 0;
}
