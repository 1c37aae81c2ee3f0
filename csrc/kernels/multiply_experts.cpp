// Products with the matrices of a mixture of experts: each token has a few experts of its own, and each expert is
// multiplied with its tokens together, as in multiply.cpp.
#include "interleaved.h"
#include "multiply_rows.h"

#include "ggml-cpu-impl.h"

#include <cstring>

namespace luup::kernels {

namespace {

// The activations by expert. Each thread makes it for itself: it is the same for all, and that takes less time than a
// barrier.
struct Plan {
    const float ** rows;   // of the activations
    float **       outs;   // of the product
    int64_t *      begin;  // of each expert's part of them, and the end
};

int64_t count_rows(const ggml_tensor * product) {
    return ggml_nelements(product->src[2]);
}

int64_t count_experts(const ggml_tensor * product) {
    return product->src[0]->ne[2];
}

size_t plan_bytes(const ggml_tensor * product) {
    const auto rows = static_cast<size_t>(count_rows(product)), experts = static_cast<size_t>(count_experts(product));
    return (rows * 2 + experts + 1) * 8;
}

Plan make_plan(const ggml_tensor * product, uint8_t * memory) {
    const ggml_tensor * input = product->src[1];
    const ggml_tensor * ids   = product->src[2];
    const int64_t       rows = count_rows(product), experts = count_experts(product);
    static_assert(sizeof(float *) <= 8, "plan_bytes() counts 8 bytes a pointer");
    Plan plan;
    plan.begin               = reinterpret_cast<int64_t *>(memory);
    uint8_t * const pointers = memory + static_cast<size_t>(experts + 1) * 8;
    plan.rows                = reinterpret_cast<const float **>(pointers);
    plan.outs                = reinterpret_cast<float **>(pointers + static_cast<size_t>(rows) * 8);
    const auto expert_of     = [&](int64_t used, int64_t token) {
        int32_t expert;
        std::memcpy(&expert, static_cast<const char *>(ids->data) + used * ids->nb[0] + token * ids->nb[1],
                    sizeof(expert));
        GGML_ASSERT(expert >= 0 && expert < experts);
        return expert;
    };
    std::fill(plan.begin, plan.begin + experts + 1, 0);
    for (int64_t token = 0; token < ids->ne[1]; token++) {
        for (int64_t used = 0; used < ids->ne[0]; used++) {
            plan.begin[expert_of(used, token) + 1]++;
        }
    }
    for (int64_t expert = 0; expert < experts; expert++) {
        plan.begin[expert + 1] += plan.begin[expert];
    }
    // Each begin moves to its part's end here, which is where the next part begins.
    for (int64_t token = 0; token < ids->ne[1]; token++) {
        for (int64_t used = 0; used < ids->ne[0]; used++) {
            const int64_t at = plan.begin[expert_of(used, token)]++;
            plan.rows[at] = reinterpret_cast<const float *>(static_cast<const char *>(input->data) +
                                                            used % input->ne[1] * input->nb[1] + token * input->nb[2]);
            plan.outs[at] = reinterpret_cast<float *>(static_cast<char *>(product->data) + used * product->nb[1] +
                                                      token * product->nb[2]);
        }
    }
    std::memmove(plan.begin + 1, plan.begin, static_cast<size_t>(experts) * sizeof(*plan.begin));
    plan.begin[0] = 0;
    return plan;
}

// One expert's part of the work.
struct Part {
    const uint8_t * weights;
    Rounded         activations;
    float * const * outs;
};

Part part_of(const ggml_tensor * product, const Plan & plan, const uint8_t * rounded, int64_t expert) {
    const ggml_tensor * weights = product->src[0];
    const int64_t       begin   = plan.begin[expert];
    const size_t        bytes   = interleaved_bytes(weights) / static_cast<size_t>(weights->ne[2]);
    return { static_cast<const uint8_t *>(weights->data) + static_cast<size_t>(expert) * bytes,
             { rounded + static_cast<size_t>(begin) * activation_bytes(weights->ne[0] / block),
               plan.begin[expert + 1] - begin },
             plan.outs + begin };
}

template <class Layout> void multiply_part(const Part & part, int64_t blocks, int64_t first, int64_t last) {
    for (int64_t token = 0; token < part.activations.tokens; token += tokens_at_once) {
        multiply_rows<Layout>(part.weights, blocks, part.activations, part.outs + token, first, last, token,
                              std::min(tokens_at_once, part.activations.tokens - token));
    }
}

void multiply_part(const ggml_tensor * product, const Part & part, int64_t first, int64_t last) {
#define MULTIPLY(format, ggml_block) \
    case GGML_TYPE_##format: return multiply_part<format>(part, product->src[0]->ne[0] / block, first, last);
    switch (product->src[0]->type) {
        LUUP_KERNEL_FORMATS(MULTIPLY)
        default: GGML_ABORT("no kernel for %s", ggml_type_name(product->src[0]->type));
    }
#undef MULTIPLY
}

bool is_small(const ggml_tensor * product) {
    return count_rows(product) * product->src[0]->ne[0] <= rounded_by_each;
}

size_t rounded_bytes(const ggml_tensor * product) {
    return static_cast<size_t>(count_rows(product)) * activation_bytes(product->src[0]->ne[0] / block);
}

}  // namespace

size_t experts_scratch_size(int threads, const ggml_tensor * product) {
    const auto copies = static_cast<size_t>(threads);
    return plan_bytes(product) * copies + rounded_bytes(product) * (is_small(product) ? copies : 1);
}

void multiply_experts(const ggml_compute_params * params, ggml_tensor * product) {
    GGML_ASSERT(params->wsize >= experts_scratch_size(params->nth, product));
    const ggml_tensor * weights = product->src[0];
    const int64_t       groups = weights->ne[1] / lanes, experts = count_experts(product);
    auto * const        scratch = static_cast<uint8_t *>(params->wdata);
    const auto          ith = static_cast<size_t>(params->ith), nth = static_cast<size_t>(params->nth);
    const Plan          plan    = make_plan(product, scratch + ith * plan_bytes(product));
    uint8_t *           rounded = scratch + nth * plan_bytes(product);
    const bool          small   = is_small(product);
    rounded += small ? ith * rounded_bytes(product) : 0;

    if (!small && params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    for (int64_t expert = 0; expert < experts; expert++) {
        const Part part = part_of(product, plan, rounded, expert);
        round_rows(plan.rows + plan.begin[expert], part.activations.tokens, weights->ne[0], small ? 0 : params->ith,
                   small ? 1 : params->nth, const_cast<uint8_t *>(part.activations.bytes));
    }
    if (small) {
        for (int64_t expert = 0; expert < experts; expert++) {
            if (plan.begin[expert + 1] > plan.begin[expert]) {
                multiply_part(product, part_of(product, plan, rounded, expert), groups * params->ith / params->nth,
                              groups * (params->ith + 1) / params->nth);
            }
        }
        return;
    }
    ggml_barrier(params->threadpool);

    const int64_t at_once = groups_at_once(weights, groups, params->nth);
    const int64_t parts   = (groups + at_once - 1) / at_once;
    int64_t       before  = 0;  // parts of the experts before this one
    int64_t       next    = params->ith;
    for (int64_t expert = 0; expert < experts; expert++) {
        if (plan.begin[expert + 1] == plan.begin[expert]) {
            continue;
        }
        for (; next < before + parts; next = ggml_threadpool_chunk_add(params->threadpool, 1)) {
            const int64_t first = (next - before) * at_once;
            multiply_part(product, part_of(product, plan, rounded, expert), first, std::min(groups, first + at_once));
        }
        before += parts;
    }
}

}  // namespace luup::kernels
