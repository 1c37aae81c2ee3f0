#include "model/context_trial.h"

#include "base/child_trial.h"
#include "base/error.h"
#include "base/log.h"
#include "model/cache_type.h"
#include "model/header_trial.h"
#include "model/rope_scaling.h"

#include "llama-cpp.h"

#include <stdexcept>

namespace luup {

void check_context_settings(const std::string & path, const luup_model_params & params) {
    const CacheTypes  types   = cache_types(params);
    const RopeScaling scaling = rope_scaling(params);
    if (types.are_default() && !scaling.is_given()) {
        return;
    }
    const llama_model_ptr model = read_header(path);
    if (!model) {
        return;  // the load itself fails again, and says why
    }
    check_cache_types(model.get(), types);
    check_rope_scaling(model.get(), scaling);
    const auto make_context = [&] {
        llama_context_params c = smallest_context();
        c.type_k               = types.keys;
        c.type_v               = types.values;
        scaling.apply(c);
        const LogCapture        log;
        const llama_context_ptr context(llama_init_from_model(model.get(), c));
        if (!context) {
            throw std::runtime_error(log.text());
        }
    };
    TrialEnd          end;
    const std::string reason = try_in_child(make_context, header_limits, &end);
    if (!reason.empty() && end != TrialEnd::Killed) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s can't be used with cache_type %s%s: %s", path.c_str(), types.text().c_str(),
             scaling.is_given() ? " and this rope_scaling" : "", reason.c_str());
    }
}

}  // namespace luup
