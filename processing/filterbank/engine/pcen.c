/* Per-channel energy normalisation: smoothing and compression in one pass over the frames.
 *
 * ../pcen.py has the same in torch operators and explains the values. There, every step of the
 * formula goes to memory and back; here, LANES channels pass side by side through a piece of FRAMES
 * frames at a time, in buffers that stay in the cache. Backward computes a piece again from the
 * energy and the smoothed energy before it, which is faster than reading what forward could have
 * kept, and needs no memory for it.
 *
 * The recurrences, and sums over the frames, are in double: smoothing by 1e-4 per frame in float
 * converges to a value 6e-4 off, and a sum of a million frames loses its last digits.
 *
 * exp and log: S. Moshier's polynomials (Cephes, expf and logf, 1992), within 2 units of the last
 * place, with IEEE's results for zeros, infinities and NaN: a broken energy stays visible.
 */
#include "engine.h"
#include "lanes.h"

#include <math.h>
#include <string.h>

#define FRAMES 64 /* of a piece */

typedef float vec_half __attribute__((vector_size(2 * LANES)));
typedef double wide_half __attribute__((vector_size(4 * LANES)));
typedef struct {
    wide_half part[2];
} wide; /* one double of each channel */

/* Values for which it pays to wake another thread. */
#define VALUES_PER_THREAD 4096

/* ---- vectors -------------------------------------------------------------------------------- */

static inline vec all(float value) { return (vec){0} + value; }

static inline vec choose(mask yes, vec a, vec b) {
    return (vec)(((mask)a & yes) | ((mask)b & ~yes));
}

static inline __attribute__((always_inline)) vec load(const float *from, const long lanes) {
    vec value = {0};
    if (lanes == LANES)
        memcpy(&value, from, sizeof value);
    else
        for (long lane = 0; lane < lanes; lane++) value[lane] = from[lane];
    return value;
}

static inline __attribute__((always_inline)) void store(vec value, float *to, const long lanes) {
    if (lanes == LANES)
        memcpy(to, &value, sizeof value);
    else
        for (long lane = 0; lane < lanes; lane++) to[lane] = value[lane];
}

static inline wide widen(const vec *from) {
    vec_half halves[2];
    memcpy(halves, from, sizeof halves);
    wide to;
    for (int half = 0; half < 2; half++)
        to.part[half] = __builtin_convertvector(halves[half], wide_half);
    return to;
}

static inline void narrow(wide from, vec *to) {
    for (int half = 0; half < 2; half++) {
        const vec_half value = __builtin_convertvector(from.part[half], vec_half);
        memcpy((char *)to + half * sizeof value, &value, sizeof value);
    }
}

static inline vec vec_exp(vec x) {
    /* Beyond these the result is 0 or infinite anyway; NaN stays, as it compares false. */
    x = choose(x > 90.0f, all(90.0f), choose(x < -105.0f, all(-105.0f), x));
    const vec magic = all(12582912.0f); /* 1.5 * 2^23: a sum's last bits are the nearest integer */
    const vec shifted = x * 1.44269504f + magic;
    const mask n = (mask)shifted - (mask)magic;
    const vec whole = shifted - magic;
    const vec r = (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    /* 2^n in two factors: it may lie outside the range when the result does not. */
    const mask half = n >> 1;
    return p * (vec)((half + 127) << 23) * (vec)((n - half + 127) << 23);
}

static inline vec vec_log(vec x) {
    const float smallest = 1.17549435e-38f; /* normal number */
    const mask tiny = x < smallest;
    const vec scaled = choose(tiny, x * 8388608.0f, x);
    /* x = 2^n m, m in sqrt(1/2) ... sqrt(2) */
    const mask above = (mask)scaled - 0x3f3504f3, n = above >> 23;
    const vec f = (vec)((mask)scaled - (n << 23)) - 1.0f;
    const vec exponent = __builtin_convertvector(n + (tiny & -23), vec);
    const vec square = f * f;
    vec p = f * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    p = p * f * square + exponent * -2.12194440e-4f - 0.5f * square;
    const vec value = exponent * 0.693359375f + (f + p);
    const vec broken = choose(x == 0.0f, all(-INFINITY), choose(x < 0.0f, all(NAN), x));
    return choose((x > 0.0f) & (x < INFINITY), value, broken);
}

/* For the tests. */
int pcen_exp(const numbers *n, int threads) {
    for (long i = 0; i < n->count; i += LANES) {
        const long lanes = lanes_from(i, n->count);
        store(vec_exp(load(n->from + i, lanes)), n->to + i, lanes);
    }
    return 0 * threads;
}

int pcen_log(const numbers *n, int threads) {
    for (long i = 0; i < n->count; i += LANES) {
        const long lanes = lanes_from(i, n->count);
        store(vec_log(load(n->from + i, lanes)), n->to + i, lanes);
    }
    return 0 * threads;
}

/* ---- smoothing and compression -------------------------------------------------------------- *
 * One loop over a piece for every exp and log: their polynomials are long chains, of which the
 * processor then has several frames' in flight.
 */

typedef struct {
    vec alpha, delta, power, bias, log_delta;
    wide smooth, decay;
} values;

static inline __attribute__((always_inline)) values load_values(const normalisation *c, long channel,
                                                                const long lanes) {
    values v;
    v.alpha = load(c->alpha + channel, lanes);
    v.delta = load(c->delta + channel, lanes);
    v.power = load(c->power + channel, lanes);
    v.log_delta = vec_log(v.delta);
    v.bias = vec_exp(v.power * v.log_delta); /* as for the frames: silence gives exactly zero */
    const vec smooth = load(c->smooth + channel, lanes);
    v.smooth = widen(&smooth);
    for (int half = 0; half < 2; half++) v.decay.part[half] = 1.0 - v.smooth.part[half];
    return v;
}

/* An infinite mean would give a gain of 0, and 0 for every frame that follows; NaN is seen. */
static inline vec floored(vec smoothed, float floor) {
    return smoothed + (smoothed * 0.0f + floor);
}

/* The energies of a piece, and smoothed; `mean` is the smoothed energy before it, then its last. */
static inline __attribute__((always_inline)) void smooth_piece(const values *v, const float *from,
                                                               long frames, long stride,
                                                               const long lanes, wide *mean,
                                                               vec *energy, vec *smoothed) {
    wide m = *mean;
    for (long i = 0; i < frames; i++) {
        energy[i] = load(from + i * stride, lanes);
        const wide e = widen(&energy[i]);
        for (int half = 0; half < 2; half++)
            m.part[half] = v->decay.part[half] * m.part[half] + v->smooth.part[half] * e.part[half];
        narrow(m, &smoothed[i]);
    }
    *mean = m;
}

static inline __attribute__((always_inline)) void forward(const normalisation *c, long item, long channel,
                                                          const long lanes) {
    const long stride = c->channels, pieces = (c->frames + FRAMES - 1) / FRAMES;
    const float *from = c->energy + item * c->frames * stride + channel;
    float *to = c->out + item * c->frames * stride + channel;
    const values v = load_values(c, channel, lanes);
    vec energy[FRAMES], smoothed[FRAMES], logs[FRAMES], bases[FRAMES];
    vec before = load(c->state ? c->state + item * stride + channel : from, lanes);
    wide mean = widen(&before);
    for (long piece = 0; piece < pieces; piece++) {
        const long first = piece * FRAMES;
        const long frames = c->frames - first < FRAMES ? c->frames - first : FRAMES;
        if (c->marks) store(before, c->marks + (item * pieces + piece) * stride + channel, lanes);
        smooth_piece(&v, from + first * stride, frames, stride, lanes, &mean, energy, smoothed);
        for (long i = 0; i < frames; i++) logs[i] = vec_log(floored(smoothed[i], c->floor));
        for (long i = 0; i < frames; i++)
            bases[i] = energy[i] * vec_exp(-v.alpha * logs[i]) + v.delta;
        for (long i = 0; i < frames; i++) logs[i] = vec_log(bases[i]);
        for (long i = 0; i < frames; i++)
            store(vec_exp(v.power * logs[i]) - v.bias, to + (first + i) * stride, lanes);
        before = smoothed[frames - 1];
    }
    store(before, c->last + item * stride + channel, lanes);
}

static inline void add(wide *sum, vec value) {
    const wide more = widen(&value);
    for (int half = 0; half < 2; half++) sum->part[half] += more.part[half];
}

static inline __attribute__((always_inline)) void store_sum(const normalisation *c, wide sum, int which,
                                                            long item, long channel,
                                                            const long lanes) {
    double *to = c->grad_values + (which * c->batch + item) * c->channels + channel;
    for (long lane = 0; lane < lanes; lane++)
        to[lane] = sum.part[lane / (LANES / 2)][lane % (LANES / 2)];
}

static inline __attribute__((always_inline)) void backward(const normalisation *c, long item, long channel,
                                                           const long lanes) {
    const long stride = c->channels, pieces = (c->frames + FRAMES - 1) / FRAMES;
    const long start = item * c->frames * stride + channel;
    const values v = load_values(c, channel, lanes);
    /* smoothed[0] is that before the piece. */
    vec energy[FRAMES], smoothed[FRAMES + 1], of_energy[FRAMES], of_smoothed[FRAMES];
    vec log_means[FRAMES], gains[FRAMES], log_bases[FRAMES], raised[FRAMES];
    const vec above = c->grad_last ? load(c->grad_last + item * stride + channel, lanes) : all(0);
    wide carried = widen(&above); /* gradient of the smoothed energy, from all later frames */
    wide by_alpha = {0}, by_delta = {0}, by_power = {0}, by_smooth = {0}, total = {0};
    for (long piece = pieces - 1; piece >= 0; piece--) {
        const long first = piece * FRAMES;
        const long frames = c->frames - first < FRAMES ? c->frames - first : FRAMES;
        smoothed[0] = load(c->marks + (item * pieces + piece) * stride + channel, lanes);
        wide mean = widen(&smoothed[0]);
        smooth_piece(&v, c->energy + start + first * stride, frames, stride, lanes, &mean, energy,
                     smoothed + 1);
        if (c->grad) {
            const float *grads = c->grad + start + first * stride;
            /* Few frames: these sums may be floats. */
            vec alphas = {0}, deltas = {0}, powers = {0}, sum = {0};
            for (long i = 0; i < frames; i++)
                log_means[i] = vec_log(floored(smoothed[i + 1], c->floor));
            for (long i = 0; i < frames; i++) gains[i] = vec_exp(-v.alpha * log_means[i]);
            for (long i = 0; i < frames; i++)
                log_bases[i] = vec_log(energy[i] * gains[i] + v.delta);
            for (long i = 0; i < frames; i++) raised[i] = vec_exp(v.power * log_bases[i]);
            for (long i = 0; i < frames; i++) {
                const vec grad = load(grads + i * stride, lanes);
                const vec of_raised = grad * raised[i];
                const vec of_base = v.power * of_raised / (energy[i] * gains[i] + v.delta);
                const vec of_log_gain = of_base * gains[i] * energy[i];
                of_energy[i] = of_base * gains[i];
                of_smoothed[i] = -v.alpha * of_log_gain / floored(smoothed[i + 1], c->floor);
                alphas -= of_log_gain * log_means[i];
                deltas += of_base;
                powers += of_raised * log_bases[i];
                sum += grad;
            }
            add(&by_alpha, alphas), add(&by_delta, deltas), add(&by_power, powers);
            add(&total, sum);
        } else {
            memset(of_energy, 0, sizeof of_energy);
            memset(of_smoothed, 0, sizeof of_smoothed);
        }
        for (long i = frames - 1; i >= 0; i--) {
            const wide more = widen(&of_smoothed[i]), e = widen(&energy[i]);
            const wide previous = widen(&smoothed[i]), direct = widen(&of_energy[i]);
            wide sum;
            for (int half = 0; half < 2; half++) {
                const wide_half here = carried.part[half] + more.part[half];
                by_smooth.part[half] += here * (e.part[half] - previous.part[half]);
                sum.part[half] = direct.part[half] + v.smooth.part[half] * here;
                carried.part[half] = v.decay.part[half] * here;
                /* Without a state the first frame is the smoothed energy before it, too. */
                if (first + i == 0 && !c->state) sum.part[half] += carried.part[half];
            }
            narrow(sum, &of_energy[i]);
        }
        if (c->grad_energy)
            for (long i = 0; i < frames; i++)
                store(of_energy[i], c->grad_energy + start + (first + i) * stride, lanes);
    }
    if (c->grad_state) {
        vec of_state;
        narrow(carried, &of_state);
        store(of_state, c->grad_state + item * stride + channel, lanes);
    }
    /* out has delta^power subtracted from every frame. */
    const vec per_delta = v.power * v.bias / v.delta, per_power = v.bias * v.log_delta;
    const wide less_delta = widen(&per_delta), less_power = widen(&per_power);
    for (int half = 0; half < 2; half++) {
        by_delta.part[half] -= total.part[half] * less_delta.part[half];
        by_power.part[half] -= total.part[half] * less_power.part[half];
    }
    store_sum(c, by_alpha, 0, item, channel, lanes);
    store_sum(c, by_delta, 1, item, channel, lanes);
    store_sum(c, by_power, 2, item, channel, lanes);
    store_sum(c, by_smooth, 3, item, channel, lanes);
}

/* A task is LANES channels of an item. They are dealt out in runs: two threads in the same frames
 * would write to the same cache lines. */
static int run(const normalisation *c, int back, int threads) {
    const long useful = c->batch * c->frames * c->channels / VALUES_PER_THREAD;
    if (threads > useful) threads = useful > 1 ? (int)useful : 1;
    const long groups = lane_groups(c->channels);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long task = 0; task < c->batch * groups; task++) {
        const long item = task / groups, channel = task % groups * LANES;
        const long left = c->channels - channel;
        if (left >= LANES) { /* the usual case, with a constant number of lanes */
            if (back)
                backward(c, item, channel, LANES);
            else
                forward(c, item, channel, LANES);
        } else if (back)
            backward(c, item, channel, left);
        else
            forward(c, item, channel, left);
    }
    return 0;
}

int pcen(const normalisation *c, int threads) { return run(c, 0, threads); }
int pcen_backward(const normalisation *c, int threads) { return run(c, 1, threads); }
