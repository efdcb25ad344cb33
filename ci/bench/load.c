/* An HTTP/1.1 load client: keep-alive connections, one epoll loop, bodies thrown away.
 *
 *   load --port P [--host A] [--connections N] [--requests M | --seconds S] [--method GET|HEAD|ALTERNATE]
 *        [--header "Name: value"]... [--rate BYTES_PER_SECOND] [--buffer KIB] [--discard] [--timeout S]
 *        PATH[=LENGTH]...
 *
 * The paths are asked for in turn. With =LENGTH each answer's body (for HEAD: its Content-Length) must have that
 * many bytes. --seconds stops in mid-answer, --requests ends with the last answer. --rate reads slowly on every
 * connection. --discard lets the kernel drop bodies uncopied (MSG_TRUNC). The result is one JSON object on stdout.
 * All connections are open before the clock starts: neither times nor rates contain the connecting.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_HEADERS = 16, MAX_STATUS = 600, HEAD_LIMIT = 16384, TICK_MS = 50, SLOW_RECEIVE_BUFFER = 65536 };

typedef enum { HEAD_PART, FIXED_BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, UNTIL_CLOSE, IDLE } State;

typedef struct {
    char *path;
    int64_t length; /* expected bytes, -1: anything */
    char *request[2]; /* GET, HEAD */
    size_t request_length[2];
} Target;

typedef struct {
    int fd;
    State state;
    int target;
    bool head; /* the method was HEAD */
    bool close_after;
    int status;
    int64_t declared, remaining, body, chunk;
    size_t used; /* of line */
    char line[HEAD_LIMIT];
    double started, first;
} Connection;

typedef struct {
    double *values;
    size_t count, room;
} Series;

static struct {
    const char *host, *method;
    int port, connections;
    int64_t requests, rate;
    double seconds, timeout;
    size_t buffer;
    bool discard;
    const char *headers[MAX_HEADERS];
    int header_count;
} options = {.host = "127.0.0.1", .method = "GET", .connections = 1, .timeout = 60, .buffer = 1024 * 1024};

static Target *targets;
static int target_count;
static Connection *connections;
static char *buffer;
static int poller;
static int64_t issued, finished, bytes, statuses[MAX_STATUS];
static int64_t wrong_length, short_bodies, malformed, reconnects;
static Series latency, first_byte;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void record(Series *series, double value) {
    if (series->count == series->room) {
        series->room = series->room ? series->room * 2 : 4096;
        series->values = realloc(series->values, series->room * sizeof(double));
        if (!series->values) die("out of memory");
    }
    series->values[series->count++] = value;
}

/* ---------------------------------------------------------------- connections */

static void open_connection(Connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1) die("not an IPv4 address: %s", options.host);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    int one = 1, small = SLOW_RECEIVE_BUFFER;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* Otherwise the kernel would take in megabytes that a slow reader has not read yet. */
    if (options.rate) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect: %s", strerror(errno));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (!options.rate && epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
    c->state = IDLE;
}

static void reopen(Connection *c) {
    close(c->fd);
    reconnects++;
    open_connection(c);
}

static bool all_issued(void) { return options.requests && issued >= options.requests; }

static void send_request(Connection *c) {
    if (all_issued()) {
        c->state = IDLE;
        return;
    }
    int64_t turn = issued / target_count;
    c->target = (int)(issued % target_count);
    c->head = !strcmp(options.method, "HEAD") || (!strcmp(options.method, "ALTERNATE") && ((issued ^ turn) & 1));
    issued++;
    c->state = HEAD_PART;
    c->used = 0;
    c->body = 0;
    c->status = 0;
    c->first = 0;
    c->started = now();
    Target *t = &targets[c->target];
    size_t length = t->request_length[c->head];
    ssize_t sent = send(c->fd, t->request[c->head], length, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) { /* closed while idle: allowed, ask again */
        reopen(c);
        c->state = HEAD_PART;
        sent = send(c->fd, t->request[c->head], length, MSG_NOSIGNAL);
    }
    if (sent != (ssize_t)length) die("send: %s", sent < 0 ? strerror(errno) : "request did not fit");
}

static void end_answer(Connection *c, bool complete) {
    double end = now();
    Target *t = &targets[c->target];
    finished++;
    statuses[c->status > 0 && c->status < MAX_STATUS ? c->status : 0]++;
    record(&latency, end - c->started);
    record(&first_byte, (c->first ? c->first : end) - c->started);
    if (!complete)
        short_bodies++;
    else if (t->length >= 0 && t->length != (c->head ? c->declared : c->body))
        wrong_length++;
    if (!complete || c->close_after) {
        if (all_issued()) {
            c->state = IDLE;
            return;
        }
        reopen(c);
    }
    send_request(c);
}

/* ---------------------------------------------------------------- answers */

static bool bodiless(const Connection *c) {
    return c->head || c->status == 204 || c->status == 304 || (c->declared == 0);
}

static void read_field(Connection *c, char *line, bool *chunked) {
    char *value = strchr(line, ':');
    if (!value) return;
    *value++ = 0;
    value += strspn(value, " \t");
    if (!strcasecmp(line, "content-length"))
        c->declared = atoll(value);
    else if (!strcasecmp(line, "transfer-encoding"))
        *chunked = strcasestr(value, "chunked") != NULL;
    else if (!strcasecmp(line, "connection"))
        c->close_after = strcasestr(value, "close") != NULL;
}

/* c->line holds the whole head, ended by a zero. */
static void read_head(Connection *c) {
    bool chunked = false;
    char *rest = c->line, *line = strsep(&rest, "\n");
    c->declared = -1;
    c->close_after = false;
    if (sscanf(line, "HTTP/1.%*d %d", &c->status) != 1) {
        malformed++;
        c->close_after = true;
    }
    while ((line = strsep(&rest, "\n"))) read_field(c, line, &chunked);
    c->remaining = c->declared;
    c->used = 0;
    if (c->status >= 100 && c->status < 200) return; /* an interim answer: the real head follows */
    if (chunked && !c->head)
        c->state = CHUNK_SIZE;
    else if (!bodiless(c))
        c->state = c->declared > 0 ? FIXED_BODY : UNTIL_CLOSE;
}

/* Takes bytes up to and including a line feed; true when the line (without its end) stands in c->line. */
static bool take_line(Connection *c, const char **data, size_t *length) {
    const char *feed = memchr(*data, '\n', *length);
    size_t take = feed ? (size_t)(feed - *data) + 1 : *length;
    if (c->used + take >= HEAD_LIMIT) die("a line of more than %d bytes", HEAD_LIMIT);
    memcpy(c->line + c->used, *data, take);
    c->used += take;
    *data += take;
    *length -= take;
    if (!feed) return false;
    while (c->used && (c->line[c->used - 1] == '\n' || c->line[c->used - 1] == '\r')) c->used--;
    c->line[c->used] = 0;
    c->used = 0;
    return true;
}

/* Takes bytes up to the empty line; true when the head stands in c->line. */
static bool take_head(Connection *c, const char **data, size_t *length) {
    size_t before = c->used, room = HEAD_LIMIT - 1 - c->used, take = *length < room ? *length : room;
    memcpy(c->line + c->used, *data, take);
    size_t from = before >= 3 ? before - 3 : 0;
    char *end = memmem(c->line + from, before + take - from, "\r\n\r\n", 4);
    if (!end) {
        if (take < *length) die("a head of more than %d bytes", HEAD_LIMIT);
        c->used += take;
        *data += take;
        *length -= take;
        return false;
    }
    size_t consumed = (size_t)(end + 4 - c->line) - before;
    *end = 0;
    *data += consumed;
    *length -= consumed;
    return true;
}

static void take_body(Connection *c, int64_t count) {
    if (!c->first && count) c->first = now();
    c->body += count;
    bytes += count;
}

static int64_t least(size_t a, int64_t b) { return (int64_t)a < b ? (int64_t)a : b; }

/* True when the answer has ended. What a peer sends after it is an error: nothing was asked yet. */
static bool consume(Connection *c, const char *data, size_t length) {
    while (length) {
        int64_t count;
        switch (c->state) {
        case HEAD_PART:
            if (!take_head(c, &data, &length)) return false;
            read_head(c);
            if (c->status >= 100 && c->status < 200) break;
            if (c->state == HEAD_PART) {
                if (length) malformed++;
                return true;
            }
            break;
        case FIXED_BODY:
            count = least(length, c->remaining);
            take_body(c, count);
            data += count;
            length -= (size_t)count;
            if (!(c->remaining -= count)) {
                if (length) malformed++;
                return true;
            }
            break;
        case UNTIL_CLOSE:
            take_body(c, (int64_t)length);
            return false;
        case CHUNK_SIZE:
            if (!take_line(c, &data, &length)) return false;
            c->chunk = strtoll(c->line, NULL, 16);
            c->state = c->chunk ? CHUNK_DATA : TRAILER;
            break;
        case CHUNK_DATA:
            count = least(length, c->chunk);
            take_body(c, count);
            data += count;
            length -= (size_t)count;
            if (!(c->chunk -= count)) c->state = CHUNK_END;
            break;
        case CHUNK_END:
            if (!take_line(c, &data, &length)) return false;
            c->state = CHUNK_SIZE;
            break;
        case TRAILER:
            if (!take_line(c, &data, &length)) return false;
            if (!c->line[0]) return true;
            break;
        case IDLE:
            malformed++;
            return false;
        }
    }
    return false;
}

static void at_end_of_stream(Connection *c) {
    if (c->state == IDLE) {
        if (!options.rate) epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
        return;
    }
    c->close_after = true;
    end_answer(c, c->state == UNTIL_CLOSE);
}

/* Reads once, at most `limit` bytes. */
static ssize_t read_some(Connection *c, size_t limit) {
    bool drop = options.discard && c->state == FIXED_BODY;
    size_t room = limit < options.buffer ? limit : options.buffer;
    if (drop) room = (size_t)least(room, c->remaining);
    ssize_t got = recv(c->fd, buffer, room, MSG_DONTWAIT | (drop ? MSG_TRUNC : 0));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (got <= 0) {
        at_end_of_stream(c);
        return 0;
    }
    if (consume(c, buffer, (size_t)got)) end_answer(c, true);
    return got;
}

/* ---------------------------------------------------------------- the run */

static bool ended(double deadline) { return options.requests ? finished >= options.requests : now() >= deadline; }

static void run_fast(double deadline, double limit) {
    struct epoll_event events[256];
    while (!ended(deadline) && now() < limit) {
        int count = epoll_wait(poller, events, 256, TICK_MS);
        for (int i = 0; i < count && !(options.requests && finished >= options.requests); i++)
            read_some(events[i].data.ptr, SIZE_MAX);
    }
}

static void run_slow(double deadline, double limit) {
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    size_t share = (size_t)(options.rate * TICK_MS / 1000);
    if (!share) share = 1;
    while (!ended(deadline) && now() < limit) {
        nanosleep(&tick, NULL);
        for (int i = 0; i < options.connections; i++) {
            size_t left = share;
            for (ssize_t got; left && connections[i].state != IDLE; left -= (size_t)got)
                if (!(got = read_some(&connections[i], left))) break;
        }
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_series(const char *name, Series *s) {
    qsort(s->values, s->count, sizeof(double), ascending);
    double p50 = s->count ? s->values[s->count / 2] : 0, p99 = s->count ? s->values[s->count * 99 / 100] : 0;
    double most = s->count ? s->values[s->count - 1] : 0;
    printf(", \"%s\": {\"p50\": %.4f, \"p99\": %.4f, \"max\": %.4f}", name, p50 * 1e3, p99 * 1e3, most * 1e3);
}

static void print_result(double seconds, bool timed_out) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"requests\": %ld, \"bytes\": %ld, \"seconds\": %.6f, \"requests_per_second\": %.2f, "
           "\"bytes_per_second\": %.0f",
           (long)finished, (long)bytes, seconds, (double)finished / seconds, (double)bytes / seconds);
    print_series("latency_ms", &latency);
    print_series("first_byte_ms", &first_byte);
    printf(", \"statuses\": {");
    const char *comma = "";
    for (int i = 0; i < MAX_STATUS; i++)
        if (statuses[i]) {
            printf("%s\"%d\": %ld", comma, i, (long)statuses[i]);
            comma = ", ";
        }
    printf("}, \"short_bodies\": %ld, \"wrong_lengths\": %ld, \"malformed\": %ld, \"reconnects\": %ld, "
           "\"timed_out\": %s, \"client_cpu_seconds\": %.3f}\n",
           (long)short_bodies, (long)wrong_length, (long)malformed, (long)reconnects, timed_out ? "true" : "false", cpu);
}

/* ---------------------------------------------------------------- what to ask */

static void prepare_target(Target *t, char *argument) {
    static const char *const methods[] = {"GET", "HEAD"};
    char *mark = strrchr(argument, '=');
    t->length = -1;
    if (mark && mark[1] && strspn(mark + 1, "0123456789") == strlen(mark + 1)) {
        *mark = 0;
        t->length = atoll(mark + 1);
    }
    t->path = argument;
    for (int m = 0; m < 2; m++) {
        FILE *text = open_memstream(&t->request[m], &t->request_length[m]);
        if (!text) die("out of memory");
        fprintf(text, "%s %s HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: load\r\n", methods[m], t->path, options.host,
                options.port);
        for (int i = 0; i < options.header_count; i++) fprintf(text, "%s\r\n", options.headers[i]);
        fputs("\r\n", text);
        fclose(text);
    }
}

static void read_options(int count, char **arguments) {
    static const struct option known[] = {
        {"host", 1, 0, 'h'},    {"port", 1, 0, 'p'},   {"connections", 1, 0, 'c'}, {"requests", 1, 0, 'n'},
        {"seconds", 1, 0, 's'}, {"method", 1, 0, 'm'}, {"header", 1, 0, 'H'},      {"rate", 1, 0, 'r'},
        {"buffer", 1, 0, 'b'},  {"discard", 0, 0, 'd'}, {"timeout", 1, 0, 't'},    {0, 0, 0, 0}};
    for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;) switch (option) {
        case 'h': options.host = optarg; break;
        case 'p': options.port = atoi(optarg); break;
        case 'c': options.connections = atoi(optarg); break;
        case 'n': options.requests = atoll(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'm': options.method = optarg; break;
        case 'r': options.rate = atoll(optarg); break;
        case 'b': options.buffer = (size_t)atoll(optarg) * 1024; break;
        case 'd': options.discard = true; break;
        case 't': options.timeout = atof(optarg); break;
        case 'H':
            if (options.header_count == MAX_HEADERS) die("more than %d headers", MAX_HEADERS);
            options.headers[options.header_count++] = optarg;
            break;
        default: exit(2);
        }
    if (!options.port || options.connections < 1 || optind == count) die("need --port and at least one path");
    if (!options.buffer) die("--buffer must be 1 or more");
    if (!options.requests == !(options.seconds > 0)) die("need one of --requests and --seconds");
    if (strcmp(options.method, "GET") && strcmp(options.method, "HEAD") && strcmp(options.method, "ALTERNATE"))
        die("--method is GET, HEAD or ALTERNATE");
}

int main(int count, char **arguments) {
    read_options(count, arguments);
    target_count = count - optind;
    targets = calloc((size_t)target_count, sizeof *targets);
    connections = calloc((size_t)options.connections, sizeof *connections);
    buffer = malloc(options.buffer);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!targets || !connections || !buffer || poller < 0) die("out of memory");
    for (int i = 0; i < target_count; i++) prepare_target(&targets[i], arguments[optind + i]);
    for (int i = 0; i < options.connections; i++) open_connection(&connections[i]);

    double start = now(), deadline = start + options.seconds, limit = start + options.timeout;
    for (int i = 0; i < options.connections; i++) send_request(&connections[i]);
    (options.rate ? run_slow : run_fast)(deadline, limit);
    double end = now();
    print_result(end - start, options.requests ? finished < options.requests : end < deadline);
    return 0;
}
