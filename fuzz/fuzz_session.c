/* fuzz_session.c: two nodes and, between them, a peer with good keys that
 * leaves their messages as they are, or alters, repeats, loses and swaps them
 * and says what it likes. Whatever it does a session ends in order or goes on,
 * within its limits, and both stores stay sound; two that it let talk in peace
 * end equal.
 * Covers: replication/session.c replication/session_clocks.c
 *         replication/session_push.c replication/session_reconcile.c
 *         replication/session_place.c replication/mirror.c
 *         replication/apply.c replication/reconciler.c */
#include "fuzz/fuzz.h"
#include "replication/gossip.h"
#include "replication/peers.h"

enum { STEPS = 200, QUEUE = 32, TURNS = 40, PEACE_MS = 20000 };

struct letter {
    uint8_t type;
    struct buf body;
};

/* A node, and the end of its link that the peer in the middle holds. */
static struct side {
    struct identity self;
    ecrdt_store *s;
    struct gossip g;
    struct session *session; /* NULL: it has ended */
    struct channel *middle;
    struct letter queue[QUEUE]; /* what the session has said */
    size_t n;
} sides[2];

static uint64_t now;
static bool peace; /* all was passed on as it was said */

static int allow(void *ctx, const uint8_t pk[32]) {
    (void)ctx, (void)pk;
    return 1;
}

static struct channel_conf conf_of(const struct identity *self,
                                   const struct identity *peer, uint8_t number,
                                   bool initiator) {
    struct channel_conf c = {.self = self,
                             .initiator = initiator,
                             .allow = allow,
                             .realm = "fuzz",
                             .max_message = MESSAGE_MAX,
                             .ephemeral = {0, number, initiator}};
    memcpy(c.expect, peer->pk, sizeof c.expect);
    return c;
}

static void open_side(struct side *a, const struct side *b, bool initiator) {
    struct session_conf c = {.channel =
                                 conf_of(&a->self, &b->self, 1, initiator),
                             .talk = {4, 4, 16}};
    struct channel_conf middle = conf_of(&b->self, &a->self, 2, !initiator);
    struct hello h;
    struct buf hello = {0};
    gossip_init(&a->g, a->s);
    FUZZ_CHECK(hello_make(&c.hello, a->s, "a", PEER_CORE, a->self.pk,
                          a->self.sk) == 0);
    FUZZ_CHECK(hello_make(&h, b->s, "b", PEER_EDGE, b->self.pk, b->self.sk) ==
               0);
    hello_encode(&hello, &h);
    middle.hello = buf_slice(&hello);
    FUZZ_CHECK(session_open(&c, now, &a->session) == 0);
    FUZZ_CHECK(channel_open(&a->middle, &middle) == 0);
    buf_free(&hello);
}

/* Bytes go to and fro between a session and its end of the middle. */
static void move_bytes(struct side *a) {
    struct buf *out = channel_out(a->middle);
    session_feed(a->session, buf_slice(out), now);
    channel_wrote(a->middle, out->len);
    out = session_out(a->session);
    FUZZ_CHECK(out->len <= SESSION_OUT_MAX + 2 * MESSAGE_MAX);
    FUZZ_CODE(channel_feed(a->middle, buf_slice(out), now));
    channel_wrote(a->session->channel, out->len);
}

/* What the session says is taken; it may be told more later. */
static void listen_to(struct side *a) {
    struct channel_event e;
    while (a->n < QUEUE && channel_next(a->middle, &e) == 1) {
        if (e.kind != CHANNEL_MESSAGE)
            continue;
        struct letter *l = &a->queue[a->n++];
        l->type = e.type;
        l->body.len = 0;
        buf_put(&l->body, e.body.data, e.body.len);
    }
}

static void end_session(struct side *a) {
    gossip_remove(&a->g, a->session);
    session_free(a->session);
    a->session = NULL;
}

/* Its node works, and what it says is heard. */
static void work(struct side *a) {
    if (!a->session)
        return;
    gossip_wake(&a->g, now);
    for (int turn = 0; turn < TURNS && gossip_run(&a->g, now) <= now; turn++)
        continue;
    session_tick(a->session, now);
    move_bytes(a);
    listen_to(a);
    struct session *s = a->session;
    FUZZ_CHECK(s->inbox_bytes <= SESSION_INBOX_MAX + 2 * MESSAGE_MAX);
    FUZZ_CHECK(s->n_asks <= SESSION_ASKS_MAX + 1);
    if (s->state < SESSION_CLOSING)
        return;
    FUZZ_CHECK(!s->error || *s->sentence);
    FUZZ_CODE(s->error);
    FUZZ_CHECK(!peace);
    end_session(a);
}

static void meet(void) {
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 2; k++)
            move_bytes(&sides[k]), listen_to(&sides[k]);
    for (int k = 0; k < 2; k++) {
        FUZZ_CHECK(channel_accepted(sides[k].session->channel));
        FUZZ_CHECK(gossip_add(&sides[k].g, sides[k].session) == 0);
    }
}

static void say(struct side *to, uint8_t type, slice body) {
    if (!to->session)
        return;
    if (channel_send(to->middle, type, body, now) == 0)
        move_bytes(to);
}

static void drop_first(struct side *a) {
    struct letter first = a->queue[0];
    memmove(a->queue, a->queue + 1, --a->n * sizeof *a->queue);
    a->queue[a->n] = first; /* its buffer is used again */
}

static void pass_on(struct side *from, struct side *to) {
    say(to, from->queue->type, buf_slice(&from->queue->body));
    drop_first(from);
}

/* Some bytes of the body, or its length, or its type, are others. */
static void alter(struct fuzz_in *in, struct letter *l) {
    uint8_t how = fuzz_byte(in);
    struct buf *b = &l->body;
    if (how % 8 == 7)
        l->type = (uint8_t)(how >> 4);
    else if (how % 8 == 6)
        b->len = b->len ? fuzz_below(in, (uint32_t)b->len) : 0;
    else
        for (int i = 0; i <= how % 8 && b->len; i++)
            b->data[fuzz_below(in, (uint32_t)b->len)] ^= fuzz_byte(in);
}

enum { ALTER, LOSE, TWICE, SWAP, KINDS_OF_LIES };

static void lie(struct fuzz_in *in, struct side *from, struct side *to) {
    uint8_t kind = fuzz_byte(in) % KINDS_OF_LIES;
    struct letter *first = from->queue;
    peace = false;
    if (kind == SWAP && from->n > 1) {
        struct letter second = first[1];
        first[1] = first[0];
        first[0] = second;
    }
    if (kind == TWICE)
        say(to, first->type, buf_slice(&first->body));
    if (kind == ALTER)
        alter(in, first);
    if (kind == LOSE)
        drop_first(from);
    else
        pass_on(from, to);
}

static void write_some(struct fuzz_in *in, struct side *a) {
    uint8_t what = fuzz_byte(in);
    char key[2] = {(char)('a' + what / 4 % 8)};
    slice k = ecrdt_str(key);
    ecrdt_txn *t = ecrdt_write(a->s);
    if (what % 4 == 0)
        ecrdt_reg_set(t, FUZZ_B, k, fuzz_take(in, what >> 5));
    else if (what % 4 == 1)
        ecrdt_set_add(t, FUZZ_B, ecrdt_str("s"), k);
    else if (what % 4 == 2)
        ecrdt_counter_add(t, FUZZ_B, k, what, NULL);
    else
        ecrdt_reg_del(t, FUZZ_B, k);
    FUZZ_CODE(ecrdt_commit(t));
}

static void pass_time(uint64_t ms) {
    now += ms;
    fuzz_now_ms += ms;
}

static void step(struct fuzz_in *in) {
    uint8_t what = fuzz_byte(in);
    struct side *a = &sides[what & 1], *b = &sides[!(what & 1)];
    switch (what >> 1 & 7) {
    case 0:
    case 1:
    case 2: /* a few in peace */
        for (int i = what >> 4; i >= 0 && a->n; i--)
            pass_on(a, b), work(b);
        break;
    case 3:
    case 4:
        if (a->n)
            lie(in, a, b);
        break;
    case 5: {
        uint8_t type = fuzz_byte(in);
        peace = false;
        say(b, type, fuzz_take(in, what >> 4 ? (size_t)what : fuzz_byte(in)));
        break;
    }
    case 6:
        pass_time((uint64_t)1 << (what >> 4)); /* up to half a minute */
        break;
    default:
        write_some(in, a);
    }
    work(a);
    work(b);
}

/* Left alone they are soon equal. */
static void settle(void) {
    uint64_t end = now + PEACE_MS;
    for (; now < end; pass_time(5))
        for (int k = 0; k < 2; k++) {
            while (sides[k].n)
                pass_on(&sides[k], &sides[!k]);
            work(&sides[!k]);
        }
    struct fuzz_state x = fuzz_look(0), y = fuzz_look(1);
    FUZZ_CHECK(fuzz_same(&x, &y));
}

static void close_side(struct side *a) {
    if (a->session)
        end_session(a);
    channel_close(a->middle);
    gossip_free(&a->g);
    for (size_t i = 0; i < QUEUE; i++)
        buf_free(&a->queue[i].body);
    a->n = 0;
}

static void open_world(bool first_dials) {
    static const uint8_t seeds[2][32] = {{41}, {42}};
    now = 1000000;
    peace = true;
    for (size_t k = 0; k < 2; k++) {
        if (!*sides[k].self.pk)
            identity_init(&sides[k].self, seeds[k]);
        sides[k].s = fuzz_store(k, fuzz_content);
    }
    open_side(&sides[0], &sides[1], first_dials);
    open_side(&sides[1], &sides[0], !first_dials);
    meet();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_in in = {data, data + size};
    open_world(fuzz_byte(&in) & 1);
    for (int i = 0; i < STEPS && in.p < in.end; i++)
        step(&in);
    if (peace)
        settle();
    for (size_t k = 0; k < 2; k++) {
        close_side(&sides[k]);
        write_some(&in, &sides[k]); /* a store is not held up by a link */
        fuzz_verify(k);
    }
    fuzz_reset();
    return 0;
}
