/*
 * json_file.h - inside the library: JSON that others wrote, read with suspicion.
 *
 * The tree is jansson's: borrow with json_object_get & co, release with json_decref. The functions
 * below add what jansson leaves out: messages that name the file, the key, what was found and what
 * was wanted. `where` is the text that such a message opens with: the file's path.
 */
#ifndef LIMN_SRC_FORMATS_JSON_FILE_H
#define LIMN_SRC_FORMATS_JSON_FILE_H

#include <jansson.h>
#include <limn/base.h>

/*
 * Parses n bytes that hold one object or array: strict JSON in UTF-8, no key twice in an object, no
 * NUL in strings, at most 2048 levels deep. FORMAT (with line, column and, `start` added to it, the
 * byte offset) or MEMORY. *root is the caller's, to be given to json_decref.
 */
limn_status limn_json_parse(const char *where, const void *bytes, size_t n, uint64_t start,
                            json_t **root, limn_error *err);

/*
 * The same where a string that is a value may have a NUL: strlen does not tell its length, and
 * limn_json_need_string not that there is more; json_string_length does.
 */
limn_status limn_json_parse_with_nul(const char *where, const void *bytes, size_t n, json_t **root,
                                     limn_error *err);

/*
 * limn_json_parse of a whole file of at most `limit` bytes that holds an object. NOT_FOUND, IO,
 * RANGE (larger than `limit`), FORMAT, MEMORY.
 */
limn_status limn_json_file_read(const char *path, size_t limit, json_t **root, limn_error *err);

/* "an object", "a string", "null" ...; "nothing" for NULL. Static storage. */
const char *limn_json_kind(const json_t *value);

/*
 * The value of a key that must be there. NOT_FOUND when it is not (null counts as not there),
 * FORMAT when it is of another kind, RANGE for a number outside [least, most]. Strings, objects and
 * arrays are borrowed from `object`.
 */
limn_status limn_json_need_int(const json_t *object, const char *where, const char *key,
                               int64_t least, int64_t most, int64_t *out, limn_error *err);
limn_status limn_json_need_double(const json_t *object, const char *where, const char *key,
                                  double *out, limn_error *err);
limn_status limn_json_need_bool(const json_t *object, const char *where, const char *key, bool *out,
                                limn_error *err);
limn_status limn_json_need_string(const json_t *object, const char *where, const char *key,
                                  const char **out, limn_error *err);
limn_status limn_json_need_object(const json_t *object, const char *where, const char *key,
                                  const json_t **out, limn_error *err);
limn_status limn_json_need_array(const json_t *object, const char *where, const char *key,
                                 const json_t **out, limn_error *err);

/* Whether the key is there and is not null: ask first where a key may be left out. */
bool limn_json_has(const json_t *object, const char *key);

#endif
