/*  What a service tells the service manager: that it is ready, reloads or stops, what it does, and that
    its loop still turns.

    This is the protocol of sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names. It is small
    and stable, and systemd's manual invites programs to speak it themselves; so a Reeve that was built
    without libsystemd is as good a service. Where nobody asked, nothing is told. One thread. */

#ifndef REEVE_COMMON_NOTIFY_H
#define REEVE_COMMON_NOTIFY_H

#include <stdint.h>

/*  Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment: they are
    meant for this process, and no command that it starts may speak in its name. Before threads start;
    what is told before it is told to nobody. */
void notify_open(void);

/*  The service does what it is for; also the end of a reload. `status` is one line for people, which
    systemctl status shows. */
void notify_ready(const char *status);
/*  It reads its configuration again; notify_ready has to follow. */
void notify_reloading(void);
void notify_stopping(const char *status);
void notify_status(const char *status);

/*  When the manager is to hear that the loop turns. */
typedef struct watchdog {
    int64_t every_ms;
    int64_t next_ms; /* the loop must come to watchdog_turn by then; INT64_MAX: nobody asked */
} watchdog_t;

/*  Every half of what WATCHDOG_USEC allows, so that one late turn is forgiven; first at once. */
void watchdog_init(watchdog_t *self, int64_t now_ms);
/*  To be called in every turn of the loop that is watched, and nowhere else: a thread of its own would
    tell that it lives itself. */
void watchdog_turn(watchdog_t *self, int64_t now_ms);

#endif
