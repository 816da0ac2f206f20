// Normalisation of groups of entries that share a mean, with a block of threads for each group.
//
// The entries of a group lie one behind the other.  Weights, where there are any, belong to groups or to entries.

#define FOR_EACH_ENTRY(i, entries) \
    _Pragma("unroll 4") for (INDEX i = threadIdx.x; i < entries; i += blockDim.x)

// out = (x - mean) / sqrt(variance + eps) * w + b, and the mean and variance of each group.
extern "C" __global__ void standardize(const T* x, const T* w, const T* b, T* means, T* variances, T* out,
                                       INDEX entries, double eps, INDEX has_w, INDEX has_b, INDEX of_entries) {
    INDEX group = blockIdx.x, first = group * entries;
    T sum = 0, squares = 0;
    FOR_EACH_ENTRY(i, entries) sum += x[first + i];
    T mean = together(sum) / entries;
    FOR_EACH_ENTRY(i, entries) squares += (x[first + i] - mean) * (x[first + i] - mean);
    T variance = together(squares) / entries, r = T(1) / sqrt(variance + T(eps));
    FOR_EACH_ENTRY(i, entries) {
        INDEX k = of_entries ? i : group;
        T y = (x[first + i] - mean) * (has_w ? r * w[k] : r);
        out[first + i] = has_b ? y + b[k] : y;
    }
    if (!threadIdx.x) means[group] = mean, variances[group] = variance;
}

// The gradient of standardize, and those of w and b: of groups, the sums; of entries, what is to be summed for w.
extern "C" __global__ void standardize_input(const T* g, const T* x, const T* w, const T* means, const T* variances,
                                             T* of_w, T* of_b, T* gradient, INDEX entries, double eps, INDEX has_w,
                                             INDEX of_entries) {
    INDEX group = blockIdx.x, first = group * entries;
    bool each = has_w && of_entries;
    T mean = means[group], r = T(1) / sqrt(variances[group] + T(eps)), sum = 0, product = 0;
    FOR_EACH_ENTRY(i, entries) {
        T h = each ? g[first + i] * w[i] : g[first + i];
        sum += h;
        product += h * (x[first + i] - mean);
    }
    sum = together(sum), product = together(product);
    T scale = has_w && !each ? r * w[group] : r, average = sum / entries, slope = r * r * (product / entries);
    FOR_EACH_ENTRY(i, entries) {
        T d = x[first + i] - mean, h = each ? g[first + i] * w[i] : g[first + i];
        gradient[first + i] = (h - average - d * slope) * scale;
        if (each) of_w[first + i] = g[first + i] * d * r;
    }
    if (!each && !threadIdx.x) of_w[group] = product * r, of_b[group] = sum;
}
