/* What Python passes to the C functions: structures and functions, read by C and by cffi
 * (backend.py). Declarations only: cffi has no preprocessor.
 *
 * A function returns -1 when there is no memory for its buffers, else 0 unless it says otherwise.
 * Tensors are contiguous; `long` is int64, `char` is bool.
 */
typedef struct cfloat cfloat; /* one complex number */
typedef struct cvec cvec;     /* one complex number of each of LANES rows */

/* Spectra (rows, half), bins from 0 on, of FFTs of `size` points. */
typedef struct {
    const cfloat *spectra;
    long rows, half, size;
    long lowest, bins; /* first bin that is packed, and how many */
    cvec *packed;      /* (rows / LANES rounded up, bins) */
} packing;
int pack_spectra(const packing *p, int threads);

/* Overlapping blocks of clips; a row is a block of a clip. */
typedef struct {
    const float *wavs;   /* (clips, samples) */
    const cfloat *roots; /* exp(2 pi i t / size) for t < size */
    const cfloat *half_roots;
    cvec *packed;
    long clips, samples, blocks;
    long size;     /* samples of a block; even */
    long step;     /* from a block to the next */
    long in_front; /* zeros in front of each clip */
    long lowest, bins;
} blocks;
int block_spectra(const blocks *b, int threads);

typedef struct {
    cfloat *taps;            /* (filters, window), or their gradient */
    const long *starts;      /* (filters): first bin of each band */
    const long *bins;        /* (filters): how many */
    const long *rows;        /* (filters): addresses of each response, or of its gradient */
    const float *of_taps;    /* (window): factors of the taps */
    const cfloat *of_grid;   /* (cells + points - 1): of the grid's points */
    const cfloat *of_bins;   /* (most bins) */
    const float *weights;    /* (step, points): of a bin's neighbours */
    const cfloat *roots;     /* exp(2 pi i t / size) for t < size */
    const cfloat *coarse_roots;
    long filters, window, size;
    long step;   /* bins from one point of the grid to the next */
    long points; /* neighbours; 8, or 1 where the grid is the bins themselves */
} responses;
int band_responses(const responses *r, int threads);
int band_responses_backward(const responses *r, int threads);

typedef struct {
    const float *taps;      /* (filters, 2, window) */
    const cfloat *roots;    /* exp(2 pi i t / points) for t < points */
    const long *candidates; /* rising reduced rates, in samples per hop */
    float *power;           /* (filters, points) */
    double *centres;        /* (filters), in rad/sample */
    long *lowest;           /* (filters): index of the first sufficient candidate, or `number` */
    long filters, window, points, hop, number;
    float max_leak, headroom;
} filters;
int choose_rates(const filters *f, int threads);

typedef struct {
    const float *power;    /* (filters, points) */
    const double *centres; /* (filters): middle of each band, in rad/sample */
    const double *edges;   /* (filters): its half-width; 2 pi: nothing is outside */
    double inner;          /* fraction of the band outside which the peak is taken */
    long filters, points, bands;
    float *mean, *peak;    /* (filters, bands): of the power outside */
} outside;
int lost_power(const outside *o, int threads);

/* A group of filters whose bands have the same number of bins. */
typedef struct {
    const cvec *spectra;     /* (rows / LANES, bins), or NULL and instead: */
    const cfloat *half;      /* (any rows, half_bins) of FFTs of real_size points: bins 0 and above */
    const long *picked;      /* (rows): indices of its rows */
    const cfloat *responses; /* (filters, size) */
    const float *weights;    /* (filters, count, size / segments) */
    const long *starts;      /* (filters): first bin of each band */
    const long *valid;       /* (rows, 2): samples that count; NULL: all */
    const cfloat *roots;     /* exp(2 pi i t / size) for t < size */
    const long *channels;    /* (filters): output index of each filter's first output */
    const long *first_frame; /* (rows): frame index of frame 0 of each row; NULL: 0 */
    float *out;              /* (outputs, clips, limit), or its gradient; each clip is rows / clips
                                consecutive rows; frames outside 0 ... limit - 1 are dropped */
    cfloat *grad_responses;  /* (parts, filters, size): from a part of the rows each, to be summed */
    float *grad_weights;     /* (parts, filters, count, size / segments) */
    long rows, bins, filters, size, segments;
    long half_bins, real_size, lowest; /* of `half`, and bin 0 of `starts` */
    long count;      /* weight rows of each filter */
    long span;       /* weight rows that make one output */
    long frames;     /* outputs in time */
    long clips, limit;
    long stage;      /* groups of stage 0 write to different places, at once; those of each higher
                        stage are subtracted after the stage before */
    long along_time; /* the outputs of a filter are consecutive frames of one channel */
    long rectifier;  /* of the real and of the imaginary part: square, abs, leaky_relu */
    long paired;     /* the parts belong to two filters: half of the weight rows each */
    long parts;      /* of the rows, for the gradients: a sum that does not depend on the threads */
} bands;
typedef struct {
    const bands *first; /* by rising stage */
    long number;
} groups;
int pool_bands(const groups *g, int threads);
int pool_bands_backward(const groups *g, int threads);

typedef struct {
    const float *energy; /* (filters, clips, frames) */
    const float *wide;   /* (bands, clips, frames): energies of the signal in wide bands */
    const float *mean;   /* (filters, bands): power of each filter there outside its own band */
    const float *peak;
    float *lost;   /* (filters, clips, frames) */
    char *flagged; /* the same: more than the bound may be lost */
    long filters, clips, frames, bands;
    long whole;  /* half a filter in hops, rounded down */
    float part;  /* the remainder */
    float bound; /* fraction of a frame's energy that may be lost */
    float floor;
} losses;
int lost_energy(const losses *l, int threads); /* -> 1 if any frame is flagged */

typedef struct {
    const float *energy; /* (batch, frames, channels) */
    const float *state;  /* (batch, channels); NULL: the first frame */
    const float *alpha, *delta, *power, *smooth; /* (channels) */
    float *out;          /* as energy */
    float *last;         /* (batch, channels): the last smoothed energy */
    float *marks;        /* (batch, pieces, channels): smoothed, before each piece; may be NULL */
    const float *grad;   /* of out; NULL: zero */
    const float *grad_last;          /* NULL: zero */
    float *grad_energy, *grad_state; /* may be NULL */
    double *grad_values; /* (4, batch, channels): of alpha, delta, power and smooth; over the items
                            they are summed elsewhere, in an order that no thread changes */
    long batch, frames, channels;
    float floor;
} normalisation;
int pcen(const normalisation *c, int threads);
int pcen_backward(const normalisation *c, int threads);

typedef struct {
    const float *from;
    float *to;
    long count;
} numbers;
int pcen_exp(const numbers *n, int threads);
int pcen_log(const numbers *n, int threads);
