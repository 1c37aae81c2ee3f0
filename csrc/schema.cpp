#include "schema.h"

#include "schema_grammar.h"
#include "schema_node.h"
#include "schema_normal.h"
#include "schema_validate.h"

namespace luup {

Schema::Schema(const std::string & json)
    : document_(std::make_unique<SchemaDocument>(json)),
      validator_(std::make_unique<SchemaValidator>(*document_)),
      plans_(std::make_unique<SchemaPlans>(*document_)),
      text_(document_->json().dump()) {
    needs_guard_ = plan_needs_guard();
    grammar("root", Spacing::OneSpace);  // refused now if it would be too large later
}

Schema::~Schema() = default;

std::shared_ptr<const Schema> Schema::compile(const std::string & json) {
    return std::shared_ptr<const Schema>(new Schema(json));
}

std::string Schema::grammar(const std::string & prefix, Spacing spacing) const {
    return write_grammar(*plans_, prefix, spacing);
}

std::string Schema::validate(const nlohmann::ordered_json & instance) const {
    return validator_->error(document_->root(), instance);
}

bool Schema::is_object() const {
    const Plan & plan = plans_->plan(plans_->root());
    if (plan.any || !plan.numbers.empty() || !plan.strings.empty() || !plan.arrays.empty()) {
        return false;
    }
    for (const Json & v : plan.values) {
        if (!v.is_object()) {
            return false;
        }
    }
    return true;
}

}  // namespace luup
