// What all kernels begin with, after two typedefs: T is the type of the numbers, INDEX that of places in memory.
// Arrays are contiguous; what is given beside them are whole numbers and doubles.

// The entry of the result that this thread computes.
__device__ INDEX entry() { return (INDEX)blockIdx.x * blockDim.x + threadIdx.x; }

// Takes the innermost position off `rest`, the place of an entry in an array: `length` long is that dimension.
__device__ int position(INDEX& rest, INDEX length) {
    int last = (int)(rest % length);
    rest /= length;
    return last;
}

// The sum, or the largest, of the values of all threads of the block: halves are put together until one is left.
// There are 1024 threads at most, and 2^n of them.
template <class V>
__device__ V together(V value, bool largest = false) {
    __shared__ V values[1024];
    int me = threadIdx.x;
    values[me] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (me < half) {
            V other = values[me + half];
            if (!largest) values[me] += other;
            else if (other > values[me]) values[me] = other;
        }
        __syncthreads();
    }
    V result = values[0];
    __syncthreads();  // all have read before the next call writes
    return result;
}
