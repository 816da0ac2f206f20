// What is done to each entry of arrays of one shape alone, with one thread for each.

// gradient = g where the result of relu is above 0, otherwise 0.
extern "C" __global__ void relu_input(const T* g, const T* result, T* gradient, INDEX count) {
    INDEX i = entry();
    if (i < count) gradient[i] = g[i] * T(result[i] > 0);
}

// y = keep y + share x, in place.
extern "C" __global__ void blend(const T* x, T* y, INDEX count, double keep, double share) {
    INDEX i = entry();
    if (i < count) y[i] = T(keep) * y[i] + T(share) * x[i];
}
