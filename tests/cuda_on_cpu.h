// CUDA's words for a CPU: blocks run one after the other, and so do the threads of a block, each up to the next
// __syncthreads(), where it leaves the turn to the others.
#include <ucontext.h>

#include <cmath>
#include <functional>
#include <utility>
#include <vector>
using namespace std;
#define __global__
#define __device__
#define __shared__ static
struct { int x; } threadIdx, blockIdx, blockDim;
ucontext_t schedule, *turns;  // where each thread of the block stands
function<void()> body;
void __syncthreads() { swapcontext(&turns[threadIdx.x], &schedule); }

template <class... A, size_t... I>
void run(void (*kernel)(A...), int blocks, int threads, void** arguments, index_sequence<I...>) {
    static vector<char> stacks(256 << 14);
    vector<ucontext_t> contexts(threads);
    int left;
    turns = contexts.data(), blockDim.x = threads;
    body = [&] { kernel(*(A*)arguments[I]...), left--; };  // the arguments as cuLaunchKernel takes them
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
        for (int t = 0; t < threads; t++) {
            getcontext(&turns[t]);
            turns[t].uc_stack.ss_sp = &stacks[t << 14], turns[t].uc_stack.ss_size = 1 << 14, turns[t].uc_link = &schedule;
            makecontext(&turns[t], [] { body(); }, 0);
        }
        for (left = threads; left;)  // all threads of a block meet equally often
            for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) swapcontext(&schedule, &turns[threadIdx.x]);
    }
}
#define LAUNCH(kernel)                                                                          \
    extern "C" void launch_##kernel(int blocks, int threads, void** arguments) {                \
        [&]<class... A>(void (*f)(A...)) {                                                      \
            run(f, blocks, threads, arguments, index_sequence_for<A...>());                     \
        }(kernel);                                                                              \
    }
