#include "model/fallback.h"

#include "base/error.h"

namespace luup {

std::shared_ptr<FallbackModel> FallbackModel::make(const std::vector<std::shared_ptr<Model>> & models) {
    Models      singles;
    std::string name;
    for (size_t i = 0; i < models.size(); i++) {
        models[i]->check_process();
        auto single = std::dynamic_pointer_cast<SingleModel>(models[i]);
        if (!single) {
            fail(LUUP_ERROR_INVALID_PARAM, "models[%zu] is a fallback itself", i);
        }
        name += (i > 0 ? ", " : "") + single->name();
        singles.push_back(std::move(single));
    }
    return std::shared_ptr<FallbackModel>(new FallbackModel(name, std::move(singles)));
}

void FallbackModel::check(Sampling sampling) const {
    if (sampling.logit_bias.empty() && sampling.adapters.empty()) {
        return;  // a model that is closed does not matter
    }
    for (const auto & model : models_) {
        const auto in_use = model->use();
        model->check(sampling);
    }
}

void FallbackModel::interrupt() {
    for (const auto & model : models_) {
        model->interrupt();
    }
}

void FallbackModel::disown(uint64_t owner) {
    for (const auto & model : models_) {
        if (!model->forked()) {
            model->disown(owner);
        }
    }
}

}  // namespace luup
