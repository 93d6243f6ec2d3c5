/* SPDX-License-Identifier: Apache-2.0
 *
 * vecstore.h - vectors on disk from C, and from every language that calls C: put, erase, get by key, search.
 *
 *   vecstore_open_options options = {.struct_size = sizeof options, .access = VECSTORE_CREATE};
 *   vecstore_store* store = NULL;
 *   vecstore_error error;
 *   if (vecstore_open("notes", &options, &store, &error) != VECSTORE_OK) fprintf(stderr, "%s\n", error.message);
 *
 * Caveats, first
 *
 *   - A store is of the process that opened it. After fork() every call with a handle of the parent's returns
 *     VECSTORE_FORKED, and _free() does nothing there. A child that needs the store opens it again.
 *   - One process writes to a store at a time, any number read it. Two handles of one process count as two.
 *   - vecstore_free() is the last call with its handle: no other may be under way, or come later. Scans keep
 *     their store alive, so that they may be freed before or after it.
 *   - A callback must not longjmp or throw out of the library, nor call the library with the handle that it was
 *     called for.
 *   - Pointers in what is passed are borrowed until the call returns. What outlives a call says so.
 *
 * Results go to arrays of the caller. What has no size known beforehand (keys that are texts, documents, JSON) goes
 * to a vecstore_bytes, which the library grows. Every call that fills it begins anew.
 *
 * Errors: every call that can fail returns VECSTORE_OK (0) or a code above 0. `error` may be NULL; else it is filled
 * whenever a call returns, with code 0 where it went well. There is no global and no per-thread last error.
 *
 * Structs that begin with struct_size are zeroed, given their size, and then changed where another value than 0 is
 * wanted: `T t = {.struct_size = sizeof t};`, or vecstore_init(). 0 is the default of every member. A size below that
 * of the first version, or above 4096, is VECSTORE_INVALID_ARGUMENT. A program may be compiled against a later header:
 * then what the library does not know must be 0, reserved members too, else it is VECSTORE_UNSUPPORTED.
 *
 * Threads: [any] any number of threads at once with one handle; [one] one thread at a time with one handle.
 * Blocking: [io] waits for the disk; [wait] may wait for others, searches for a searcher and puts for room.
 *
 * Memory that a store keeps is bounded by ram_bytes; results are the caller's. Where the system has none left a call
 * returns VECSTORE_MEMORY_BUDGET with system_error ENOMEM.
 *
 * Output: nothing is printed, no signal is handled, the process is not ended. Only a broken invariant, which is a bug
 * of the library, is told to the panic hook (to stderr where there is none) and aborts.
 *
 * ABI: until 1.0 the soname is libvecstore.so.0 and minor versions may break. Codes and other numbers keep their
 * meaning; structs grow at their end only.
 */
#ifndef VECSTORE_H
#define VECSTORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define VECSTORE_API __attribute__((visibility("default")))
#define VECSTORE_CHECKED __attribute__((visibility("default"), warn_unused_result))
#else
#define VECSTORE_API
#define VECSTORE_CHECKED
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------- the library */

#define VECSTORE_VERSION_NUMBER 100u /* 10000 major + 100 minor + patch, of this header */

VECSTORE_API uint32_t vecstore_version_number(void); /* of the library that is loaded */
VECSTORE_API const char* vecstore_version(void);     /* "0.1.0"; static */

/* Zeroes a struct that begins with struct_size and sets that to `size`. size: 4 to 4096, else nothing is done. */
VECSTORE_API void vecstore_init(void* versioned, size_t size);

/* Told of a broken invariant before abort(). From any thread; of the whole process. NULL: one line to stderr. */
VECSTORE_API void vecstore_set_panic(void (*panic)(void* context, const char* line), void* context);

/* ------------------------------------------------------------------------------------------------------ errors */

enum {
  VECSTORE_OK = 0,
  VECSTORE_INVALID_ARGUMENT = 1, /* the call cannot mean anything: NULL, k = 0, an option out of its range */
  VECSTORE_INVALID_INPUT = 2,    /* the data is refused: NaN, a wrong dimension, a file that is none of ours */
  VECSTORE_NOT_FOUND = 3,
  VECSTORE_EXISTS = 4, /* nothing is overwritten that was not said to be */
  VECSTORE_PERMISSION = 5,
  VECSTORE_IO = 6,
  VECSTORE_NO_SPACE = 7,
  VECSTORE_MEMORY_BUDGET = 8, /* ram_bytes is too small; `number` is the least that would do, where it is known */
  VECSTORE_CORRUPT = 9,
  VECSTORE_BUSY = 10, /* another process, or handle, writes to the store */
  VECSTORE_NEWER_FORMAT = 11,
  VECSTORE_UNSUPPORTED = 12,
  VECSTORE_CANCELLED = 13,
  VECSTORE_CLOSED = 14, /* the store takes no more writes */
  VECSTORE_FORKED = 15  /* the handle is of another process */
};

/* What vecstore_error.number counts. */
enum {
  VECSTORE_DETAIL_NONE = 0,
  VECSTORE_DETAIL_PAGE = 1,
  VECSTORE_DETAIL_OFFSET = 2, /* in a file, in bytes */
  VECSTORE_DETAIL_ROW = 3,    /* of what was passed, from 0; or of the store */
  VECSTORE_DETAIL_BYTES = 4,
  VECSTORE_DETAIL_LINE = 5, /* of a file, from 1 */
  VECSTORE_DETAIL_LSN = 6
};

/* 512 bytes of plain data: on the stack, copied freely, nothing to free. It needs no initialisation. */
typedef struct vecstore_error {
  int32_t code;
  int32_t system_error; /* errno, or 0 */
  uint32_t detail;
  uint32_t reserved;
  uint64_t number;
  uint64_t expected, actual; /* where two numbers do not agree: dimensions, sizes; else both are 0 */
  char message[472];         /* one line of UTF-8, terminated, that says what to do; "ok" where code is 0 */
} vecstore_error;

VECSTORE_API const char* vecstore_code_name(int32_t code); /* "VECSTORE_BUSY", "" for no code; static */

/* -------------------------------------------------------------------------------------------------- plain data */

enum { VECSTORE_F32 = 0, VECSTORE_F16 = 1, VECSTORE_U8 = 2, VECSTORE_I8 = 3 };

/*                         distance of a hit        score of a hit (larger is better) */
enum {
  VECSTORE_L2 = 0,    /* squared Euclidean        -distance */
  VECSTORE_IP = 1,    /* -<q,x>                   <q,x>     */
  VECSTORE_COSINE = 2 /* 1 - cos(q,x)             cos(q,x)  */
};

enum { VECSTORE_KEY_NUMBER = 0, VECSTORE_KEY_BYTES = 1 };

/* These three never change, and have no size. */

/* [rows x dim] row by row. data: aligned as its elements are. stride: bytes from row to row, a multiple of an element's
 * size; 0: rows are contiguous. */
typedef struct vecstore_vectors {
  const void* data;
  uint64_t rows;
  uint64_t stride;
  uint32_t dim;
  uint32_t dtype;
} vecstore_vectors;

/* Texts end to end, as Arrow has them: text i is bytes[offsets[i]] to before bytes[offsets[i + 1]]. offsets: count + 1
 * of them that never descend. Any bytes; nothing is terminated. */
typedef struct vecstore_texts {
  const char* bytes;
  const uint64_t* offsets;
  uint64_t count;
} vecstore_texts;

/* Numbers, or texts of 1 to 480 bytes: the one that is not NULL, which fits the store's kind. count: of either. */
typedef struct vecstore_keys {
  const uint64_t* numbers;
  const vecstore_texts* texts;
  uint64_t count;
} vecstore_keys;

/* What the library fills with texts, and grows. [one] */
typedef struct vecstore_bytes vecstore_bytes;
VECSTORE_API vecstore_bytes* vecstore_bytes_new(void);        /* NULL: no memory is left */
VECSTORE_API void vecstore_bytes_free(vecstore_bytes* bytes); /* NULL: nothing is done, as by every _free() */
/* Valid until the next call that fills `bytes`. Behind the last text is a NUL, so that one alone is a C string. */
VECSTORE_API vecstore_texts vecstore_bytes_view(const vecstore_bytes* bytes);

/* Stops calls that were given it. A call that has it ends with VECSTORE_CANCELLED within 200 ms as a rule, and leaves
 * all as it was. [any] */
typedef struct vecstore_cancel vecstore_cancel;
VECSTORE_API vecstore_cancel* vecstore_cancel_new(void);        /* NULL: no memory is left */
VECSTORE_API void vecstore_cancel_now(vecstore_cancel* cancel); /* may be called by a signal handler */
VECSTORE_API void vecstore_cancel_reset(vecstore_cancel* cancel);
VECSTORE_API void vecstore_cancel_free(vecstore_cancel* cancel); /* no call that was given it may be under way */

enum {
  VECSTORE_PHASE_READ = 0, /* of a build or a merge, in this order; units are rows */
  VECSTORE_PHASE_GRAPH = 1,
  VECSTORE_PHASE_ORDER = 2,
  VECSTORE_PHASE_CODES = 3,
  VECSTORE_PHASE_CALIBRATE = 4,
  VECSTORE_PHASE_WRITE = 5,
  VECSTORE_PHASE_PUBLISH = 6,
  VECSTORE_PHASE_REPLAY = 7,  /* vecstore_open(): records */
  VECSTORE_PHASE_PUT = 8,     /* rows, before they are logged */
  VECSTORE_PHASE_SEARCH = 9,  /* queries */
  VECSTORE_PHASE_VERIFY = 10, /* pages */
  VECSTORE_PHASE_EXPORT = 11  /* rows, twice */
};

typedef struct vecstore_progress {
  uint32_t struct_size;
  uint32_t phase;
  uint64_t done;
  uint64_t total;        /* 0: not known */
  uint64_t memory_bytes; /* 0: not told */
} vecstore_progress;

/* How a call that may take long is watched and stopped. */
typedef struct vecstore_hooks {
  uint32_t struct_size;
  uint32_t reserved;
  vecstore_cancel* cancel; /* or NULL */
  /* Called on the thread that made the call, a few times a second. Not 0: the call ends with VECSTORE_CANCELLED. */
  int32_t (*progress)(void* context, const vecstore_progress* progress);
  void* context;
} vecstore_hooks;

/* --------------------------------------------------------------------------------------------- opening, ending */

typedef struct vecstore_store vecstore_store;

enum {
  VECSTORE_READ = 0,
  VECSTORE_WRITE = 1,
  VECSTORE_CREATE = 2 /* VECSTORE_WRITE, and an empty store is made where there is none */
};
enum { VECSTORE_SYNC_ALWAYS = 0, VECSTORE_SYNC_INTERVAL = 1, VECSTORE_SYNC_NONE = 2 };
enum { VECSTORE_BACKEND_AUTO = 0, VECSTORE_BACKEND_URING = 1, VECSTORE_BACKEND_PREAD = 2 };
enum { VECSTORE_CACHE_AUTO = 0, VECSTORE_CACHE_BYTES = 1, VECSTORE_CACHE_FRACTION = 2 };
enum { VECSTORE_MERGE_AUTO = 0, VECSTORE_MERGE_MANUAL = 1 };

typedef struct vecstore_open_options {
  uint32_t struct_size;
  uint32_t access;
  /* Of VECSTORE_CREATE: what is made. A store that is there must agree (dim 0, or one without
   * rows: any), else INVALID_ARGUMENT. */
  uint32_t dim; /* 0: that of the first vector put */
  uint32_t dtype, metric, keys;
  uint64_t ram_bytes;    /* bound of all memory below; 0: unbounded, and nothing cached unless asked */
  uint32_t cache;        /* VECSTORE_CACHE_AUTO: what ram_bytes leaves */
  uint32_t fixed_cache;  /* 1: the same search has the same answer and reads every time */
  uint64_t cache_bytes;  /* of VECSTORE_CACHE_BYTES */
  double cache_fraction; /* of VECSTORE_CACHE_FRACTION: share of the pages, 0 to 1 */
  uint32_t searchers;    /* searches that may run at once; 0: 1 */
  uint32_t lanes;        /* queries of a batch that one searcher has in progress, 1 to 32; 0: chosen */
  uint32_t backend;
  /* The rest is a writer's. */
  uint32_t sync;
  uint32_t interval_ms;   /* between two syncs of VECSTORE_SYNC_INTERVAL; 0: 100 */
  uint32_t full_wait_ms;  /* how long a put waits for room; 0: 1000, UINT32_MAX: not at all */
  uint32_t merge_wait_ms; /* and while a merge is under way; 0: 60000, UINT32_MAX: no longer than that */
  uint32_t merge;
  uint32_t merge_threads; /* of a merge in the background; 0: 1, UINT32_MAX: all processors */
  uint32_t reserved;
  uint64_t merge_write_bytes;  /* a second, of a merge in the background; 0: 40000000, UINT64_MAX: no bound */
  uint64_t delta_bytes;        /* memory of what is not merged yet; 0: 64 MiB */
  uint64_t log_bytes;          /* bound of the log's files; 0: 256 MiB */
  uint64_t reader_bytes_max;   /* what calls may keep that read what merges replaced; 0: no bound */
  const vecstore_hooks* hooks; /* of the replay of a long log */
} vecstore_open_options;

/* [io] options: NULL reads. On error *out is NULL. Errors: NOT_FOUND, INVALID_INPUT (no store), CORRUPT, NEWER_FORMAT,
 * MEMORY_BUDGET with the least that would do, BUSY naming the process that writes, PERMISSION, INVALID_ARGUMENT. Of
 * VECSTORE_CREATE besides: EXISTS (a directory with something else), NO_SPACE. CANCELLED of hooks. */
VECSTORE_CHECKED int32_t vecstore_open(const char* path, const vecstore_open_options* options, vecstore_store** out,
                                       vecstore_error* error);
/* [any][io] Takes no more writes (VECSTORE_CLOSED), cancels a merge, flushes and lets another writer in. Reading goes
 * on. Errors: IO, of a write that was not acknowledged either. Of a reader nothing is done. */
VECSTORE_CHECKED int32_t vecstore_close(vecstore_store* store, vecstore_error* error);
/* [io] Closes, but nobody learns of an error, and frees the handle. */
VECSTORE_API void vecstore_free(vecstore_store* store);
/* [any][io] A reader moves on to what has been written meanwhile; a writer is always up to date. Errors: those of
 * vecstore_open(); UNSUPPORTED where the store was built anew: open it again. */
VECSTORE_CHECKED int32_t vecstore_refresh(vecstore_store* store, vecstore_error* error);
/* [any][io] All that was acknowledged survives a power cut afterwards. Errors: IO, PERMISSION, CLOSED. */
VECSTORE_CHECKED int32_t vecstore_flush(vecstore_store* store, vecstore_error* error);

/* ----------------------------------------------------------------------------------------------------- writing */

typedef struct vecstore_receipt {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t lsn;         /* of the last record in the log */
  uint64_t durable_lsn; /* records up to this one survive a power cut */
  uint64_t rows;        /* put or erased; without those that were skipped */
  uint64_t replaced;    /* of those put: that took the place of another row */
} vecstore_receipt;

enum { VECSTORE_REPLACE = 0, VECSTORE_FAIL_IF_THERE = 1, VECSTORE_SKIP_IF_THERE = 2 };

typedef struct vecstore_put_options {
  uint32_t struct_size;
  uint32_t if_there;
  const vecstore_texts* documents; /* as many as keys, up to 64 KiB each; NULL: none */
  const vecstore_hooks* hooks;
} vecstore_put_options;

/* [any][io][wait] All rows or none, in order; of equal keys the last stays. One row is a batch of one. options,
 * receipt: may be NULL. Errors: INVALID_ARGUMENT (keys of the other kind, dtype, sizes that differ), INVALID_INPUT
 * (dimension, values, with their row), EXISTS (of FAIL_IF_THERE, with the row of the batch), NO_SPACE (disk or log
 * full), MEMORY_BUDGET (delta_bytes is used up), PERMISSION, CLOSED, CANCELLED: nothing of the batch is in. IO: the
 * store takes no more until it is opened again, and only then it is known whether the batch came through. */
VECSTORE_CHECKED int32_t vecstore_put(vecstore_store* store, const vecstore_keys* keys, const vecstore_vectors* vectors,
                                      const vecstore_put_options* options, vecstore_receipt* receipt,
                                      vecstore_error* error);
/* [any][io][wait] Keys that are not there are passed over; receipt->rows says how many were. receipt: may be NULL.
 * Errors: as of vecstore_put(). */
VECSTORE_CHECKED int32_t vecstore_erase(vecstore_store* store, const vecstore_keys* keys, vecstore_receipt* receipt,
                                        vecstore_error* error);
/* [any] What is not merged yet may take so much from now on. Errors: INVALID_ARGUMENT (less than it may),
 * MEMORY_BUDGET, PERMISSION, CLOSED, IO. */
VECSTORE_CHECKED int32_t vecstore_raise_delta_bytes(vecstore_store* store, uint64_t bytes, vecstore_error* error);

typedef struct vecstore_compact_options {
  uint32_t struct_size;
  uint32_t rebuild; /* 1: every row is linked and ordered anew, as by a build, though nothing was written */
  uint32_t threads; /* 0: all processors */
  uint32_t reserved;
  const vecstore_hooks* hooks;
} vecstore_compact_options;

/* [any][io] Takes what was written since into the graph on disk. Searches and writes go on. options: may be NULL.
 * Errors, which leave all as it was: MEMORY_BUDGET, NO_SPACE, IO, CORRUPT, CANCELLED, PERMISSION, CLOSED, BUSY. */
VECSTORE_CHECKED int32_t vecstore_compact(vecstore_store* store, const vecstore_compact_options* options,
                                          vecstore_error* error);

/* --------------------------------------------------------------------------------------------------- searching */

typedef struct vecstore_search_options {
  uint32_t struct_size;
  uint32_t k;              /* 1 to 1000; 0 is INVALID_ARGUMENT */
  double recall_target;    /* up to 1, looked up in the calibration; 0: 0.95 */
  uint32_t search_list;    /* L, up to 4096; 0: calibrated */
  uint32_t blocks;         /* that are scanned; 0: calibrated */
  float bound;             /* standard errors of the read bound; 0: calibrated */
  uint32_t threads;        /* that divide a batch; 0: 1, the calling one */
  uint32_t full_precision; /* 1: ranks by the vectors as they were put */
  uint32_t has_radius;     /* 1: only hits no farther than radius; then k is the most that come */
  float radius;            /* a distance; under VECSTORE_L2 it is squared */
  uint32_t reserved;
  const vecstore_keys* exclude; /* no hit has one of these; NULL: none */
  const vecstore_hooks* hooks;
} vecstore_search_options;

typedef struct vecstore_query_stats {
  uint32_t struct_size; /* of the first of them: that of all */
  uint32_t requests;    /* reads asked of the device */
  uint32_t rounds;      /* times that the query waited for some of them */
  uint32_t bytes;       /* read */
  uint32_t pages_from_cache;
  uint32_t codes_scored;
  uint32_t exact_distances;
  uint32_t latency_us;
} vecstore_query_stats;

/* Where answers go: arrays of the caller, each of which may be NULL. They are filled to their end. Texts come into
 * their vecstore_bytes last, so that a call may be given what one of them has from the call before. */
typedef struct vecstore_hits {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t* keys;              /* [queries x k] where keys are numbers, else rows; behind the last hit UINT64_MAX */
  float* scores;               /* [queries x k]; behind the last hit -inf */
  float* distances;            /* [queries x k]; behind the last hit +inf */
  uint32_t* counts;            /* [queries] hits */
  vecstore_query_stats* stats; /* [queries] */
  vecstore_bytes* key_texts;   /* of hit after hit, without what is behind the last; numbers in decimal */
  vecstore_bytes* documents;   /* likewise; of the moment that was searched */
} vecstore_hits;

/* [any][io][wait] queries: of the store's dimension and dtype (f16 and f32 mix). Fewer than k hits are no error. Once
 * what was asked is known to make sense, arrays are filled as if nothing had been found, and stay so where it fails.
 * Errors: INVALID_ARGUMENT, INVALID_INPUT (dimension; values, with their row), IO, CORRUPT naming the page,
 * MEMORY_BUDGET, CANCELLED. */
VECSTORE_CHECKED int32_t vecstore_search(vecstore_store* store, const vecstore_vectors* queries,
                                         const vecstore_search_options* options, vecstore_hits* hits,
                                         vecstore_error* error);
/* As vecstore_search(), for the vectors that these keys have; of each query its own row is no hit. k is 999 at the
 * most. Errors besides: NOT_FOUND with the row of `keys`. */
VECSTORE_CHECKED int32_t vecstore_search_by_key(vecstore_store* store, const vecstore_keys* keys,
                                                const vecstore_search_options* options, vecstore_hits* hits,
                                                vecstore_error* error);

/* ----------------------------------------------------------------------------------------------------- reading */

/* [any][io] All of one moment. found: [count] 1 or 0. vectors: [count x dim] of the store's dtype, zeros where there is
 * no such key. documents: count texts. Each may be NULL. vectors_bytes: of `vectors`, so that no more is written. A key
 * that is not there is no error. Errors: INVALID_ARGUMENT (the other kind; vectors_bytes is not what is due:
 * `expected`), IO, CORRUPT. */
VECSTORE_CHECKED int32_t vecstore_get(vecstore_store* store, const vecstore_keys* keys, uint8_t* found, void* vectors,
                                      uint64_t vectors_bytes, vecstore_bytes* documents, vecstore_error* error);

/* All rows of the moment of vecstore_scan_open(), whatever is written meanwhile. [one] */
typedef struct vecstore_scan vecstore_scan;
typedef struct vecstore_scan_options {
  uint32_t struct_size;
  uint32_t without_vectors;   /* 1: vecstore_rows.vectors is not filled */
  uint32_t without_documents; /* 1: vecstore_rows.documents is not filled */
  uint32_t reserved;
  vecstore_cancel* cancel; /* or NULL; outlives the scan */
} vecstore_scan_options;
/* What a scan has brought: of the library, valid until the next call with the scan. */
typedef struct vecstore_rows {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t count;           /* 0: there are no more */
  const uint64_t* rows;     /* [count] ascending */
  vecstore_keys keys;       /* of `count` rows */
  vecstore_vectors vectors; /* data NULL where they were not asked for */
  vecstore_texts documents; /* count 0 where they were not asked for */
} vecstore_rows;
/* [any][io] options: may be NULL. On error *out is NULL. Errors: IO, CORRUPT, MEMORY_BUDGET. */
VECSTORE_CHECKED int32_t vecstore_scan_open(vecstore_store* store, const vecstore_scan_options* options,
                                            vecstore_scan** out, vecstore_error* error);
/* [io] The next rows, at most rows_max. Errors: INVALID_ARGUMENT (rows_max is 0); IO, CORRUPT, MEMORY_BUDGET
 * and CANCELLED, after which every further call returns the same. */
VECSTORE_CHECKED int32_t vecstore_scan_next(vecstore_scan* scan, uint64_t rows_max, vecstore_rows* rows,
                                            vecstore_error* error);
VECSTORE_API void vecstore_scan_free(vecstore_scan* scan);

/* ---------------------------------------------------------------------------------------------------- building */

/* Vectors from the first that is set: a file, a function, memory. */
typedef struct vecstore_source {
  uint32_t struct_size;
  uint32_t reserved;
  const char* path; /* fbin f16bin u8bin i8bin fvecs bvecs npy */
  /* Rows [first, first + count), contiguous, into `out`. rows, dim and dtype are those of `vectors`. From any thread,
   * one call at a time, any range. Not 0: the build ends with that code, where it is one, else with VECSTORE_IO. */
  int32_t (*read)(void* context, uint64_t first, uint64_t count, void* out);
  void* context;
  vecstore_vectors vectors;
  /* Keys and documents: files of a line a row, or from memory; neither: rows are known by their number. */
  const char* keys_path;
  const char* documents_path;
  const vecstore_keys* keys;       /* as many as rows, unique */
  const vecstore_texts* documents; /* as many as rows */
} vecstore_source;

enum { VECSTORE_CODEC_AUTO = 0, VECSTORE_CODEC_OPQ = 1, VECSTORE_CODEC_PQ = 2, VECSTORE_CODEC_RABITQ = 3 };

typedef struct vecstore_build_options {
  uint32_t struct_size;
  uint32_t metric;
  uint64_t ram_bytes;        /* bound of the build's memory; 0: unbounded */
  uint64_t search_ram_bytes; /* what one searching thread takes must fit; 0: chosen by dimension */
  uint32_t codec;
  uint32_t code_bytes;  /* 0: from search_ram_bytes */
  uint32_t vector_bits; /* 8, 16 or 32, in which pages keep a value; 0: the least that ranks as the vectors do */
  uint32_t page_bytes;  /* 4096, 8192 or 16384; 0: chosen */
  uint32_t max_degree;  /* R; 0: by dimension */
  uint32_t build_list;  /* L of the construction; 0: default */
  float alpha;          /* 1 to 4; 0: 1.2 */
  uint32_t threads;     /* 0: all processors */
  uint64_t seed;        /* 0: 1 */
  uint32_t overwrite;   /* 1: replaces a store that is there */
  uint32_t without_calibration;               /* 1: searches then use defaults */
  const vecstore_source* calibration_queries; /* held-out queries, without keys and documents; NULL: rows serve */
  const vecstore_hooks* hooks;
} vecstore_build_options;

/* [io] Builds a store of `vectors` in the directory `path`. options: may be NULL. Where it fails nothing is left of it.
 * Errors: EXISTS (a store is there; a key appears twice, with its row or line), INVALID_INPUT, INVALID_ARGUMENT,
 * MEMORY_BUDGET with the least that would do, NO_SPACE, PERMISSION, BUSY, IO, CANCELLED, and those of source->read().
 */
VECSTORE_CHECKED int32_t vecstore_build(const char* path, const vecstore_source* source,
                                        const vecstore_build_options* options, vecstore_error* error);

typedef struct vecstore_prediction {
  uint32_t struct_size;
  uint32_t page_bytes;
  uint64_t memory_peak_bytes;
  uint64_t disk_bytes;
  uint32_t code_bytes;
  uint32_t max_degree;
} vecstore_prediction;
/* [io] What such a build would take. Errors: as of vecstore_build(), before anything is written. */
VECSTORE_CHECKED int32_t vecstore_predict_build(const vecstore_source* source, const vecstore_build_options* options,
                                                vecstore_prediction* prediction, vecstore_error* error);

/* -------------------------------------------------------------------------------------------------- upkeep */

/* [any][io] Keeps what the store holds now in snapshots/<name> of its directory, which opens for reading. copy: 1 where
 * the file system takes no second names of files. cancel: may be NULL. Errors, which leave no snapshot: EXISTS,
 * INVALID_ARGUMENT (the name), UNSUPPORTED (no second names), NO_SPACE, IO, MEMORY_BUDGET, PERMISSION, CLOSED,
 * CANCELLED. */
VECSTORE_CHECKED int32_t vecstore_snapshot(vecstore_store* store, const char* name, uint32_t copy,
                                           vecstore_cancel* cancel, vecstore_error* error);
/* [io] names: those of the store in the directory `path`. Errors: NOT_FOUND, INVALID_INPUT, PERMISSION, IO. */
VECSTORE_CHECKED int32_t vecstore_snapshots(const char* path, vecstore_bytes* names, vecstore_error* error);
/* [io] Errors: NOT_FOUND, INVALID_ARGUMENT (the name), PERMISSION, IO. */
VECSTORE_CHECKED int32_t vecstore_remove_snapshot(const char* path, const char* name, vecstore_error* error);
/* [io] The content of the store in `from`, or of a snapshot, becomes a store of its own in `to`, and is verified.
 * since: directory of an older copy, with which files are shared that are the same; NULL: none. Errors, which leave
 * nothing in `to`: EXISTS, CORRUPT, NOT_FOUND, NEWER_FORMAT, NO_SPACE, PERMISSION, BUSY, IO, INVALID_INPUT, CANCELLED.
 */
VECSTORE_CHECKED int32_t vecstore_copy(const char* from, const char* to, const char* since, const vecstore_hooks* hooks,
                                       vecstore_error* error);
/* [io] Makes a store in `to` of all that can still be read of the damaged one in `path`. rows: of what was made; may be
 * NULL. Errors: EXISTS, CORRUPT (no manifest is whole), NEWER_FORMAT, NO_SPACE, PERMISSION, BUSY, IO, CANCELLED. */
VECSTORE_CHECKED int32_t vecstore_salvage(const char* path, const char* to, vecstore_cancel* cancel, uint64_t* rows,
                                          vecstore_error* error);
/* [any][io] deep: 1 reads and checks every byte and whether every row can be reached. findings: a line each, at most
 * 100; may be NULL. Errors: CORRUPT (something is damaged; error->message is the first finding), IO, CANCELLED. */
VECSTORE_CHECKED int32_t vecstore_verify(vecstore_store* store, uint32_t deep, vecstore_bytes* findings,
                                         const vecstore_hooks* hooks, vecstore_error* error);
/* [any][io] Vectors as they were put, keys and documents a line each, in one order. documents_path: NULL: not wanted.
 * Errors: EXISTS (without overwrite), UNSUPPORTED (the ending fits another dtype), INVALID_INPUT (a newline), NOT_FOUND
 * (no rows), NO_SPACE, PERMISSION, IO, CORRUPT, CANCELLED. */
VECSTORE_CHECKED int32_t vecstore_export(vecstore_store* store, const char* vectors_path, const char* keys_path,
                                         const char* documents_path, uint32_t overwrite, const vecstore_hooks* hooks,
                                         vecstore_error* error);

/* ------------------------------------------------------------------------------------------------- information */

typedef struct vecstore_stats {
  uint32_t struct_size;
  uint32_t dim; /* 0: not known yet */
  uint32_t dtype, metric, keys;
  uint32_t is_merging;
  uint64_t rows;         /* live */
  uint64_t delta_rows;   /* of these: not merged yet */
  uint64_t deleted_rows; /* of the graph that are gone, still on disk */
  uint64_t delta_bytes;
  uint64_t log_bytes;
  uint64_t disk_bytes; /* of the graph and what belongs to it */
  uint64_t last_lsn, durable_lsn;
  uint64_t merges; /* since it was opened */
  uint64_t ram_budget_bytes, ram_used_bytes, ram_peak_bytes;
  uint64_t pages, pages_cached;
} vecstore_stats;
/* [any] Errors: INVALID_ARGUMENT, FORKED. */
VECSTORE_CHECKED int32_t vecstore_get_stats(vecstore_store* store, vecstore_stats* stats, vecstore_error* error);
/* [any] One JSON object: what the store is, its calibration among it. Errors: FORKED, MEMORY_BUDGET. */
VECSTORE_CHECKED int32_t vecstore_info_json(vecstore_store* store, vecstore_bytes* json, vecstore_error* error);
/* [any] What calls with this handle did, in the text format of Prometheus. Errors: FORKED, MEMORY_BUDGET. */
VECSTORE_CHECKED int32_t vecstore_metrics_text(vecstore_store* store, vecstore_bytes* text, vecstore_error* error);

#ifdef __cplusplus
}
#endif
#endif /* VECSTORE_H */
