/*  Bytes of any origin made into text that the protocol carries. */

#ifndef REEVE_WORKER_TEXT_H
#define REEVE_WORKER_TEXT_H

#include "common/bytes.h"

typedef enum text_keep { TEXT_HEAD, TEXT_TAIL } text_keep_t;

/*  A copy of `bytes` that is valid UTF-8 without NUL and at most `limit` bytes long, cut at a
    character's edge: U+FFFD stands for each byte that was not text. Of what is too long the head or
    the tail is kept. *size is its length; a NUL follows. The caller frees it. Any thread. */
char *worker_text_clean(slice_t bytes, size_t limit, text_keep_t keep, size_t *size);

/*  The head or tail of valid UTF-8, at most `limit` bytes, cut at a character's edge. */
slice_t worker_text_cut(slice_t text, size_t limit, text_keep_t keep);

/*  The last line of `text` that is not blank, without the white space around it; empty when there
   is none. Points into `text`. */
slice_t worker_text_last_line(slice_t text);

#endif
