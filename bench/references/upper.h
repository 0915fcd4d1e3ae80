/* What both C references share: the command line, and the application itself. */
#ifndef UPPER_H
#define UPPER_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ASCII is enough here: the bench sends nothing else. */
static inline void upper(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        text[i] = (char)(text[i] - (text[i] >= 'a' && text[i] <= 'z' ? 'a' - 'A' : 0));
}

static inline void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* `PROGRAM --host ADDRESS --port N`, as the other servers are called. */
static inline struct sockaddr_in address_of(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--host") == 0 && inet_pton(AF_INET, argv[i + 1], &address.sin_addr) == 1)
            continue;
        if (strcmp(argv[i], "--port") == 0 && atoi(argv[i + 1]) > 0 && atoi(argv[i + 1]) < 65536)
            address.sin_port = htons((unsigned short)atoi(argv[i + 1]));
    }
    if (address.sin_addr.s_addr == 0 || address.sin_port == 0) {
        fprintf(stderr, "usage: %s --host ADDRESS --port N\n", argv[0]);
        exit(2);
    }
    return address;
}

#endif
