// What a window sees of images, and the other way round, with one thread for each entry of the result.
//
// Images lie as (channels, *size, batch), results of windows as (channels, *out, batch), with three dimensions in the
// middle, those that are missing being 1 long.  No two threads write to one place: every run gives the same bits.

struct Window {
    int size[3], kernel[3], stride[3], padding[3], dilation[3], out[3];
};

// The positions of an entry in the three dimensions of an image or a result.
__device__ void unpack(INDEX& rest, const int* lengths, int* positions) {
    for (int d = 2; d >= 0; d--) positions[d] = position(rest, lengths[d]);
}

__device__ INDEX pack(INDEX channel, const int* lengths, const int* positions, INDEX batch, int n) {
    for (int d = 0; d < 3; d++) channel = channel * lengths[d] + positions[d];
    return channel * batch + n;
}

// Where entry k of the kernel meets the image when the window is at o; false where that is outside.
__device__ bool meets(const Window& w, const int* o, const int* k, int* at) {
    bool inside = true;
    for (int d = 0; d < 3; d++) {
        at[d] = o[d] * w.stride[d] + k[d] * w.dilation[d] - w.padding[d];
        inside = inside && at[d] >= 0 && at[d] < w.size[d];
    }
    return inside;
}

// Where the window is when entry k of its kernel meets `at`; false where it is nowhere.
__device__ bool met_from(const Window& w, const int* at, const int* k, int* o) {
    bool found = true;
    for (int d = 0; d < 3; d++) {
        int reach = at[d] + w.padding[d] - k[d] * w.dilation[d];
        o[d] = reach / w.stride[d];
        found = found && reach >= 0 && reach % w.stride[d] == 0 && o[d] < w.out[d];
    }
    return found;
}

// Every entry of the kernel in turn, in the order of memory.
#define FOR_EACH_ENTRY(k, w)                              \
    for (k[0] = 0; k[0] < w.kernel[0]; k[0]++)            \
        for (k[1] = 0; k[1] < w.kernel[1]; k[1]++)        \
            for (k[2] = 0; k[2] < w.kernel[2]; k[2]++)

// image -> columns (channels, *kernel, *out, batch): all that each window sees, zeros outside of the image.
extern "C" __global__ void im2col(const Window w, const T* image, T* columns, INDEX count, INDEX batch) {
    INDEX i = entry(), rest = i;
    if (i >= count) return;
    int o[3], k[3], at[3], n = position(rest, batch);
    unpack(rest, w.out, o);
    unpack(rest, w.kernel, k);
    columns[i] = meets(w, o, k, at) ? image[pack(rest, w.size, at, batch, n)] : T(0);
}

// columns -> image: each place gathers what it gave to windows.  The adjoint of im2col.
extern "C" __global__ void col2im(const Window w, const T* columns, T* image, INDEX count, INDEX batch) {
    INDEX i = entry(), rest = i;
    if (i >= count) return;
    int o[3], k[3], at[3], n = position(rest, batch);
    unpack(rest, w.size, at);
    T sum = 0;
    FOR_EACH_ENTRY(k, w)
        if (met_from(w, at, k, o)) {
            INDEX row = pack(rest, w.kernel, k, 1, 0);
            sum += columns[pack(row, w.out, o, batch, n)];
        }
    image[i] = sum;
}

// image -> result: the sum of what each window sees.
extern "C" __global__ void sum_pool(const Window w, const T* image, T* result, INDEX count, INDEX batch) {
    INDEX i = entry(), rest = i;
    if (i >= count) return;
    int o[3], k[3], at[3], n = position(rest, batch);
    unpack(rest, w.out, o);
    T sum = 0;
    FOR_EACH_ENTRY(k, w)
        if (meets(w, o, k, at)) sum += image[pack(rest, w.size, at, batch, n)];
    result[i] = sum;
}

// g, in the shape of the result -> gradient, in that of the image.  The adjoint of sum_pool.
extern "C" __global__ void sum_pool_input(const Window w, const T* g, T* gradient, INDEX count, INDEX batch) {
    INDEX i = entry(), rest = i;
    if (i >= count) return;
    int o[3], k[3], at[3], n = position(rest, batch);
    unpack(rest, w.size, at);
    T sum = 0;
    FOR_EACH_ENTRY(k, w)
        if (met_from(w, at, k, o)) sum += g[pack(rest, w.out, o, batch, n)];
    gradient[i] = sum;
}

// image -> result: the largest entry that each window sees; nan if it sees one.
extern "C" __global__ void max_pool(const Window w, const T* image, T* result, INDEX count, INDEX batch) {
    INDEX i = entry(), rest = i;
    if (i >= count) return;
    int o[3], k[3], at[3], n = position(rest, batch);
    unpack(rest, w.out, o);
    T largest = log(T(0));  // minus infinity
    FOR_EACH_ENTRY(k, w)
        if (meets(w, o, k, at)) {
            T value = image[pack(rest, w.size, at, batch, n)];
            if (value > largest || value != value) largest = value;
        }
    result[i] = largest;
}

// Whether no entry before k of the kernel, with the window at o, meets the same value.
__device__ bool is_first(const T* image, T value, const int* k, const int* o, INDEX channel, INDEX batch, int n,
                         const Window& w) {
    int before[3], at[3];
    FOR_EACH_ENTRY(before, w) {
        if (before[0] == k[0] && before[1] == k[1] && before[2] == k[2]) return true;
        if (meets(w, o, before, at) && image[pack(channel, w.size, at, batch, n)] == value) return false;
    }
    return true;
}

// g -> gradient: each place gathers the g of all windows that found their largest entry there first.
extern "C" __global__ void max_pool_input(const Window w, const T* g, const T* image, const T* result,
                                          T* gradient, INDEX count, INDEX batch) {
    INDEX i = entry(), rest = i;
    if (i >= count) return;
    int o[3], k[3], at[3], n = position(rest, batch);
    unpack(rest, w.size, at);
    T sum = 0;
    FOR_EACH_ENTRY(k, w)
        if (met_from(w, at, k, o)) {
            INDEX place = pack(rest, w.out, o, batch, n);
            if (result[place] == image[i] && is_first(image, image[i], k, o, rest, batch, n, w)) sum += g[place];
        }
    gradient[i] = sum;
}

// y, in the shape of the image -> picked: its entries where the windows found their largest.  The adjoint of that.
extern "C" __global__ void max_pool_pick(const Window w, const T* y, const T* image, const T* result,
                                         T* picked, INDEX count, INDEX batch) {
    INDEX i = entry(), rest = i;
    if (i >= count) return;
    int o[3], k[3], at[3], n = position(rest, batch);
    unpack(rest, w.out, o);
    picked[i] = 0;
    FOR_EACH_ENTRY(k, w)
        if (meets(w, o, k, at)) {
            INDEX place = pack(rest, w.size, at, batch, n);
            if (image[place] == result[i]) {
                picked[i] = y[place];
                return;
            }
        }
}
