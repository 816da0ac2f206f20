// The softmax of rows, and how far it is from labels, with a block of threads for each row.

// The sum, or the largest, of the values of all threads of the block: halves are put together until one is left.
__device__ T together(T value, bool largest) {
    __shared__ T values[256];
    int me = threadIdx.x;
    values[me] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (me < half) {
            T other = values[me + half];
            if (!largest) values[me] += other;
            else if (other > values[me]) values[me] = other;
        }
        __syncthreads();
    }
    T result = values[0];
    __syncthreads();  // all have read before the next call writes
    return result;
}

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
