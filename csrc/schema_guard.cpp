// Where in a schema a place of an instance's text is: for what must not come twice, and for the choices in an answer.
#include "schema.h"

#include "schema_format.h"
#include "schema_grammar.h"
#include "schema_normal.h"

#include <algorithm>

namespace luup {

namespace {

void take(std::vector<int> & all, int id) {
    if (std::find(all.begin(), all.end(), id) == all.end()) {
        all.push_back(id);
    }
}

// The plans that the item at `index` of an array may follow.
void add_item(const ArrayPlan & plan, size_t index, std::vector<int> & out) {
    take(out, index < plan.prefix.size() ? plan.prefix[index] : plan.items);
}

void add_property(const ObjectPlan & plan, const std::string & name, std::vector<int> & out) {
    const auto found = std::find_if(plan.properties.begin(), plan.properties.end(), [&](const auto & p) { return p.name == name; });
    if (found != plan.properties.end()) {
        take(out, found->demands);
        return;
    }
    for (const auto & f : plan.free) {
        take(out, f.demands);
    }
}

std::vector<int> items_of(const SchemaPlans & plans, const std::vector<int> & ids, size_t index) {
    std::vector<int> out;
    for (const int id : ids) {
        for (const ArrayPlan & a : plans.plan(id).arrays) {
            add_item(a, index, out);
        }
        if (id == SchemaPlans::any) {
            take(out, id);
        }
    }
    return out;
}

std::vector<int> property_of(const SchemaPlans & plans, const std::vector<int> & ids, const std::string & name) {
    std::vector<int> out;
    for (const int id : ids) {
        for (const ObjectPlan & o : plans.plan(id).objects) {
            add_property(o, name, out);
        }
        if (id == SchemaPlans::any) {
            take(out, id);
        }
    }
    return out;
}

bool must_be_unique(const SchemaPlans & plans, const std::vector<int> & ids) {
    return std::any_of(ids.begin(), ids.end(), [&](int id) {
        const auto & arrays = plans.plan(id).arrays;
        return std::any_of(arrays.begin(), arrays.end(), [&](const ArrayPlan & a) { return a.unique; });
    });
}

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

}  // namespace

bool Schema::plan_needs_guard() const {
    for (size_t i = 0; i < plans_->size(); i++) {
        const Plan & plan = plans_->plan(static_cast<int>(i));
        if (plans_->rank(static_cast<int>(i)) >= SchemaPlans::impossible) {
            continue;
        }
        for (const ArrayPlan & a : plan.arrays) {
            if (a.unique && !is_ordered_subset(*plans_, a) && a.max.value_or(2) > 1) {
                return true;
            }
            if ((a.items == SchemaPlans::any && a.max.value_or(UINT64_MAX) > a.prefix.size()) ||
                std::count(a.prefix.begin(), a.prefix.end(), SchemaPlans::any) > 0) {
                return true;
            }
        }
        for (const ObjectPlan & o : plan.objects) {
            if (!o.free.empty() || std::any_of(o.properties.begin(), o.properties.end(), [](const auto & p) { return p.demands == SchemaPlans::any; })) {
                return true;
            }
        }
    }
    return plans_->root() == SchemaPlans::any;
}

// --- guard ---

// Lists that grow at the head, so that copies of a guard share them.
struct SchemaGuard::Seen {
    std::string                 text;
    std::shared_ptr<const Seen> before;
};

struct SchemaGuard::Level {
    bool                         is_object;
    std::vector<int>             plans;
    std::shared_ptr<const Seen>  seen;
    size_t                       n_items   = 0;
    bool                         unique    = false;
    bool                         at_name   = false;  // of an object: a name is next, not a value
    bool                         in_item   = false;  // of an array: an item is next, or has begun
    size_t                       raw_begin = 0;      // of a unique array: where its item began in the raw text
    std::shared_ptr<const Level> below;
    bool                         keeps_raw = false;  // this one or one below is a unique array
};

SchemaGuard::SchemaGuard(std::shared_ptr<const Schema> schema) : schema_(std::move(schema)), next_{ schema_->plans_->root() } {}

bool SchemaGuard::accept(std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [&](char c) { return step(c); });
}

// Only the end of a name or of a value can be wrong.
bool SchemaGuard::may_refuse(std::string_view bytes) const {
    return bytes.find_first_of(in_string_ ? "\"" : "\",:]} \n\t\r") != std::string_view::npos;
}

bool SchemaGuard::at_risk() const {
    // Of a string under way only those count that begin alike; with an escape in it, a name can be spelled in several ways.
    const auto goes_on = [&](const std::string & written, const std::string & seen) {
        return !in_string_ || written.find('\\') != std::string::npos || seen.compare(0, written.size(), written) == 0;
    };
    for (const Level * level = top_.get(); level; level = level->below.get()) {
        const bool innermost = level == top_.get();
        const bool name      = level->is_object && level->at_name && innermost;
        if (!name && !(level->unique && level->in_item)) {
            continue;
        }
        const std::string written = name && in_string_ ? token_.substr(1) : innermost ? token_
                                                                                      : "";
        for (const Seen * s = level->seen.get(); s; s = s->before.get()) {
            if (goes_on(written, s->text)) {
                return true;
            }
        }
    }
    return false;
}

bool SchemaGuard::step(char c) {
    const bool keep = top_ && top_->keeps_raw;
    if (in_string_) {
        if (keep) {
            raw_ += c;
        }
        token_ += c;
        if (escaped_) {
            escaped_ = false;
        } else if (c == '\\') {
            escaped_ = true;
        } else if (c == '"') {
            in_string_ = false;
            return end_value();
        }
        return true;
    }
    const bool structural = c == ',' || c == ':' || c == ']' || c == '}' || is_space(c);
    if (scalar_ && structural) {
        scalar_ = false;
        if (!end_value()) {
            return false;
        }
    }
    if (keep && !is_space(c)) {
        const bool separates = c == ',' && top_->unique;
        if (!separates) {
            raw_ += c;
        }
    }
    if (c == '"') {
        in_string_ = true;
        token_     = "\"";
        return true;
    }
    if (c == '{' || c == '[') {
        return open(c);
    }
    if (c == '}' || c == ']') {
        if (!top_) {
            return true;
        }
        if (top_->unique) {
            raw_.pop_back();  // the bracket belongs to the array, not to an item
        }
        top_ = top_->below;
        if (top_ && top_->keeps_raw && !raw_.empty() && raw_.back() != c) {
            raw_ += c;
        }
        token_.clear();
        return end_value();
    }
    if (c == ',' && top_) {
        auto level     = std::make_shared<Level>(*top_);
        level->at_name = level->is_object;
        level->in_item = !level->is_object;
        if (level->unique) {
            level->raw_begin = raw_.size();
        }
        top_ = level;
        if (!level->is_object) {
            next_ = items_of(*schema_->plans_, level->plans, level->n_items);
        }
        return true;
    }
    if (!structural) {
        scalar_ = true;
        token_.clear();
    }
    return true;
}

bool SchemaGuard::open(char c) {
    auto level       = std::make_shared<Level>();
    level->is_object = c == '{';
    level->plans     = next_;
    level->at_name   = level->is_object;
    level->unique    = !level->is_object && must_be_unique(*schema_->plans_, next_);
    level->below     = top_;
    level->keeps_raw = level->unique || (top_ && top_->keeps_raw);
    level->raw_begin = raw_.size();
    top_             = level;
    if (!level->is_object) {
        next_ = items_of(*schema_->plans_, level->plans, 0);
    }
    return true;
}

// A name, a scalar or a container is complete.
bool SchemaGuard::end_value() {
    if (!top_) {
        return true;
    }
    auto        level = std::make_shared<Level>(*top_);
    std::string text;
    level->in_item = false;
    if (level->is_object && level->at_name) {
        const Json name = Json::parse(token_, nullptr, false);
        text            = name.is_string() ? name.get<std::string>() : token_;
        level->at_name  = false;
        next_           = property_of(*schema_->plans_, level->plans, text);
    } else if (level->unique) {
        const Json item = Json::parse(raw_.substr(level->raw_begin), nullptr, false);
        text            = item.is_discarded() ? raw_.substr(level->raw_begin) : canonical_json(item);
        level->n_items++;
    } else {
        level->n_items++;
        top_ = level;
        return true;
    }
    for (const Seen * s = level->seen.get(); s; s = s->before.get()) {
        if (s->text == text) {
            return false;
        }
    }
    level->seen = std::make_shared<Seen>(Seen{ std::move(text), level->seen });
    top_        = level;
    return true;
}

// --- choices ---

// Walks an instance's text along the plans.
class SchemaWalk {
  public:
    SchemaWalk(const Schema & schema, const std::string & text) : plans_(*schema.plans_), text_(text) {}

    std::vector<Schema::Choice> run() {
        value({ plans_.root() }, "");
        return std::move(out_);
    }

  private:
    char peek() {
        while (at_ < text_.size() && is_space(text_[at_])) {
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
            while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '}' && text_[at_] != ']' && !is_space(text_[at_])) {
                at_++;
            }
        }
        at_ = std::min(at_, text_.size());
        if (is_choice(ids, text_.substr(begin, at_ - begin))) {
            out_.push_back({ pointer, begin, at_ });
        }
    }

    void container(bool is_object, const std::vector<int> & ids, const std::string & pointer) {
        const Json                      whole = Json::parse(text_.substr(at_, end_of_value() - at_), nullptr, false);
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
                add_property(*o, key, next);
            }
            for (const ArrayPlan * a : arrays) {
                add_item(*a, n, next);
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
        const Json name = Json::parse(text_.substr(begin, at_ - begin), nullptr, false);
        peek();
        at_++;
        return name.is_string() ? name.get<std::string>() : "";
    }

    size_t end_of_value() const {
        size_t depth     = 0;
        bool   in_string = false;
        for (size_t i = at_; i < text_.size(); i++) {
            const char c = text_[i];
            if (in_string) {
                i += c == '\\';
                in_string = c != '"';
            } else if (c == '"') {
                in_string = true;
            } else if (c == '{' || c == '[') {
                depth++;
            } else if ((c == '}' || c == ']') && --depth == 0) {
                return i + 1;
            }
        }
        return text_.size();
    }

    // Which of several plans a value follows tells what its parts are.
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
            if (!plans_.accepts(i < plan.prefix.size() ? plan.prefix[i] : plan.items, value[i])) {
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
        const Json v = Json::parse(text, nullptr, false);
        return !v.is_discarded() && std::any_of(ids.begin(), ids.end(), [&](int id) { return is_finite(plans_.plan(id)) && plans_.accepts(id, v); });
    }

    static bool is_finite(const Plan & plan) {
        const bool only_values = !plan.any && plan.numbers.empty() && plan.strings.empty() && plan.arrays.empty() && plan.objects.empty();
        return only_values && std::any_of(plan.values.begin(), plan.values.end(), [](const Json & v) { return !v.is_null(); });
    }

    const SchemaPlans &         plans_;
    const std::string &         text_;
    size_t                      at_ = 0;
    std::vector<Schema::Choice> out_;
};

std::vector<Schema::Choice> Schema::choices(const std::string & instance_text) const {
    return SchemaWalk(*this, instance_text).run();
}

}  // namespace luup
