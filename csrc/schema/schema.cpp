#include "schema/schema.h"

#include "schema/document.h"
#include "schema/grammar.h"
#include "schema/planner.h"
#include "schema/plans.h"
#include "schema/prompt_text.h"
#include "schema/validate.h"

namespace luup {

Schema::Schema(const std::string & json)
    : document_(std::make_unique<SchemaDocument>(json)),
      validator_(std::make_unique<SchemaValidator>(*document_)),
      plans_(SchemaPlanner(*document_).plan()),
      text_(document_->json().dump()),
      prompt_text_(luup::prompt_text(document_->json())) {
    needs_guard_ = allows_too_much(*plans_);
    grammar("root", Spacing::OneSpace);  // throws if it is too large
}

Schema::~Schema() = default;

std::shared_ptr<const Schema> Schema::compile(const std::string & json) {
    return std::shared_ptr<const Schema>(new Schema(json));
}

std::string Schema::grammar(const std::string & prefix, Spacing spacing) const {
    return write_grammar(*plans_, prefix, spacing);
}

std::string Schema::validate(const Json & instance) const {
    return validator_->error(document_->root(), instance);
}

std::vector<SchemaChoice> Schema::choices(const std::string & instance_text) const {
    return find_choices(*plans_, instance_text);
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
