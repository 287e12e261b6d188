/*  The main of a fuzz target without libFuzzer: runs each input once and says how many there were.

    Usage: fuzz_x FILE|DIRECTORY...   A directory stands for the files in it. */

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

/*  libFuzzer's hook for what a target does once, before its first input. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static int give_up(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return -1;
}

static int replay_file(const char *path, off_t size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return give_up(path);
    uint8_t *data = mem_alloc(size ? (size_t)size : 1);
    size_t count = fread(data, 1, (size_t)size, file);
    fclose(file);
    /* Before it is run: a crash is to name its input. */
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, count);
    free(data);
    return 1;
}

static int replay(const char *path);

static int replay_directory(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort), replayed = 0;
    if (count < 0)
        return give_up(path);
    for (int i = 0; i < count; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        int more = entries[i]->d_name[0] == '.' || replayed < 0 ? 0 : replay(inner);
        replayed = more < 0 ? -1 : replayed + more;
        free(entries[i]);
    }
    free(entries);
    return replayed;
}

/*  How many inputs were run; -1 when one could not be read. */
static int replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return give_up(path);
    return S_ISDIR(status.st_mode) ? replay_directory(path) : replay_file(path, status.st_size);
}

int main(int argc, char **argv)
{
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = replay(argv[i]);
        if (count < 0)
            return 66; /* EX_NOINPUT */
        total += count;
    }
    printf("%d inputs\n", total);
    return total ? 0 : 66; /* a replay of nothing proves nothing */
}
