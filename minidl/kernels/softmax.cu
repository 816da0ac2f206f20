// The softmax of rows, and how far it is from labels, with a block of threads for each row.

// The largest entry of the row x, and the sum of exp(x - largest).
__device__ void scale_of(const T* x, INDEX classes, T& largest, T& sum) {
    largest = classes ? x[0] : T(0);
    for (INDEX c = threadIdx.x; c < classes; c += blockDim.x)
        if (x[c] > largest) largest = x[c];
    largest = together(largest, true);
    sum = 0;
    for (INDEX c = threadIdx.x; c < classes; c += blockDim.x) sum += exp(x[c] - largest);
    sum = together(sum, false);
}

// losses[row] = -log softmax(x[row])[label]; nan where the label is no class.
extern "C" __global__ void softmax_cross_entropy(const T* x, const long long* labels, T* losses, INDEX classes) {
    long long label = labels[blockIdx.x];
    x += (INDEX)blockIdx.x * classes;
    T largest, sum;
    scale_of(x, classes, largest, sum);
    if (threadIdx.x) return;
    bool known = 0 <= label && label < classes;
    losses[blockIdx.x] = known ? log(sum) - (x[label] - largest) : T(nan(""));
}

// gradient[row] = g[row] (softmax(x[row]) - the label's one-hot vector); nan where the label is no class, and 0 where
// g is, as for labels to ignore.
extern "C" __global__ void softmax_cross_entropy_input(const T* g, const T* x, const long long* labels, T* gradient,
                                                       INDEX classes) {
    INDEX row = (INDEX)blockIdx.x * classes;
    long long label = labels[blockIdx.x];
    T largest, sum, scale = g[blockIdx.x];
    if ((label < 0 || label >= classes) && scale != 0) scale = T(nan(""));
    scale_of(x + row, classes, largest, sum);
    for (INDEX c = threadIdx.x; c < classes; c += blockDim.x)
        gradient[row + c] = scale * (exp(x[row + c] - largest) / sum - T(c == label));
}

// How many labels there are apart from `ignored`.
__device__ double counted(const long long* labels, INDEX rows, long long ignored) {
    double count = 0;
    for (INDEX i = threadIdx.x; i < rows; i += blockDim.x) count += labels[i] != ignored;
    return together(count);
}

// mean = that of the losses whose label is not `ignored`; by one block.
extern "C" __global__ void counted_mean(const T* losses, const long long* labels, T* mean, INDEX rows,
                                        long long ignored) {
    double sum = 0;
    for (INDEX i = threadIdx.x; i < rows; i += blockDim.x)
        if (labels[i] != ignored) sum += losses[i];
    sum = together(sum);
    double count = counted(labels, rows, ignored);
    if (!threadIdx.x) *mean = sum / count;
}

// shares = g / count where the label is not `ignored`, otherwise 0; by one block.
extern "C" __global__ void counted_mean_input(const T* g, const long long* labels, T* shares, INDEX rows,
                                              long long ignored) {
    T share = *g / counted(labels, rows, ignored);
    for (INDEX i = threadIdx.x; i < rows; i += blockDim.x) shares[i] = labels[i] != ignored ? share : T(0);
}
