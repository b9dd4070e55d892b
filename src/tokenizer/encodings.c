/*
 * encodings.c - what a file of ranks does not say: how texts are cut, and the special tokens.
 *
 * OpenAI's encodings are those of tiktoken (openai_public.py); Llama 3's and Qwen's stand in the
 * code that was published with these models.
 */
#include "tokenizer/encodings.h"

#include <stdio.h>
#include <string.h>

#define END_TEXT "<|endoftext|>"
#define RESERVED "<|reserved_special_token_%d|>"
#define END                                                                                        \
  { NULL, 0, 0, 0 }
#define ONE(text, id)                                                                              \
  { text, id, 0, 1 }

static const limn_encoding_special gpt2[] = {ONE(END_TEXT, 50256), END};
static const limn_encoding_special p50k_edit[] = {
    ONE(END_TEXT, 50256), ONE("<|fim_prefix|>", 50281), ONE("<|fim_middle|>", 50282),
    ONE("<|fim_suffix|>", 50283), END};
static const limn_encoding_special cl100k[] = {
    ONE(END_TEXT, 100257),         ONE("<|fim_prefix|>", 100258),  ONE("<|fim_middle|>", 100259),
    ONE("<|fim_suffix|>", 100260), ONE("<|endofprompt|>", 100276), END};
static const limn_encoding_special o200k[] = {ONE(END_TEXT, 199999), ONE("<|endofprompt|>", 200018),
                                              END};
/* 200018 has two texts; the first is the one it is decoded to. */
static const limn_encoding_special harmony[] = {ONE("<|startoftext|>", 199998),
                                                ONE(END_TEXT, 199999),
                                                {"<|reserved_%d|>", 200000, 200000, 2},
                                                ONE("<|return|>", 200002),
                                                ONE("<|constrain|>", 200003),
                                                ONE("<|reserved_200004|>", 200004),
                                                ONE("<|channel|>", 200005),
                                                ONE("<|start|>", 200006),
                                                ONE("<|end|>", 200007),
                                                ONE("<|message|>", 200008),
                                                {"<|reserved_%d|>", 200009, 200009, 3},
                                                ONE("<|call|>", 200012),
                                                ONE("<|endofprompt|>", 200018),
                                                {"<|reserved_%d|>", 200013, 200013, 1075},
                                                END};
static const limn_encoding_special llama3[] = {
    ONE("<|begin_of_text|>", 128000),   ONE("<|end_of_text|>", 128001),   {RESERVED, 128002, 0, 4},
    ONE("<|start_header_id|>", 128006), ONE("<|end_header_id|>", 128007), {RESERVED, 128008, 4, 1},
    ONE("<|eot_id|>", 128009),          {RESERVED, 128010, 5, 246},       END};
static const limn_encoding_special llama31[] = {
    ONE("<|begin_of_text|>", 128000), ONE("<|end_of_text|>", 128001),
    {RESERVED, 128002, 0, 2},         ONE("<|finetune_right_pad_id|>", 128004),
    ONE("<|step_id|>", 128005),       ONE("<|start_header_id|>", 128006),
    ONE("<|end_header_id|>", 128007), ONE("<|eom_id|>", 128008),
    ONE("<|eot_id|>", 128009),        ONE("<|python_tag|>", 128010),
    {RESERVED, 128011, 2, 245},       END};
static const limn_encoding_special qwen[] = {ONE(END_TEXT, 151643),
                                             ONE("<|im_start|>", 151644),
                                             ONE("<|im_end|>", 151645),
                                             {"<|extra_%d|>", 151646, 0, 205},
                                             END};

static const limn_encoding encodings[] = {
    {"gpt2", LIMN_PATTERN_GPT2, false, 50256, gpt2},
    {"r50k_base", LIMN_PATTERN_GPT2, false, 50256, gpt2},
    {"p50k_base", LIMN_PATTERN_GPT2, false, 50280, gpt2},
    {"p50k_edit", LIMN_PATTERN_GPT2, false, 50280, p50k_edit},
    {"cl100k_base", LIMN_PATTERN_CL100K, false, 100256, cl100k},
    {"o200k_base", LIMN_PATTERN_O200K, false, 199998, o200k},
    {"o200k_harmony", LIMN_PATTERN_O200K, false, 199998, harmony},
    {"llama3", LIMN_PATTERN_LLAMA3, false, 128000, llama3},
    {"llama3.1", LIMN_PATTERN_LLAMA3, false, 128000, llama31},
    {"qwen", LIMN_PATTERN_QWEN2, true, 151643, qwen},
};

const limn_encoding *limn_encoding_find(const char *name, const char *path) {
  const char *slash = strrchr(path, '/');
  if (!name) name = slash ? slash + 1 : path;
  size_t n = strlen(name);
  if (n > 9 && strcmp(name + n - 9, ".tiktoken") == 0) n -= 9;
  for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
    const char *known = encodings[i].name;
    if (strlen(known) == n && memcmp(known, name, n) == 0) return &encodings[i];
  }
  return NULL;
}

void limn_encoding_names(char *out, size_t size) {
  size_t used = 0;
  out[0] = '\0';
  for (size_t i = 0; i < sizeof encodings / sizeof *encodings && used < size; i++)
    used += (size_t)snprintf(out + used, size - used, i ? ", %s" : "%s", encodings[i].name);
}
