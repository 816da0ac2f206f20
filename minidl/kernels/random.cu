// Random numbers that need no state: each thread computes those of its place from the seed alone.
//
// Philox-4x32-10 from Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011: ten
// rounds that mix a counter of four words with a key of two.

__device__ void philox(unsigned* counter, unsigned low_key, unsigned high_key) {
    for (int round = 0; round < 10; round++) {
        unsigned long long a = 0xD2511F53ull * counter[0], b = 0xCD9E8D57ull * counter[2];
        unsigned first = (unsigned)(b >> 32) ^ counter[1] ^ low_key, third = (unsigned)(a >> 32) ^ counter[3] ^ high_key;
        counter[0] = first, counter[1] = (unsigned)b;
        counter[2] = third, counter[3] = (unsigned)a;
        low_key += 0x9E3779B9u, high_key += 0xBB67AE85u;
    }
}

__device__ void draw_mask(T* mask, INDEX count, long long seed, double p, double value) {
    INDEX first = 4 * entry();
    if (first >= count) return;
    unsigned long long place = (unsigned long long)first / 4;
    unsigned words[4] = {(unsigned)place, (unsigned)(place >> 32), 0, 0};
    philox(words, (unsigned)seed, (unsigned)((unsigned long long)seed >> 32));
    unsigned limit = (unsigned)(p * (1 << 24));  // of the 24 highest bits, as many as a float has
    for (int i = 0; i < 4 && first + i < count; i++) mask[first + i] = (words[i] >> 8) < limit ? T(0) : T(value);
}

// mask[i] = 0 with probability p, otherwise `value`; the counter is the place, the key the seed.
extern "C" __global__ void dropout_mask(T* mask, INDEX count, long long seed, double p, double value) {
    draw_mask(mask, count, seed, p, value);
}

// The same with a seed that lies on the device, so that a graph draws other numbers whenever it is launched.
extern "C" __global__ void dropout_mask_later(T* mask, INDEX count, const long long* seed, double p, double value) {
    draw_mask(mask, count, *seed, p, value);
}

extern "C" __global__ void put_seeds(long long* out, long long a, long long b, long long c, long long d, long long e,
                                     long long f, long long g, long long h) {
    long long seeds[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) out[i] = seeds[i];
}
