// Several models that stand in for each other.
#pragma once

#include "model/model.h"

#include <memory>
#include <vector>

namespace luup {

// The first of its models answers; when that fails before anything of the answer was reported, the next one does.
// Shares the ownership of its models; closing it leaves them open.
class FallbackModel : public Model {
  public:
    // Throws Error(LUUP_ERROR_INVALID_PARAM) if one of `models` is a fallback itself, or (LUUP_ERROR_FORKED).
    static std::shared_ptr<FallbackModel> make(const std::vector<std::shared_ptr<Model>> & models);

    size_t        candidates() const override { return models_.size(); }
    SingleModel & candidate(size_t index) override { return *models_.at(index); }
    UseLock       use_candidate(size_t index) const override { return models_.at(index)->use(); }
    void          interrupt() override;
    void          disown(uint64_t owner) override;
    void          check(Sampling sampling) const override;

  private:
    using Models = std::vector<std::shared_ptr<SingleModel>>;

    FallbackModel(const std::string & name, Models models)
        : Model(name, plain_info(name, "fallback")), models_(std::move(models)) {}

    void shut_down(std::unique_lock<std::shared_mutex> &) override {}

    const Models models_;
};

}  // namespace luup
