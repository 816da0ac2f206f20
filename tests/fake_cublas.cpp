// What minidl/kernels/cublas.py uses of NVIDIA's cuBLAS, on the CPU: it refuses what cuBLAS would refuse or read wrongly,
// and what would make a recorded graph allocate, and multiplies in plain loops.
//
// Like cuBLAS it numbers the entries of a matrix by columns: entry (i, j) is the i + j * ld'th.

#include <cmath>
#include <cstdint>
#include <cstring>

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum Type { FLOAT = 0, DOUBLE = 1, HALF = 2 };                        // cudaDataType
enum Compute { COMPUTE_32F = 68, COMPUTE_64F = 70, FAST_TF32 = 77 };  // cublasComputeType_t

struct Handle {
    void *stream, *workspace;
};

static double from_half(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent == 31 ? (fraction ? NAN : INFINITY)
                                 : exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
    return bits >> 15 ? -size : size;
}

static uint16_t to_half(double x) {  // rounds to the nearest, ties to the even one
    uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    double size = std::fabs(x);
    if (std::isnan(x)) return sign | 0x7e00;
    int exponent = size < 0x1p-14 ? -14 : size >= 65520 ? 16 : std::ilogb(size);
    if (exponent == 16) return sign | 0x7c00;
    int fraction = (int)std::nearbyint(std::ldexp(size, 10 - exponent));  // 1024 and more carry on into the exponent
    return sign | (uint16_t)(fraction + (size < 0x1p-14 ? 0 : (exponent + 14) << 10));
}

static double entry(const void *from, Type type, int64_t place, Compute compute) {
    if (type == HALF) return from_half(((const uint16_t *)from)[place]);
    if (type == DOUBLE) return ((const double *)from)[place];
    float x = ((const float *)from)[place];
    if (compute == FAST_TF32) {  // 10 bits of 23
        uint32_t bits;
        std::memcpy(&bits, &x, 4);
        bits = (bits + 0x1000) & ~0x1fffu;
        std::memcpy(&x, &bits, 4);
    }
    return x;
}

static void put(void *to, Type type, int64_t place, double x) {
    if (type == HALF) ((uint16_t *)to)[place] = to_half(x);
    else if (type == DOUBLE) ((double *)to)[place] = x;
    else ((float *)to)[place] = (float)x;
}

static double number(const void *from, Type type) { return type == DOUBLE ? *(const double *)from : *(const float *)from; }

static bool aligned(const void *pointer, Type type) {
    return pointer && (uintptr_t)pointer % (type == HALF ? 2 : type == FLOAT ? 4 : 8) == 0;
}

extern "C" {

Status cublasCreate_v2(Handle **handle) {
    *handle = new Handle{nullptr, nullptr};
    return SUCCESS;
}

Status cublasSetStream_v2(Handle *handle, void *stream) {
    if (!handle) return NOT_INITIALIZED;
    *handle = {stream, nullptr};  // the workspace goes back to cuBLAS's own
    return SUCCESS;
}

Status cublasSetWorkspace_v2(Handle *handle, void *workspace, size_t bytes) {
    if (!handle) return NOT_INITIALIZED;
    if (!workspace || bytes < 4 << 20) return INVALID_VALUE;
    handle->workspace = workspace;
    return SUCCESS;
}

const char *cublasGetStatusName(Status status) {
    return status == NOT_INITIALIZED ? "CUBLAS_STATUS_NOT_INITIALIZED"
         : status == INVALID_VALUE   ? "CUBLAS_STATUS_INVALID_VALUE"
         : status == NOT_SUPPORTED   ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                     : "CUBLAS_STATUS_SUCCESS";
}

// Of the fake alone: the stream on which the handle works.
void *stream_of(Handle *handle) { return handle->stream; }

// (m, k), (k, n) -> (m, n), of which the first two lie transposed where their flags say so.
Status cublasGemmStridedBatchedEx_64(
    Handle *handle, int a_flag, int b_flag, int64_t m, int64_t n, int64_t k,
    const void *alpha, const void *a, Type a_type, int64_t a_ld, long long a_step,
    const void *b, Type b_type, int64_t b_ld, long long b_step,
    const void *beta, void *c, Type c_type, int64_t c_ld, long long c_step,
    int64_t batch, Compute compute, int algorithm
) {
    if (!handle || !handle->workspace) return NOT_INITIALIZED;
    if ((a_flag | b_flag) & ~1 || m < 1 || n < 1 || k < 1 || batch < 1 || algorithm != -1) return INVALID_VALUE;
    if (a_ld < (a_flag ? k : m) || b_ld < (b_flag ? n : k) || c_ld < m) return INVALID_VALUE;
    if (a_step < 0 || b_step < 0 || (batch > 1 && c_step < m)) return INVALID_VALUE;
    if (a_type != b_type || a_type != c_type || a_type < FLOAT || a_type > HALF) return NOT_SUPPORTED;
    if (a_type == DOUBLE ? compute != COMPUTE_64F : compute != COMPUTE_32F && (a_type == HALF || compute != FAST_TF32))
        return NOT_SUPPORTED;
    if (!aligned(a, a_type) || !aligned(b, a_type) || !aligned(c, a_type)) return INVALID_VALUE;
    double scale = number(alpha, a_type), old = number(beta, a_type);
    for (int64_t each = 0; each < batch; each++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = 0; i < m; i++) {
                double sum = 0;
                for (int64_t l = 0; l < k; l++)
                    sum += entry(a, a_type, each * a_step + (a_flag ? l + i * a_ld : i + l * a_ld), compute)
                         * entry(b, a_type, each * b_step + (b_flag ? j + l * b_ld : l + j * b_ld), compute);
                int64_t place = each * c_step + i + j * c_ld;
                put(c, a_type, place, scale * sum + (old ? old * entry(c, a_type, place, COMPUTE_32F) : 0));
            }
    return SUCCESS;
}

Status cublasGemmEx_64(
    Handle *handle, int a_flag, int b_flag, int64_t m, int64_t n, int64_t k,
    const void *alpha, const void *a, Type a_type, int64_t a_ld, const void *b, Type b_type, int64_t b_ld,
    const void *beta, void *c, Type c_type, int64_t c_ld, Compute compute, int algorithm
) {
    return cublasGemmStridedBatchedEx_64(handle, a_flag, b_flag, m, n, k, alpha, a, a_type, a_ld, 0, b, b_type, b_ld, 0,
                                         beta, c, c_type, c_ld, 0, 1, compute, algorithm);
}
}
