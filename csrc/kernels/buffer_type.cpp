#include "attention.h"
#include "interleaved.h"

#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"
#include "traits.h"

#include <array>

namespace luup::kernels {

namespace {

// Returns whether the weights are in a buffer of ours.
bool is_product(const ggml_tensor * op) {
    return (op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_MUL_MAT_ID) && op->src[0]->buffer &&
           op->src[0]->buffer->buft == interleaved_buffer_type();
}

class Product final : public ggml::cpu::tensor_traits {
    bool work_size(int threads, const ggml_tensor * product, size_t & size) override {
        size = scratch_size(threads, product);
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * product) override {
        multiply(params, &product, 1);
        return true;
    }
};

class ProductOfExperts final : public ggml::cpu::tensor_traits {
    bool work_size(int threads, const ggml_tensor * product, size_t & size) override {
        size = experts_scratch_size(threads, product);
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * product) override {
        multiply_experts(params, product);
        return true;
    }
};

class Attending final : public ggml::cpu::tensor_traits {
    bool work_size(int threads, const ggml_tensor * attention, size_t & size) override {
        size = attention_scratch(threads, attention);
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * attention) override {
        attend(params, attention);
        return true;
    }
};

class Kind final : public ggml::cpu::extra_buffer_type {
    bool supports_op(ggml_backend_dev_t, const ggml_tensor * op) override {
        if (!is_product(op)) {
            return false;
        }
        const ggml_tensor * input = op->src[1];
        return can_interleave(op->src[0]) && (op->op == GGML_OP_MUL_MAT_ID || op->src[0]->ne[2] == 1) &&
               input->type == GGML_TYPE_F32 && input->nb[0] == sizeof(float) &&
               (!input->buffer || ggml_backend_buft_is_host(input->buffer->buft));
    }

    // ggml calls this for each operation; null means that it is not one of ours.
    ggml::cpu::tensor_traits * get_tensor_traits(const ggml_tensor * op) override {
        if (op->op == GGML_OP_FLASH_ATTN_EXT) {
            return can_attend(op) ? &attending : nullptr;
        }
        if (!is_product(op)) {
            return nullptr;
        }
        return op->op == GGML_OP_MUL_MAT_ID ? static_cast<ggml::cpu::tensor_traits *>(&experts) : &product;
    }

    Product          product;
    ProductOfExperts experts;
    Attending        attending;
};

void set_tensor(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    GGML_ASSERT(offset == 0 && size == ggml_nbytes(tensor));
    interleave(tensor, data, tensor->data);
}

ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
    if (buffer) {
        buffer->buft             = type;
        buffer->iface.set_tensor = set_tensor;
        buffer->iface.get_tensor = nullptr;  // weights are never read back
        buffer->iface.cpy_tensor = nullptr;
    }
    return buffer;
}

}  // namespace

ggml_backend_buffer_type * interleaved_buffer_type() {
    static Kind                     kind;
    static ggml_backend_buffer_type type = [] {
        ggml_backend_buffer_type made = {};
        made.iface.get_name           = [](ggml_backend_buffer_type_t) { return "CPU_INTERLEAVED"; };
        made.iface.alloc_buffer       = allocate;
        made.iface.get_alloc_size     = [](ggml_backend_buffer_type_t, const ggml_tensor * tensor) {
            return can_interleave(tensor) ? interleaved_bytes(tensor) : ggml_nbytes(tensor);
        };
        made.iface.get_alignment = [](ggml_backend_buffer_type_t) { return size_t(64); };
        made.device              = ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0);
        made.context             = static_cast<ggml::cpu::extra_buffer_type *>(&kind);
        return made;
    }();
    return &type;
}

int multiply_together(const ggml_compute_params * params, const ggml_cgraph * graph, int first) {
    constexpr size_t                most = 4;
    std::array<ggml_tensor *, most> products;
    const ggml_tensor *             input = graph->nodes[first]->src[1];
    size_t                          count = 0;
    int                             last  = first;
    for (int i = first; i < graph->n_nodes && count < most; i++) {
        ggml_tensor * node = graph->nodes[i];
        if (count > 0 && ggml_op_is_empty(node->op)) {
            continue;  // a view, for which there is nothing to compute
        }
        if (node->op != GGML_OP_MUL_MAT || node->src[1] != input || !is_product(node) ||
            (node->flags & GGML_TENSOR_FLAG_COMPUTE) == 0) {
            break;
        }
        products[count++] = node;
        last              = i;
    }
    if (count < 2) {
        return 0;
    }
    multiply(params, products.data(), count);
    return last - first;
}

}  // namespace luup::kernels
