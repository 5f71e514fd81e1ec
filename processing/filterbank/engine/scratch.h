#include <stdlib.h>

/* A thread keeps its buffer: a fresh one would be cleared by the kernel, page by page. */
static void *scratch(size_t bytes) {
    static _Thread_local char *kept = NULL;
    static _Thread_local size_t size = 0;
    if (bytes > size) {
        free(kept);
        size = bytes;
        if (posix_memalign((void **)&kept, 64, bytes)) kept = NULL, size = 0;
    }
    return kept;
}
