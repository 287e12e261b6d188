/*  Every limit has one home: here, with its unit. docs/limits.md is the same list for users. */

#ifndef REEVE_COMMON_LIMITS_H
#define REEVE_COMMON_LIMITS_H

/*  What a task may be. */
#define LIMIT_ID_BYTES         128         /* task id: printable ASCII without spaces */
#define LIMIT_QUEUE_NAME_BYTES 128         /* queue (Majordomo service): UTF-8 without controls */
#define LIMIT_TASK_NAME_BYTES  128         /* task_name: UTF-8 without controls */
#define LIMIT_ORIGIN_BYTES     128         /* origin: UTF-8 without controls */
#define LIMIT_BODY_BYTES       (16u << 20) /* args + kwargs + headers, or Majordomo frames */
#define LIMIT_BODY_FRAMES      1024        /* frames of one Majordomo request or reply */
#define LIMIT_JSON_DEPTH       64          /* nesting of args, kwargs and results */
#define LIMIT_PRIORITY         9           /* 0 (default) … 9 (first) */
#define LIMIT_RETRIES          1000000     /* max_retries */
#define LIMIT_DURATION_MS      (366LL * 10 * 86400 * 1000) /* any delay or timeout: ten years */
#define LIMIT_REPLY_TO_BYTES   2048 /* a Majordomo requester's routing id and return path */

/*  What an attempt may report. */
#define LIMIT_RESULT_BYTES    (4u << 20)
#define LIMIT_REASON_BYTES    64
#define LIMIT_ERROR_BYTES     4096
#define LIMIT_TRACEBACK_BYTES 65536

/*  What a peer may do. */
#define LIMIT_MESSAGE_BYTES     (32u << 20) /* one ZeroMQ frame; larger ones close the connection */
#define LIMIT_BATCH             4096        /* tasks or settlements in one message */
#define LIMIT_PREFETCH          10000       /* unsettled tasks of one worker */
#define LIMIT_HELD              (2 * LIMIT_PREFETCH) /* tokens in one READY or HEARTBEAT */
#define LIMIT_WORKER_QUEUES     256                  /* queues of one worker */
#define LIMIT_WORKER_NAME_BYTES 128
#define LIMIT_PEERS             100000 /* peers remembered at once */
#define LIMIT_PEER_INPUT        64     /* messages received from a peer and not looked at */
#define LIMIT_PEER_MESSAGES     5000 /* unread by a peer before it counts as gone; > LIMIT_BATCH */
#define LIMIT_PEER_BYTES        (256u << 20) /* the same in bytes of messages of 4 KiB and more */

/*  What the broker holds. */
#define LIMIT_QUEUES            100000 /* queues known, for good; the key has room for 131,071 */
#define LIMIT_WINDOW_TASKS      2048   /* waiting tasks of one queue kept in memory */
#define LIMIT_WINDOW_BYTES      (4u << 20)
#define LIMIT_WINDOWS_BYTES     (32u << 20) /* the same for all queues together */
#define LIMIT_PAGE_TASKS        1024        /* waiting or due tasks read at a time */
#define LIMIT_AHEAD_TASKS       4096        /* leased to one worker before it has room for them */
#define LIMIT_UNCOMMITTED       100000      /* the writer may be behind before input waits */
#define LIMIT_UNCOMMITTED_BYTES (64u << 20) /* the same in bodies, results */
#define LIMIT_LIST_ROWS         500         /* rows of one page of a listing */
#define LIMIT_WAITERS           100000      /* clients waiting for outcomes at once */
#define LIMIT_COUNT_AHEAD       10000       /* waiting tasks counted before one that is asked for */

/*  What a scrape shows; the rest is summed up as "other". */
#define LIMIT_METRIC_TASKS   500  /* task names with series of their own */
#define LIMIT_METRIC_REASONS 32   /* reasons for each of them */
#define LIMIT_METRIC_QUEUES  1000 /* queues with series of their own */

#endif
