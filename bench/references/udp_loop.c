/* The C reference for UDP: one loop, one datagram, one reply. */
#include "upper.h"

#include <errno.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    static char datagram[65536];
    struct sockaddr_in address = address_of(argc, argv);
    int server = socket(AF_INET, SOCK_DGRAM, 0);

    if (server < 0)
        fail("socket");
    if (bind(server, (struct sockaddr *)&address, sizeof address) < 0)
        fail("bind");

    for (;;) {
        struct sockaddr_in client;
        socklen_t client_size = sizeof client;
        ssize_t length = recvfrom(server, datagram, sizeof datagram, 0, (struct sockaddr *)&client, &client_size);

        if (length < 0) {
            if (errno == EINTR)
                continue;
            fail("recvfrom");
        }
        upper(datagram, (size_t)length);
        /* A reply that cannot go (the client's port is closed, no buffer) is a lost datagram, not our end. */
        if (sendto(server, datagram, (size_t)length, 0, (struct sockaddr *)&client, client_size) < 0)
            perror("sendto");
    }
}
