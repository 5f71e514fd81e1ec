/* Pool rectified band signals: the inner loop of the filterbank engine in one pass.
 *
 * pooled_bands.py explains the arguments and has the same in torch operators, where every band signal
 * goes to memory and back between two operators; here, LANES rows pass side by side through the whole
 * chain (cut, filter, inverse FFT, rectify, pool), in buffers that stay in the cache. Backward
 * computes the band signals again, which is faster than reading them.
 */
#include "lanes_fft.h"
#include "scratch.h"

#include <string.h>

enum { SQUARE, ABS, LEAKY_RELU };
#define LEAKY_SLOPE 0.2f

static inline vec sign_of(vec x) {
    const mask up = x > 0.0f, down = x < 0.0f;
    return __builtin_convertvector(down - up, vec); /* true is -1 */
}

static inline vec rectified(vec x, long rectifier) {
    if (rectifier == SQUARE) return x * x;
    if (rectifier == ABS) return x * sign_of(x);
    const mask up = x > 0.0f;
    return x * (LEAKY_SLOPE + (LEAKY_SLOPE - 1.0f) * __builtin_convertvector(up, vec));
}

static inline vec slope(vec x, long rectifier) {
    if (rectifier == SQUARE) return 2.0f * x;
    if (rectifier == ABS) return sign_of(x);
    const mask up = x > 0.0f;
    return LEAKY_SLOPE + (LEAKY_SLOPE - 1.0f) * __builtin_convertvector(up, vec);
}

static inline float lanes_sum(vec x) {
    float sum = 0.0f;
    for (int lane = 0; lane < LANES; lane++) sum += x[lane];
    return sum;
}

static long lanes_of(const bands *b, long group) {
    return lanes_from(group * LANES, b->rows);
}

/* A band's bins of LANES rows; picked rows are packed into `buffer` first. */
static const cvec *band_bins(const bands *b, long filter, long group, cvec *buffer) {
    if (b->spectra) return b->spectra + group * b->bins + b->starts[filter];
    if (lanes_of(b, group) < LANES) memset(buffer, 0, b->size * sizeof(cvec));
    const long first = b->starts[filter] + b->lowest, block = 128;
    for (long begin = 0; begin < b->size; begin += block) /* fits the first cache */
        for (long lane = 0; lane < lanes_of(b, group); lane++) {
            const cfloat *half = b->half + b->picked[group * LANES + lane] * b->half_bins;
            const long end = begin + block < b->size ? begin + block : b->size;
            for (long k = begin; k < end; k++) {
                const cfloat value = real_bin(half, first + k, b->real_size);
                buffer[k].re[lane] = value.re;
                buffer[k].im[lane] = value.im;
            }
        }
    return buffer;
}

/* The signals of one band of LANES rows. */
static cvec *band_signal(const bands *b, long filter, const cvec *from, cvec *x, cvec *spare) {
    return inverse_fft(from, b->responses + filter * b->size, x, spare, b->size, b->roots);
}

/* Valid samples of each lane. */
typedef struct {
    mask first, last;
} range;

static range valid_range(const bands *b, long group) {
    range valid = {{0}, {0}};
    for (int lane = 0; b->valid && lane < LANES; lane++) {
        const long row = group * LANES + lane;
        valid.first[lane] = row < b->rows ? (int)b->valid[2 * row] : 0;
        valid.last[lane] = row < b->rows ? (int)b->valid[2 * row + 1] : 0;
    }
    return valid;
}

static inline mask in_range(const range *valid, long sample) {
    return ((int)sample >= valid->first) & ((int)sample < valid->last);
}

/* `x` where the mask is set, else 0, also for NaN. */
static inline vec where(mask yes, vec x) { return (vec)(yes & (mask)x); }

/* Rectified samples of one segment: of both parts together, or of each in its own half. */
static void rectify(const bands *b, const cvec *signal, long segment, const range *valid,
                    vec *out) {
    const long rate = b->size / b->segments, first = segment * rate;
    if (b->rectifier == SQUARE && !b->paired) { /* the usual case */
        for (long i = 0; i < rate; i++) {
            const cvec z = signal[first + i];
            out[i] = z.re * z.re + z.im * z.im;
        }
    } else {
        for (long i = 0; i < rate; i++) {
            const cvec z = signal[first + i];
            const vec re = rectified(z.re, b->rectifier), im = rectified(z.im, b->rectifier);
            if (b->paired)
                out[i] = re, out[rate + i] = im;
            else
                out[i] = re + im;
        }
    }
    if (b->valid)
        for (long i = 0; i < rate; i++) {
            const mask yes = in_range(valid, first + i);
            out[i] = where(yes, out[i]);
            if (b->paired) out[rate + i] = where(yes, out[rate + i]);
        }
}

/* Frames of one row that lie in `out`, and the address of its frame 0. */
typedef struct {
    long first, last;
    float *at;
} row_place;

static row_place place_of(const bands *b, long row, long filter, long output) {
    const long shift = (b->first_frame ? b->first_frame[row] : 0) + (b->along_time ? output : 0);
    const long channel = b->channels[filter] + (b->along_time ? 0 : output);
    const long first = shift < 0 ? -shift : 0, last = b->limit - shift;
    float *out = b->out + (channel * b->clips + row / (b->rows / b->clips)) * b->limit;
    return (row_place){first, last < b->frames ? last : b->frames, out + shift};
}

static void store_frames(const bands *b, long filter, long output, long group, const vec *from) {
    for (long lane = 0; lane < lanes_of(b, group); lane++) {
        const row_place to = place_of(b, group * LANES + lane, filter, output);
        if (b->stage)
            for (long frame = to.first; frame < to.last; frame++) to.at[frame] -= from[frame][lane];
        else
            for (long frame = to.first; frame < to.last; frame++) to.at[frame] = from[frame][lane];
    }
}

static void load_frames(const bands *b, long filter, long output, long group, vec *to) {
    memset(to, 0, b->frames * sizeof(vec));
    for (long lane = 0; lane < lanes_of(b, group); lane++) {
        const row_place from = place_of(b, group * LANES + lane, filter, output);
        const float sign = b->stage ? -1.0f : 1.0f;
        for (long frame = from.first; frame < from.last; frame++)
            to[frame][lane] = sign * from.at[frame];
    }
}

/* Weights of one filter transposed to (rate, count). */
static void transpose_weights(const bands *b, long filter, float *out) {
    const long rate = b->size / b->segments;
    const float *from = b->weights + filter * b->count * rate;
    for (long i = 0; i < rate; i++)
        for (long row = 0; row < b->count; row++) out[i * b->count + row] = from[row * rate + i];
}

/* Weighted sums of one segment for `count` weight rows; inlined with a constant `count`, they stay
 * in registers. */
static inline __attribute__((always_inline)) void weigh(const vec *samples, const float *weights,
                                                        long rate, long count, long stride,
                                                        vec *out) {
    vec sums[8];
    for (long row = 0; row < count; row++) sums[row] = (vec){0};
    for (long i = 0; i < rate; i++)
        for (long row = 0; row < count; row++) sums[row] += weights[i * stride + row] * samples[i];
    for (long row = 0; row < count; row++) out[row] = sums[row];
}

/* The transpose of `weigh` and the weights' gradient, in one pass. */
static inline __attribute__((always_inline)) void spread(const vec *samples, const float *weights,
                                                         long rate, long count, long stride,
                                                         const vec *above, vec *of_weights,
                                                         vec *out) {
    vec from_above[8];
    for (long row = 0; row < count; row++) from_above[row] = above[row];
    for (long i = 0; i < rate; i++) {
        vec sum = {0};
        for (long row = 0; row < count; row++) {
            sum += weights[i * stride + row] * from_above[row];
            of_weights[i * stride + row] += from_above[row] * samples[i];
        }
        out[i] += sum;
    }
}

/* The same for squares of both parts without invalid samples; from signal to gradient in place. The
 * parts are exchanged: a forward transform follows. */
static inline __attribute__((always_inline)) void spread_squares(cvec *z, const float *weights,
                                                                 long rate, long count,
                                                                 const vec *above,
                                                                 vec *of_weights) {
    vec from_above[8];
    for (long row = 0; row < count; row++) from_above[row] = above[row];
    for (long i = 0; i < rate; i++) {
        const vec re = z[i].re, im = z[i].im, square = re * re + im * im;
        vec sum = {0};
        for (long row = 0; row < count; row++) {
            sum += weights[i * count + row] * from_above[row];
            of_weights[i * count + row] += from_above[row] * square;
        }
        sum *= 2.0f;
        z[i].re = sum * im;
        z[i].im = sum * re;
    }
}

/* `call(count)` with a constant count, of 5 at most. */
#define CONSTANT_COUNT(count, call) \
    switch (count) { \
    case 5: call(5); break; \
    case 4: call(4); break; \
    case 3: call(3); break; \
    case 2: call(2); break; \
    case 1: call(1); break; \
    }

static void weigh_rows(const vec *samples, const float *weights, long rate, long count, long stride,
                       vec *out) {
#define WEIGH(n) weigh(samples, weights, rate, n, stride, out)
    for (; count > 5; count--, weights++, out++) WEIGH(1);
    CONSTANT_COUNT(count, WEIGH)
}

static void spread_rows(const vec *samples, const float *weights, long rate, long count,
                        long stride, const vec *above, vec *of, vec *out) {
#define SPREAD(n) spread(samples, weights, rate, n, stride, above, of, out)
    for (; count > 5; count--, weights++, above++, of++) SPREAD(1);
    CONSTANT_COUNT(count, SPREAD)
}

static long row_groups(const bands *b) { return lane_groups(b->rows); }

/* One filter, LANES rows; -> 0, or -1 when there is no memory. */
static int pool_rows(const bands *b, long filter, long group) {
    const long rate = b->size / b->segments, count = b->count;
    const long half = b->paired ? count / 2 : count;
    const long outputs = count / b->span, frames = b->frames;
    const long vecs = 6 * b->size + 2 * rate + count + outputs * frames;
    vec *buffer = scratch(vecs * sizeof(vec) + rate * count * sizeof(float));
    if (!buffer) return -1;
    cvec *x = (cvec *)buffer;
    vec *samples = buffer + 6 * b->size, *rows = samples + 2 * rate, *sums = rows + count;
    float *weights = (float *)(sums + outputs * frames);
    transpose_weights(b, filter, weights);
    const range valid = valid_range(b, group);
    memset(sums, 0, outputs * frames * sizeof(vec));
    const cvec *from = band_bins(b, filter, group, x + 2 * b->size);
    const cvec *signal = band_signal(b, filter, from, x, x + b->size);
    for (long segment = 0; segment < b->segments; segment++) {
        rectify(b, signal, segment, &valid, samples);
        weigh_rows(samples, weights, rate, half, count, rows);
        if (b->paired) weigh_rows(samples + rate, weights + half, rate, half, count, rows + half);
        for (long row = 0; row < count; row++) {
            const long frame = segment - row % b->span;
            if (frame >= 0 && frame < frames) sums[row / b->span * frames + frame] += rows[row];
        }
    }
    for (long output = 0; output < outputs; output++)
        store_frames(b, filter, output, group, sums + output * frames);
    return 0;
}

/* One filter, a part of the rows. */
static int pool_rows_backward(const bands *b, long filter, long part) {
    const long rate = b->size / b->segments, count = b->count, size = b->size;
    const long half = b->paired ? count / 2 : count;
    const long outputs = count / b->span, frames = b->frames;
    const long vecs = 8 * size + 4 * rate + count * (rate + 1) + outputs * frames;
    vec *buffer = scratch(vecs * sizeof(vec) + rate * count * sizeof(float));
    if (!buffer) return -1;
    cvec *x = (cvec *)buffer, *spare = x + size, *of_response = spare + size;
    vec *samples = buffer + 8 * size, *slopes = samples + 2 * rate;
    vec *of_weights = slopes + 2 * rate, *above = of_weights + count * rate;
    vec *gradient = above + count;
    float *weights = (float *)(gradient + outputs * frames);
    transpose_weights(b, filter, weights);
    memset(of_response, 0, size * sizeof(cvec));
    memset(of_weights, 0, count * rate * sizeof(vec));
    const long first = row_groups(b) * part / b->parts;
    const long last = row_groups(b) * (part + 1) / b->parts;
    for (long group = first; group < last; group++) {
        const range valid = valid_range(b, group);
        for (long output = 0; output < outputs; output++)
            load_frames(b, filter, output, group, gradient + output * frames);
        const cvec *from = band_bins(b, filter, group, of_response + size);
        cvec *signal = band_signal(b, filter, from, x, spare);
        for (long segment = 0; segment < b->segments; segment++) {
            cvec *z = signal + segment * rate;
            for (long row = 0; row < count; row++) {
                const long frame = segment - row % b->span;
                const int there = frame >= 0 && frame < frames;
                above[row] = there ? gradient[row / b->span * frames + frame] : (vec){0};
            }
            if (b->rectifier == SQUARE && !b->paired && !b->valid && count <= 5) {
#define SPREAD_SQUARES(n) spread_squares(z, weights, rate, n, above, of_weights)
                CONSTANT_COUNT(count, SPREAD_SQUARES)
                continue;
            }
            rectify(b, signal, segment, &valid, samples);
            memset(slopes, 0, 2 * rate * sizeof(vec));
            spread_rows(samples, weights, rate, half, count, above, of_weights, slopes);
            if (b->paired)
                spread_rows(samples + rate, weights + half, rate, half, count, above + half,
                            of_weights + half, slopes + rate);
            const vec *of_re = slopes, *of_im = b->paired ? slopes + rate : slopes;
            for (long i = 0; i < rate; i++) {
                const cvec here = z[i]; /* exchanged, too */
                z[i].re = of_im[i] * slope(here.im, b->rectifier);
                z[i].im = of_re[i] * slope(here.re, b->rectifier);
                if (!b->valid) continue;
                const mask yes = in_range(&valid, segment * rate + i);
                z[i].re = where(yes, z[i].re);
                z[i].im = where(yes, z[i].im);
            }
        }
        cvec *other = signal == x ? spare : x;
        const cvec *back = inverse_fft(signal, NULL, other, signal, size, b->roots);
        for (long k = 0; k < size; k++) {
            const vec re = back[k].im, im = back[k].re;
            of_response[k].re += from[k].re * re + from[k].im * im;
            of_response[k].im += from[k].re * im - from[k].im * re;
        }
    }
    cfloat *to = b->grad_responses + (part * b->filters + filter) * size;
    for (long k = 0; k < size; k++) {
        to[k].re = lanes_sum(of_response[k].re);
        to[k].im = lanes_sum(of_response[k].im);
    }
    float *to_weights = b->grad_weights + (part * b->filters + filter) * count * rate;
    for (long i = 0; i < rate; i++)
        for (long row = 0; row < count; row++)
            to_weights[row * rate + i] = lanes_sum(of_weights[i * count + row]);
    return 0;
}

/* The tasks of several groups, one after the other. */
static int run(const bands *groups, long number, int backward, int threads) {
    long total = 0;
    int failed = 0;
    for (long i = 0; i < number; i++)
        total += groups[i].filters * (backward ? groups[i].parts : row_groups(&groups[i]));
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (long task = 0; task < total; task++) {
        const bands *b = groups;
        long index = task, pieces;
        for (;; b++) {
            pieces = backward ? b->parts : row_groups(b);
            if (index < b->filters * pieces) break;
            index -= b->filters * pieces;
        }
        const int status = backward ? pool_rows_backward(b, index / pieces, index % pieces)
                                    : pool_rows(b, index / pieces, index % pieces);
        if (status) failed = -1;
    }
    return failed;
}

int pool_bands(const groups *g, int threads) {
    int failed = 0;
    for (long from = 0, to; from < g->number; from = to) {
        for (to = from; to < g->number && g->first[to].stage == g->first[from].stage;) to++;
        failed |= run(g->first + from, to - from, 0, threads);
    }
    return failed;
}

int pool_bands_backward(const groups *g, int threads) {
    const int failed = run(g->first, g->number, 1, threads);
    /* The gradients of all parts are summed into the first. */
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (long i = 0; i < g->number; i++) {
        const bands *b = &g->first[i];
        const long bins = 2 * b->filters * b->size;
        const long weights = b->filters * b->count * (b->size / b->segments);
        float *responses = (float *)b->grad_responses;
        for (long part = 1; part < b->parts; part++) {
            for (long k = 0; k < bins; k++) responses[k] += responses[part * bins + k];
            for (long k = 0; k < weights; k++)
                b->grad_weights[k] += b->grad_weights[part * weights + k];
        }
    }
    return failed;
}
