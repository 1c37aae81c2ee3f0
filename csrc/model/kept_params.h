// The parameters of a load that can be repeated later.
#pragma once

#include "luup_agent.h"

#include <optional>
#include <string>
#include <vector>

namespace luup {

// A copy of luup_model_params that owns what these point to. Paths become absolute: the program may change its working
// directory. The progress function is left out, because it ends with the first load.
class KeptParams {
  public:
    explicit KeptParams(const luup_model_params & params);

    // Valid while this object lives.
    luup_model_params view() const;

  private:
    luup_model_params          numbers_;  // the fields that are not pointers
    std::optional<std::string> prefix_cache_, mmproj_, weights_cache_, chat_template_, cache_type_k_, cache_type_v_,
        rope_scaling_, draft_;
    std::vector<std::string>  devices_, servers_;
    std::vector<const char *> device_texts_, server_texts_;
    std::vector<float>        tensor_split_;

    std::vector<std::string>       adapter_names_, adapter_paths_;
    std::vector<luup_adapter_file> adapters_;
};

}  // namespace luup
