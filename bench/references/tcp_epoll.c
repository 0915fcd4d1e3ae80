/*
 * The C reference for TCP: one thread, level-triggered epoll, what is read is answered at once.
 *
 * Memory a connection is bounded: while an answer waits for a client that does not read, nothing more is
 * read from that client.
 */
#define _GNU_SOURCE
#include "upper.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int fd;
    char *pending; /* the part of an answer that did not fit into the socket; NULL when there is none */
    size_t sent, length;
};

static int poller;

static void watch(struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};

    if (epoll_ctl(poller, operation, connection->fd, &event) < 0)
        fail("epoll_ctl");
}

static void finish(struct connection *connection)
{
    close(connection->fd);
    free(connection->pending);
    free(connection);
}

static void accept_all(int listener)
{
    int one = 1;

    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct connection *connection;

        if (fd < 0) {
            if (errno == EAGAIN)
                return;
            if (errno == ECONNABORTED || errno == EINTR)
                continue;
            fail("accept4");
        }
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
            fail("setsockopt");
        connection = calloc(1, sizeof *connection);
        if (connection == NULL)
            fail("calloc");
        connection->fd = fd;
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* Sends what it can; 0 when the connection is broken. */
static int answer(struct connection *connection, const char *text, size_t length)
{
    ssize_t sent = send(connection->fd, text, length, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        return 0;
    if (sent < 0)
        sent = 0;
    if ((size_t)sent < length) {
        connection->length = length - (size_t)sent;
        connection->sent = 0;
        connection->pending = malloc(connection->length);
        if (connection->pending == NULL)
            fail("malloc");
        memcpy(connection->pending, text + sent, connection->length);
        watch(connection, EPOLL_CTL_MOD, EPOLLOUT);
    }
    return 1;
}

static int resume(struct connection *connection)
{
    ssize_t sent = send(connection->fd, connection->pending + connection->sent,
                        connection->length - connection->sent, MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN;
    connection->sent += (size_t)sent;
    if (connection->sent == connection->length) {
        free(connection->pending);
        connection->pending = NULL;
        watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    }
    return 1;
}

static void serve(struct connection *connection)
{
    static char text[65536];
    ssize_t length;

    if (connection->pending != NULL) {
        if (!resume(connection))
            finish(connection);
        return;
    }
    length = recv(connection->fd, text, sizeof text, 0);
    if (length < 0 && errno == EAGAIN)
        return;
    if (length <= 0) {
        finish(connection);
        return;
    }
    upper(text, (size_t)length);
    if (!answer(connection, text, (size_t)length))
        finish(connection);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = address_of(argc, argv);
    struct epoll_event events[256];
    struct connection welcoming = {0};
    int one = 1;

    welcoming.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (welcoming.fd < 0)
        fail("socket");
    if (setsockopt(welcoming.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
        fail("setsockopt");
    if (bind(welcoming.fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("bind");
    if (listen(welcoming.fd, SOMAXCONN) < 0)
        fail("listen");
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        fail("epoll_create1");
    watch(&welcoming, EPOLL_CTL_ADD, EPOLLIN);

    for (;;) {
        int count = epoll_wait(poller, events, sizeof events / sizeof *events, -1);

        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &welcoming)
                accept_all(welcoming.fd);
            else
                serve(events[i].data.ptr);
        }
    }
}
