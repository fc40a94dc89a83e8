// Runs our attention on threads of its own, for tests/native/test_attention.py.
#include "ggml-cpu-impl.h"

#include <thread>
#include <vector>

static int left;

extern "C" void ggml_compute_forward_flash_attn_ext(const ggml_compute_params *, ggml_tensor *);
extern "C" void ggml_compute_forward_flash_attn_ext_tiles(const ggml_compute_params * params, ggml_tensor *) {
    left += params->ith == 0;
}

// Tensors as they are computed; `room` floats of work between the threads. Whether it was left to llama.cpp.
extern "C" int attend(ggml_tensor * dst, int threads, int64_t room, int reference) {
    ggml_threadpool pool{threads};
    std::vector<float> work(room + 1);
    std::vector<std::thread> all;
    left = 0;
    for (int each = 0; each < threads; each++) {
        all.emplace_back([&, each] {
            const ggml_compute_params params{each, threads, room * sizeof(float), work.data(), &pool, reference != 0};
            ggml_compute_forward_flash_attn_ext(&params, dst);
        });
    }
    for (std::thread & one : all) {
        one.join();
    }
    return left;
}
