#pragma once
#include "ggml.h"

#include <atomic>

#define GGML_FP16_TO_FP32(bits) half(bits)

struct ggml_threadpool {
    int threads;
    std::atomic<int> here{0}, round{0}, chunk{0};
};

struct ggml_compute_params {
    int ith, nth;
    size_t wsize;
    void * wdata;
    ggml_threadpool * threadpool;
    bool use_ref;
};

inline void ggml_barrier(ggml_threadpool * pool) {
    const int round = pool->round;
    if (++pool->here == pool->threads) {
        pool->here = 0;
        pool->round++;
    }
    while (pool->round == round) {
    }
}

inline void ggml_threadpool_chunk_set(ggml_threadpool * pool, int value) {
    pool->chunk = value;
}

inline int ggml_threadpool_chunk_add(ggml_threadpool * pool, int value) {
    return pool->chunk.fetch_add(value);
}
