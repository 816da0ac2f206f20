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
