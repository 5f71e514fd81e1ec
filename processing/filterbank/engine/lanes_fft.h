/* Unscaled inverse FFTs of LANES rows side by side, of any size.
 *
 * Stockham's autosort form, decimation in frequency, radices 8, 9, 4, 5, 3, 2 and any other prime
 * (Van Loan, Computational Frameworks for the Fast Fourier Transform, 1992, section 1.7). A forward
 * transform is an inverse one with real and imaginary part exchanged.
 */
#include <stddef.h>

#include "engine.h"
#include "lanes.h"

struct cvec {
    vec re, im;
};
struct cfloat {
    float re, im;
};

static inline cvec times(cvec a, cfloat w) {
    cvec out = {a.re * w.re - a.im * w.im, a.re * w.im + a.im * w.re};
    return out;
}
static inline cvec plus(cvec a, cvec b) {
    cvec out = {a.re + b.re, a.im + b.im};
    return out;
}
static inline cvec minus(cvec a, cvec b) {
    cvec out = {a.re - b.re, a.im - b.im};
    return out;
}
static inline cvec turned(cvec a) { /* times i */
    cvec out = {-a.im, a.re};
    return out;
}
static inline cvec scaled(cvec a, float by) {
    cvec out = {a.re * by, a.im * by};
    return out;
}

/* Of an FFT of `size` real points the bins from 0 to size / 2 are stored: the one that equals a
 * bin or its conjugate. */
static inline long stored_bin(long bin, long size) {
    return bin < 0 ? -bin : bin > size / 2 ? size - bin : bin;
}

static inline cfloat real_bin(const cfloat *half, long bin, long size) {
    const long at = stored_bin(bin, size);
    return (cfloat){half[at].re, at == bin ? half[at].im : -half[at].im};
}

/* Few passes: 9 for 3 times 3, 8 and 4 for the twos, such that no single 2 is left over. */
static long radix_of(long size) {
    if (size % 9 == 0) return 9;
    long twos = 0;
    for (long rest = size; rest % 2 == 0; rest /= 2) twos++;
    if (twos > 1) return twos % 3 == 0 ? 8 : 4;
    for (long prime = 2; prime * prime <= size; prime++)
        if (size % prime == 0) return prime;
    return size;
}

static inline void butterfly_3(cvec a0, cvec a1, cvec a2, cvec *b0, cvec *b1, cvec *b2) {
    const cvec s = plus(a1, a2), d = turned(scaled(minus(a1, a2), 0.8660254037844386f));
    const cvec c = minus(a0, scaled(s, 0.5f));
    *b0 = plus(a0, s);
    *b1 = plus(c, d);
    *b2 = minus(c, d);
}

static inline void butterfly_4(const cvec *a, cvec *b, long step) {
    const cvec s0 = plus(a[0], a[2]), s1 = plus(a[1], a[3]);
    const cvec d0 = minus(a[0], a[2]), d1 = turned(minus(a[1], a[3]));
    b[0] = plus(s0, s1);
    b[step] = plus(d0, d1);
    b[2 * step] = minus(s0, s1);
    b[3 * step] = minus(d0, d1);
}

static inline void butterfly_5(const cvec *a, cvec *b) {
    const float c1 = 0.30901699437494745f, c2 = -0.8090169943749475f;
    const float s1 = 0.9510565162951535f, s2 = 0.5877852522924731f;
    const cvec p1 = plus(a[1], a[4]), p2 = plus(a[2], a[3]);
    const cvec m1 = turned(minus(a[1], a[4])), m2 = turned(minus(a[2], a[3]));
    const cvec e1 = plus(a[0], plus(scaled(p1, c1), scaled(p2, c2)));
    const cvec e2 = plus(a[0], plus(scaled(p1, c2), scaled(p2, c1)));
    const cvec o1 = plus(scaled(m1, s1), scaled(m2, s2));
    const cvec o2 = minus(scaled(m1, s2), scaled(m2, s1));
    b[0] = plus(a[0], plus(p1, p2));
    b[1] = plus(e1, o1);
    b[2] = plus(e2, o2);
    b[3] = minus(e2, o2);
    b[4] = minus(e1, o1);
}

static inline void butterfly_8(const cvec *a, cvec *b) {
    const float r = 0.7071067811865476f;
    cvec s[4], d[4];
    for (int k = 0; k < 4; k++) s[k] = plus(a[k], a[k + 4]), d[k] = minus(a[k], a[k + 4]);
    d[1] = scaled(plus(d[1], turned(d[1])), r);
    d[2] = turned(d[2]);
    d[3] = scaled(minus(turned(d[3]), d[3]), r);
    butterfly_4(s, b, 2);
    butterfly_4(d, b + 1, 2);
}

static inline void butterfly_9(const cvec *a, cvec *b) {
    static const cfloat w[3] = {{0.766044443118978f, 0.6427876096865393f}, /* of 1, 2, 4 ninths */
                                {0.17364817766693041f, 0.984807753012208f},
                                {-0.9396926207859083f, 0.3420201433256689f}};
    cvec c[9];
    for (int k = 0; k < 3; k++)
        butterfly_3(a[k], a[k + 3], a[k + 6], &c[k], &c[3 + k], &c[6 + k]);
    c[4] = times(c[4], w[0]);
    c[5] = times(c[5], w[1]);
    c[7] = times(c[7], w[1]);
    c[8] = times(c[8], w[2]);
    for (int k = 0; k < 3; k++)
        butterfly_3(c[3 * k], c[3 * k + 1], c[3 * k + 2], &b[k], &b[k + 3], &b[k + 6]);
}

/* One pass: from `length` points at distance `stride` to length / radix points at stride * radix;
 * the points may be multiplied by `factors` first. Inlined with a constant radix, 9 at most. */
static inline __attribute__((always_inline)) void fft_pass(const cvec *x, cvec *y, const long radix,
                                                           long length, long stride,
                                                           const cfloat *w,
                                                           const cfloat *factors) {
    const long m = length / radix, step = m * stride;
    for (long p = 0; p < m; p++) {
        const cvec *from = x + stride * p;
        cvec *to = y + stride * radix * p;
        for (long q = 0; q < stride; q++) {
            cvec a[9], b[9];
            for (long k = 0; k < radix; k++) {
                a[k] = from[q + k * step];
                if (factors) a[k] = times(a[k], factors[stride * p + q + k * step]);
            }
            if (radix == 2) b[0] = plus(a[0], a[1]), b[1] = minus(a[0], a[1]);
            if (radix == 3) butterfly_3(a[0], a[1], a[2], &b[0], &b[1], &b[2]);
            if (radix == 4) butterfly_4(a, b, 1);
            if (radix == 5) butterfly_5(a, b);
            if (radix == 8) butterfly_8(a, b);
            if (radix == 9) butterfly_9(a, b);
            to[q] = b[0];
            for (long j = 1; j < radix; j++) to[q + j * stride] = times(b[j], w[j * p * stride]);
        }
    }
}

/* The same for any other radix. */
static void prime_pass(const cvec *x, cvec *y, long radix, long length, long stride,
                       const cfloat *w, long size, const cfloat *factors) {
    const long m = length / radix;
    for (long p = 0; p < m; p++)
        for (long j = 0; j < radix; j++)
            for (long q = 0; q < stride; q++) {
                cvec sum = {{0}, {0}};
                for (long k = 0; k < radix; k++) {
                    const long at = stride * (p + k * m) + q;
                    const cvec point = factors ? times(x[at], factors[at]) : x[at];
                    sum = plus(sum, times(point, w[j * k % radix * (size / radix)]));
                }
                y[stride * (radix * p + j) + q] = times(sum, w[j * p * stride]);
            }
}

static void any_pass(const cvec *x, cvec *y, long radix, long length, long stride, const cfloat *w,
                     long size, const cfloat *factors) {
#define PASS(r) \
    if (radix == r) { \
        if (factors) \
            fft_pass(x, y, r, length, stride, w, factors); \
        else \
            fft_pass(x, y, r, length, stride, w, NULL); \
        return; \
    }
    PASS(8) PASS(9) PASS(4) PASS(5) PASS(3) PASS(2)
#undef PASS
    prime_pass(x, y, radix, length, stride, w, size, factors);
}

/* Unscaled inverse FFT of `size` points in `from`, which may be multiplied by `factors` first; `x`
 * and `spare` are written to, and one of them is returned. `from` may be `spare`. */
static cvec *inverse_fft(const cvec *from, const cfloat *factors, cvec *x, cvec *spare, long size,
                         const cfloat *w) {
    long length = size, stride = 1;
    if (size == 1) {
        *x = factors ? times(*from, *factors) : *from;
        return x;
    }
    while (length > 1) {
        const long radix = radix_of(length);
        any_pass(from, x, radix, length, stride, w, size, factors);
        length /= radix, stride *= radix, factors = NULL;
        from = x;
        cvec *other = x;
        x = spare, spare = other;
    }
    return (cvec *)from;
}
