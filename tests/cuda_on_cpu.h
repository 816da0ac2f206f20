// CUDA's words for a CPU: blocks run one after the other, and so do the threads of a block, each up to the next
// __syncthreads(), where it leaves the turn to the others.
#undef _FORTIFY_SOURCE  // which takes a jump to another thread's stack for a mistake
#include <ucontext.h>

#include <cmath>
#include <csetjmp>
#include <functional>
#include <utility>
#include <vector>
using namespace std;
#define __global__
#define __device__
#define __shared__ static
struct { int x; } threadIdx, blockIdx, blockDim, gridDim;
const int MOST = 1024, STACK = 1 << 14;  // threads in a block, and the bytes of the stack of each
jmp_buf schedule, turns[MOST];           // where the loop over the threads goes on, and each thread
bool started[MOST];
function<void()> body;
void __syncthreads() {
    if (!_setjmp(turns[threadIdx.x])) _longjmp(schedule, 1);
}
void turn_after_turn() {
    for (;; __syncthreads()) body();
}
void go_on() {  // with the thread threadIdx.x, which is made when it is first needed
    static vector<char> stacks(MOST * STACK);
    static ucontext_t context;
    if (_setjmp(schedule)) return;
    if (started[threadIdx.x]) _longjmp(turns[threadIdx.x], 1);
    started[threadIdx.x] = true;
    getcontext(&context);
    context.uc_stack.ss_sp = &stacks[threadIdx.x * STACK], context.uc_stack.ss_size = STACK;
    makecontext(&context, turn_after_turn, 0);
    setcontext(&context);
}

template <class... A, size_t... I>
void run(void (*kernel)(A...), int blocks, int threads, void** arguments, index_sequence<I...>) {
    int left;
    blockDim.x = threads, gridDim.x = blocks;
    body = [&] { kernel(*(A*)arguments[I]...), left--; };  // the arguments as cuLaunchKernel takes them
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (left = threads; left;)  // all threads of a block meet equally often
            for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) go_on();
}
#define LAUNCH(kernel)                                                                          \
    extern "C" void launch_##kernel(int blocks, int threads, void** arguments) {                \
        [&]<class... A>(void (*f)(A...)) {                                                      \
            run(f, blocks, threads, arguments, index_sequence_for<A...>());                     \
        }(kernel);                                                                              \
    }
