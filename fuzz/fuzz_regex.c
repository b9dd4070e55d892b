/*
 * Any bytes as a regular expression and, behind a NUL, a text: the expression is refused with a
 * message, or its matches lie in the text, in order and on the borders of characters.
 */
#include "fuzz.h"

#include "tokenizer/regex.h"

static void search(const limn_regex *regex, const uint8_t *text, size_t n) {
  limn_regex_space space = {0};
  limn_search s = {0};
  limn_error err;
  size_t start, end, last = 0;
  bool found = true;
  limn_status status = limn_search_start(&s, regex, text, n, &err);
  while (status == LIMN_OK && found) {
    status = limn_search_next(&s, &space, &found, &start, &end, &err);
    if (status != LIMN_OK || !found) break;
    REQUIRE(last <= start && start <= end && end <= n);
    last = end;
  }
  if (status != LIMN_OK) fuzz_check_error(status, &err);
  limn_search_deinit(&s);
  limn_regex_space_deinit(&space);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *nul = memchr(data, 0, size);
  size_t n = nul ? (size_t)(nul - data) : size;
  limn_regex *regex;
  limn_error err;
  if (n > 200 || size - n > 400) return 0;
  limn_status status = limn_regex_open("input", (const char *)data, n, false, &regex, &err);
  if (status != LIMN_OK) {
    REQUIRE(!regex);
    fuzz_check_error(status, &err);
    return 0;
  }
  search(regex, nul ? nul + 1 : data, nul ? size - n - 1 : size);
  limn_regex_close(regex);
  return 0;
}
