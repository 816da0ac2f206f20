// What is done to each entry of an array alone, with one thread for each.

// y += b in place, and result = relu(y); `each` neighbours in y share an entry of b, which begins anew when it ends.
extern "C" __global__ void bias_and_relu(const T* b, T* y, T* result, INDEX count, INDEX each, INDEX length) {
    INDEX i = entry();
    if (i >= count) return;
    T sum = y[i] + b[i / each % length];
    y[i] = sum;
    result[i] = sum <= 0 ? T(0) : sum;  // nan stays
}

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
