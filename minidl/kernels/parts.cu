// Many arrays treated as one by one kernel, which is given where each of them lies.
//
// They are the weights and the gradients of neighbouring parameters.  A place is one in an array of all of them, one
// behind the other, perhaps with gaps.

struct Parts {
    T* w[96];
    const T* g[96];
    long long start[96], end[96];  // their places
    long long count;               // of the parts
};

// The part to which place i belongs; -1 if that is in a gap, or behind the last.
__device__ int part_of(const Parts& parts, INDEX i) {
    int low = 0, high = (int)parts.count;  // the first part that ends behind i is among these
    while (low < high) {
        int middle = (low + high) / 2;
        if (i < parts.end[middle]) high = middle;
        else low = middle + 1;
    }
    return low < parts.count && i >= parts.start[low] ? low : -1;
}

// sums[block] = that of the squares of the gradients at the places of the block, which are equally many for all.
extern "C" __global__ void squares(const Parts parts, T* sums, INDEX count) {
    INDEX blocks = gridDim.x, each = (count + blocks - 1) / blocks, first = blockIdx.x * each;
    INDEX end = first + each < count ? first + each : count;
    T sum = 0;
    for (INDEX i = first + threadIdx.x; i < end; i += blockDim.x) {
        int k = part_of(parts, i);
        if (k < 0) continue;
        T g = parts.g[k][i - (INDEX)parts.start[k]];
        sum += g * g;
    }
    sum = together(sum);
    if (!threadIdx.x) sums[blockIdx.x] = sum;
}

// norm[0] = that of the gradients, norm[1] = by what they are multiplied to have `largest` at most; by one block.
extern "C" __global__ void clipping(const T* sums, T* norm, INDEX count, double largest) {
    T sum = 0;
    for (INDEX i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
    sum = together(sum);
    if (threadIdx.x) return;
    norm[0] = sqrt(sum);
    T factor = T(largest) / (norm[0] + T(1e-6));
    norm[1] = factor > 1 ? T(1) : factor;  // nan stays
}

// out = the gradients times that factor.
extern "C" __global__ void scaled(const Parts parts, const T* norm, T* out, INDEX count) {
    INDEX i = entry();
    int k = i < count ? part_of(parts, i) : -1;
    if (k >= 0) out[i] = norm[1] * parts.g[k][i - (INDEX)parts.start[k]];
}
