/* The requests that `bench/rules.rs` writes, through libmodsecurity, phases 1 and 2: one line per
 * request, microseconds of the median. Built and run by `bench/modsecurity/run`.
 *
 * A request file: a line each with method, target, content type or `-`, and the body's length;
 * then the body and a line end. The header fields are the same for all. */
#include <modsecurity/modsecurity.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 64, ROUNDS = 15 };

struct request {
    char method[16], target[1024], type[128];
    unsigned char *body;
    size_t length;
};

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void field(Transaction *transaction, const char *name, const char *value) {
    msc_add_request_header(transaction, (const unsigned char *)name, (const unsigned char *)value);
}

static void inspect(ModSecurity *engine, RulesSet *rules, const struct request *request) {
    char length[32];
    Transaction *transaction = msc_new_transaction(engine, rules, NULL);
    msc_process_connection(transaction, "198.51.100.7", 51312, "192.0.2.1", 443);
    msc_process_uri(transaction, request->target, request->method, "1.1");
    field(transaction, "Host", "api.example.com");
    field(transaction, "User-Agent", "shop-mobile/4.12.0 (Android 14; Pixel 8)");
    field(transaction, "Accept", "application/json");
    field(transaction, "Accept-Encoding", "gzip, deflate, br");
    field(transaction, "X-Request-Id", "0b1f6f6e-8f0e-4c8f-9a53-7d3f5a2f8c11");
    field(transaction, "Authorization",
          "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1LTE3In0.c2lnbmF0dXJl");
    if (strcmp(request->type, "-") != 0) {
        snprintf(length, sizeof length, "%zu", request->length);
        field(transaction, "Content-Type", request->type);
        field(transaction, "Content-Length", length);
    }
    msc_process_request_headers(transaction);
    if (request->length > 0) {
        msc_append_request_body(transaction, request->body, request->length);
    }
    msc_process_request_body(transaction);
    msc_transaction_cleanup(transaction);
}

static int read_requests(const char *path, struct request *requests) {
    FILE *file = fopen(path, "rb");
    int count = 0;
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    while (count < MOST) {
        struct request *each = &requests[count];
        if (fscanf(file, "%15s %1023s %127s %zu", each->method, each->target, each->type,
                   &each->length) != 4) {
            break;
        }
        fgetc(file);
        each->body = malloc(each->length + 1);
        if (each->body == NULL || fread(each->body, 1, each->length, file) != each->length) {
            fprintf(stderr, "%s is cut off\n", path);
            exit(1);
        }
        fgetc(file);
        count++;
    }
    fclose(file);
    return count;
}

int main(int arguments, char **argument) {
    static struct request requests[MOST];
    const char *error = NULL;
    if (arguments != 3) {
        fprintf(stderr, "usage: run RULES REQUESTS\n");
        return 2;
    }
    ModSecurity *engine = msc_init();
    RulesSet *rules = msc_create_rules_set();
    double started = now();
    if (msc_rules_add_file(rules, argument[1], &error) < 0) {
        fprintf(stderr, "the rules do not load: %s\n", error);
        return 1;
    }
    fprintf(stderr, "libmodsecurity loads the rules in %.0f ms\n", (now() - started) / 1000);
    int count = read_requests(argument[2], requests);
    /* A line on standard input asks for one round, so that two programs can take turns. */
    while (getchar() != EOF) {
        for (int at = 0; at < count; at++) {
            double times[ROUNDS];
            for (int round = 0; round < ROUNDS; round++) {
                double begun = now();
                inspect(engine, rules, &requests[at]);
                times[round] = now() - begun;
            }
            qsort(times, ROUNDS, sizeof *times, compare);
            printf("%.2f%c", times[ROUNDS / 2], at + 1 < count ? ' ' : '\n');
        }
        fflush(stdout);
    }
    return 0;
}
