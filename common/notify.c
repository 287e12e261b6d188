#include "common/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/parse.h"

enum {
    MESSAGE_SIZE = 1024,
    PATIENCE_S = 5, /* with a manager that does not read: it may be what hangs */
    US_PER_MS = 1000,
};

static int manager_fd = -1; /* below 0: nobody to tell */
static struct sockaddr_un manager;
static socklen_t manager_size;
static int64_t watchdog_us; /* 0: nobody watches */

/*  A path, or "@" and a name that is in no file system. False for what is neither, or too long. */
static bool set_address(const char *name)
{
    size_t size = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || size < 2 || size >= sizeof manager.sun_path)
        return false;
    manager = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(manager.sun_path, name, size);
    if (name[0] == '@')
        manager.sun_path[0] = '\0';
    manager_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return true;
}

/*  WATCHDOG_USEC, unless WATCHDOG_PID says that another process is meant. */
static int64_t asked_for_us(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t number;
    if (pid && (!parse_int(pid, 1, INT32_MAX, &number) || number != getpid()))
        return 0;
    return us && parse_int(us, 1, INT64_MAX, &number) ? number : 0;
}

/*  Below 0 where there is none to be had. */
static int open_socket(void)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

void notify_open(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (name && set_address(name))
        manager_fd = open_socket();
    watchdog_us = manager_fd < 0 ? 0 : asked_for_us();
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

/*  A manager that cannot be told is nothing that the caller could act on. */
static void tell(int flags, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(int flags, const char *format, ...)
{
    char text[MESSAGE_SIZE];
    va_list arguments;
    if (manager_fd < 0)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sendto(manager_fd, text, strlen(text), MSG_NOSIGNAL | flags, (struct sockaddr *)&manager,
           manager_size);
}

void notify_ready(const char *status)
{
    tell(0, "READY=1\nSTATUS=%s", status);
}

void notify_reloading(void)
{
    tell(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=Reading the configuration again",
         clock_mono_us());
}

void notify_stopping(const char *status)
{
    tell(0, "STOPPING=1\nSTATUS=%s", status);
}

void notify_status(const char *status)
{
    tell(0, "STATUS=%s", status);
}

void watchdog_init(watchdog_t *self, int64_t now_ms)
{
    int64_t half_ms = watchdog_us / 2 / US_PER_MS;
    *self = (watchdog_t){half_ms > 0 ? half_ms : 1, watchdog_us > 0 ? now_ms : INT64_MAX};
}

/*  Not waited for: where the manager does not read, the next one will do. */
void watchdog_turn(watchdog_t *self, int64_t now_ms)
{
    if (now_ms < self->next_ms)
        return;
    tell(MSG_DONTWAIT, "WATCHDOG=1");
    self->next_ms = now_ms + self->every_ms;
}
