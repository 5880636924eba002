// Asks stock llama.cpp for exact figures: logits of given tokens, token ids of given strings, greedy continuations, vectors of texts.
// Test-time only. Compiled by Tests/Interop/oracle/build against the headers and libraries that scripts/stock-peer laid out,
// and run among them by scripts/stock.
//
//   oracle logits   MODEL TOKENS OUT [flash=0|1] [batch=N] [threads=N] [ctx=N]
//       TOKENS is a file of little-endian int32; OUT gets little-endian float32, a row of n_vocab per token.
//   oracle greedy   MODEL PROMPTS OUT n=64 [flash=…] [threads=…]
//       PROMPTS is a file of strings (below). OUT gets one line per prompt: prompt ids, a tab, generated ids, a tab, for
//       each generated token its bytes in hexadecimal, separated by commas. Stops before an end-of-text token.
//   oracle tokenize MODEL STRINGS OUT [special=0|1] [bos=0|1]
//       STRINGS is a file of length-prefixed strings (uint32, little-endian, then the bytes). OUT gets one line per
//       string: its ids, separated by commas.
//   oracle embed    MODEL STRINGS OUT [flash=0|1] [batch=N] [threads=N]
//       OUT gets little-endian float32, the vector of each string, pooled as the model's file says and brought to length 1.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ggml-backend.h"
#include "llama.h"

static void fail(const char *what, const char *name) {
    fprintf(stderr, "oracle: error: %s: %s\n", what, name);
    exit(1);
}

static void quiet(enum ggml_log_level level, const char *text, void *unused) {
    (void)unused;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static unsigned char *read_whole(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail("cannot open", path);
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    unsigned char *bytes = malloc((size_t)length + 1);
    if (!bytes || fread(bytes, 1, (size_t)length, file) != (size_t)length) fail("cannot read", path);
    fclose(file);
    *size = (size_t)length;
    return bytes;
}

// An argument of the form name=value, or the value that stands for its absence.
static int option(int argc, char **argv, const char *name, int otherwise) {
    size_t length = strlen(name);
    for (int i = 5; i < argc; i++)
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') return atoi(argv[i] + length + 1);
    return otherwise;
}

static struct llama_model *load(const char *path, int vocab_only) {
    llama_log_set(quiet, NULL);
    ggml_backend_load_all();
    llama_backend_init();
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = vocab_only;
    params.n_gpu_layers = 0;
    struct llama_model *model = llama_model_load_from_file(path, params);
    if (!model) fail("stock cannot load", path);
    return model;
}

static struct llama_context *start(struct llama_model *model, int argc, char **argv, int tokens) {
    struct llama_context_params params = llama_context_default_params();
    int batch = option(argc, argv, "batch", 512);
    params.n_ctx = (uint32_t)option(argc, argv, "ctx", tokens < 256 ? 256 : tokens);
    params.n_batch = (uint32_t)batch;
    params.n_ubatch = (uint32_t)batch;
    params.n_threads = option(argc, argv, "threads", 2);
    params.n_threads_batch = params.n_threads;
    params.flash_attn_type = option(argc, argv, "flash", 1) ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    struct llama_context *context = llama_init_from_model(model, params);
    if (!context) fail("stock cannot make a context", argv[2]);
    return context;
}

static void decode(struct llama_context *context, const llama_token *tokens, int count, int at, int last_only) {
    struct llama_batch batch = llama_batch_init(count, 0, 1);
    batch.n_tokens = count;
    for (int i = 0; i < count; i++) {
        batch.token[i] = tokens[i];
        batch.pos[i] = at + i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = !last_only || i == count - 1;
    }
    if (llama_decode(context, batch) != 0) fail("stock cannot decode", "llama_decode");
    llama_batch_free(batch);
}

static void logits(int argc, char **argv) {
    size_t size;
    const llama_token *tokens = (const llama_token *)read_whole(argv[3], &size);
    int count = (int)(size / sizeof *tokens);
    struct llama_model *model = load(argv[2], 0);
    struct llama_context *context = start(model, argc, argv, count);
    size_t vocabulary = (size_t)llama_vocab_n_tokens(llama_model_get_vocab(model));
    FILE *out = fopen(argv[4], "wb");
    if (!out) fail("cannot write", argv[4]);
    int batch = option(argc, argv, "batch", 512);
    for (int at = 0; at < count; at += batch) {
        int here = count - at < batch ? count - at : batch;
        decode(context, tokens + at, here, at, 0);
        for (int i = 0; i < here; i++)
            if (fwrite(llama_get_logits_ith(context, i), sizeof(float), vocabulary, out) != vocabulary) fail("cannot write", argv[4]);
    }
    if (fclose(out) != 0) fail("cannot write", argv[4]);
}

static int tokenize(const struct llama_vocab *vocab, const unsigned char *text, int length, int bos, int special, llama_token **into) {
    int room = length + 8;
    llama_token *tokens = malloc((size_t)room * sizeof *tokens);
    int count = llama_tokenize(vocab, (const char *)text, length, tokens, room, bos, special);
    if (count < 0) {
        room = -count;
        tokens = realloc(tokens, (size_t)room * sizeof *tokens);
        count = llama_tokenize(vocab, (const char *)text, length, tokens, room, bos, special);
    }
    *into = tokens;
    return count;
}

static void write_ids(FILE *out, const llama_token *tokens, int count) {
    for (int i = 0; i < count; i++) fprintf(out, i ? ",%d" : "%d", tokens[i]);
}

// The next string of a length-prefixed file, or NULL at its end.
static const unsigned char *next_string(const unsigned char **at, const unsigned char *end, int *length) {
    if (end - *at < 4) return NULL;
    const unsigned char *bytes = *at;
    size_t size = (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
    if ((size_t)(end - bytes - 4) < size) fail("a string goes past the end of", "the strings' file");
    *length = (int)size;
    *at = bytes + 4 + size;
    return bytes + 4;
}

static void tokenize_all(int argc, char **argv) {
    size_t size;
    const unsigned char *at = read_whole(argv[3], &size), *end = at + size, *text;
    struct llama_model *model = load(argv[2], 1);
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    FILE *out = fopen(argv[4], "wb");
    if (!out) fail("cannot write", argv[4]);
    int length;
    while ((text = next_string(&at, end, &length))) {
        llama_token *tokens;
        int count = tokenize(vocab, text, length, option(argc, argv, "bos", 0), option(argc, argv, "special", 0), &tokens);
        write_ids(out, tokens, count);
        fputc('\n', out);
        free(tokens);
    }
    if (fclose(out) != 0) fail("cannot write", argv[4]);
}

static void greedy(int argc, char **argv) {
    size_t size;
    const unsigned char *at = read_whole(argv[3], &size), *end = at + size, *text;
    struct llama_model *model = load(argv[2], 0);
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    int vocabulary = llama_vocab_n_tokens(vocab), wanted = option(argc, argv, "n", 64), length;
    FILE *out = fopen(argv[4], "wb");
    if (!out) fail("cannot write", argv[4]);
    while ((text = next_string(&at, end, &length))) {
        llama_token *prompt;
        int count = tokenize(vocab, text, length, 1, 1, &prompt);
        struct llama_context *context = start(model, argc, argv, count + wanted);
        decode(context, prompt, count, 0, 1);
        write_ids(out, prompt, count);
        fputc('\t', out);
        llama_token *answer = malloc((size_t)wanted * sizeof *answer);
        int made = 0;
        while (made < wanted) {
            const float *row = llama_get_logits_ith(context, -1);
            llama_token best = 0;
            for (int i = 1; i < vocabulary; i++)
                if (row[i] > row[best]) best = i;
            if (llama_vocab_is_eog(vocab, best)) break;
            answer[made++] = best;
            if (made < wanted) decode(context, &best, 1, count + made - 1, 1);
        }
        write_ids(out, answer, made);
        fputc('\t', out);
        for (int i = 0; i < made; i++) {
            char piece[256];
            int bytes = llama_token_to_piece(vocab, answer[i], piece, sizeof piece, 0, 1);
            if (i) fputc(',', out);
            for (int j = 0; j < bytes; j++) fprintf(out, "%02x", (unsigned char)piece[j]);
        }
        fputc('\n', out);
        free(answer);
        llama_free(context);
        free(prompt);
    }
    if (fclose(out) != 0) fail("cannot write", argv[4]);
}

static void embed(int argc, char **argv) {
    size_t size;
    const unsigned char *at = read_whole(argv[3], &size), *end = at + size, *text;
    struct llama_model *model = load(argv[2], 0);
    int width = llama_model_n_embd(model), length;
    struct llama_context *context = start(model, argc, argv, 512);
    llama_set_embeddings(context, 1);
    FILE *out = fopen(argv[4], "wb");
    if (!out) fail("cannot write", argv[4]);
    while ((text = next_string(&at, end, &length))) {
        llama_token *tokens;
        int count = tokenize(llama_model_get_vocab(model), text, length, 1, 0, &tokens);
        struct llama_batch batch = llama_batch_init(count, 0, 1);
        batch.n_tokens = count;
        for (int i = 0; i < count; i++) {
            batch.token[i] = tokens[i];
            batch.pos[i] = i;
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = 0;
            batch.logits[i] = 1;
        }
        if (llama_encode(context, batch) != 0) fail("stock cannot encode", "llama_encode");
        const float *vector = llama_get_embeddings_seq(context, 0);
        if (!vector) fail("stock pools nothing of", argv[2]);
        double square = 0;
        for (int i = 0; i < width; i++) square += (double)vector[i] * vector[i];
        for (int i = 0; i < width; i++) {
            float value = square > 0 ? (float)(vector[i] / sqrt(square)) : 0;
            if (fwrite(&value, sizeof value, 1, out) != 1) fail("cannot write", argv[4]);
        }
        llama_batch_free(batch);
        free(tokens);
    }
    if (fclose(out) != 0) fail("cannot write", argv[4]);
}

int main(int argc, char **argv) {
    if (argc < 5) fail("usage", "oracle logits|greedy|tokenize|embed MODEL IN OUT [name=value…]");
    if (strcmp(argv[1], "logits") == 0) logits(argc, argv);
    else if (strcmp(argv[1], "greedy") == 0) greedy(argc, argv);
    else if (strcmp(argv[1], "tokenize") == 0) tokenize_all(argc, argv);
    else if (strcmp(argv[1], "embed") == 0) embed(argc, argv);
    else fail("unknown command", argv[1]);
    return 0;
}
