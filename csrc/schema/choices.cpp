#include "schema/choices.h"

#include "base/json.h"
#include "schema/plan_ids.h"
#include "schema/plans.h"
#include "schema/pointer.h"

#include <algorithm>
#include <utility>

namespace luup {

namespace {

// Walks the text of an instance, which is JSON, along the plans.
class ChoiceFinder {
  public:
    ChoiceFinder(const SchemaPlans & plans, const std::string & text) : plans_(plans), text_(text) {}

    std::vector<SchemaChoice> run() {
        value({ plans_.root() }, "");
        return std::move(out_);
    }

  private:
    char peek() {
        while (at_ < text_.size() && is_json_space(text_[at_])) {
            at_++;
        }
        return at_ < text_.size() ? text_[at_] : '\0';
    }

    void string() {
        for (at_++; at_ < text_.size() && text_[at_] != '"'; at_++) {
            at_ += text_[at_] == '\\';
        }
        at_++;
    }

    void value(const std::vector<int> & ids, const std::string & pointer) {
        const char   first = peek();
        const size_t begin = at_;
        if (first == '{' || first == '[') {
            container(first == '{', ids, pointer);
        } else if (first == '"') {
            string();
        } else {
            while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '}' && text_[at_] != ']' &&
                   !is_json_space(text_[at_])) {
                at_++;
            }
        }
        at_ = std::min(at_, text_.size());
        if (is_choice(ids, text_.substr(begin, at_ - begin))) {
            out_.push_back({ pointer, begin, at_ });
        }
    }

    void container(bool is_object, const std::vector<int> & ids, const std::string & pointer) {
        const Json                      whole = try_read_json(text_.substr(at_, end_of_value() - at_));
        std::vector<const ObjectPlan *> objects;
        std::vector<const ArrayPlan *>  arrays;
        for (const int id : ids) {
            for (const ObjectPlan & o : plans_.plan(id).objects) {
                if (is_object && fits(o, whole)) {
                    objects.push_back(&o);
                }
            }
            for (const ArrayPlan & a : plans_.plan(id).arrays) {
                if (!is_object && fits(a, whole)) {
                    arrays.push_back(&a);
                }
            }
        }
        at_++;
        const char shut = is_object ? '}' : ']';
        for (size_t n = 0; at_ < text_.size() && peek() != shut; n++) {
            std::string      key = is_object ? name() : std::to_string(n);
            std::vector<int> next;
            for (const ObjectPlan * o : objects) {
                add_property(next, *o, key);
            }
            for (const ArrayPlan * a : arrays) {
                add_id(next, a->item(n));
            }
            value(next, pointer_to(pointer, key));
            if (peek() == ',') {
                at_++;
            }
        }
        at_++;
    }

    std::string name() {
        const size_t begin = at_;
        string();
        const Json name = try_read_json(text_.substr(begin, at_ - begin));
        peek();
        at_++;
        return name.is_string() ? name.get<std::string>() : "";
    }

    size_t end_of_value() const {
        JsonBrackets brackets;
        for (size_t i = at_, before = 0; i < text_.size(); i++) {
            const size_t open = brackets.read(text_[i]);
            if (before == 1 && open == 0) {
                return i + 1;
            }
            before = open;
        }
        return text_.size();
    }

    // Whether a value follows a plan, which then gives the plans of its parts.
    bool fits(const ObjectPlan & plan, const Json & value) const {
        if (!value.is_object()) {
            return false;
        }
        return std::all_of(plan.properties.begin(), plan.properties.end(), [&](const auto & p) {
            const auto it = value.find(p.name);
            return it == value.end() ? !p.required : plans_.accepts(p.demands, *it);
        });
    }

    bool fits(const ArrayPlan & plan, const Json & value) const {
        if (!value.is_array() || value.size() < plan.min || (plan.max && value.size() > *plan.max)) {
            return false;
        }
        for (size_t i = 0; i < value.size(); i++) {
            if (!plans_.accepts(plan.item(i), value[i])) {
                return false;
            }
        }
        return true;
    }

    bool is_choice(const std::vector<int> & ids, const std::string & text) const {
        const bool possible = std::any_of(ids.begin(), ids.end(), [&](int id) { return is_finite(plans_.plan(id)); });
        if (!possible) {
            return false;
        }
        const Json v = try_read_json(text);
        return !v.is_discarded() && std::any_of(ids.begin(), ids.end(), [&](int id) {
            return is_finite(plans_.plan(id)) && plans_.accepts(id, v);
        });
    }

    static bool is_finite(const Plan & plan) {
        return plan.is_listed() &&
               std::any_of(plan.values.begin(), plan.values.end(), [](const Json & v) { return !v.is_null(); });
    }

    const SchemaPlans &       plans_;
    const std::string &       text_;
    size_t                    at_ = 0;
    std::vector<SchemaChoice> out_;
};

}  // namespace

std::vector<SchemaChoice> find_choices(const SchemaPlans & plans, const std::string & instance_text) {
    if (try_read_json(instance_text).is_discarded()) {
        return {};
    }
    return ChoiceFinder(plans, instance_text).run();
}

}  // namespace luup
