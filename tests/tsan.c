/*  What ThreadSanitizer leaves out, in every program of such a build, however it is started: without it the
    races that it sees in libzmq are so many that a broker with work to do comes to a standstill in its reports.

    Debian's libraries are not instrumented: what they hand from thread to thread under atomics of their own
    looks unordered. Only accesses made by the library itself are left out; ours are not. */

const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so.5\n"
           "called_from_lib:libczmq.so.4\n"
           "called_from_lib:libsqlite3.so.0\n"
           "called_from_lib:libmicrohttpd.so.12\n";
}
