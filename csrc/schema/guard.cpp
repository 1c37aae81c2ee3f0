#include "schema/guard.h"

#include "schema/equality.h"
#include "base/json.h"
#include "schema/plan_ids.h"
#include "schema/plans.h"

#include <algorithm>
#include <utility>

namespace luup {

namespace {

std::vector<int> items_of(const SchemaPlans & plans, const std::vector<int> & ids, size_t index) {
    std::vector<int> out;
    for (const int id : ids) {
        for (const ArrayPlan & a : plans.plan(id).arrays) {
            add_id(out, a.item(index));
        }
        if (id == SchemaPlans::any) {
            add_id(out, id);
        }
    }
    return out;
}

std::vector<int> property_of(const SchemaPlans & plans, const std::vector<int> & ids, const std::string & name) {
    std::vector<int> out;
    for (const int id : ids) {
        for (const ObjectPlan & o : plans.plan(id).objects) {
            add_property(out, o, name);
        }
        if (id == SchemaPlans::any) {
            add_id(out, id);
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

}  // namespace

// A list that grows at its head, so that copies of a guard share the rest.
struct SchemaGuard::Seen {
    std::string                 text;
    std::shared_ptr<const Seen> before;
};

struct SchemaGuard::Level {
    bool                         is_object;
    std::vector<int>             plans;
    std::shared_ptr<const Seen>  seen;
    size_t                       n_items   = 0;
    bool                         unique    = false;  // an array with uniqueItems
    bool                         at_name   = false;  // in an object: a name is next, not a value
    bool                         in_item   = false;  // in an array: an item is next or has begun
    size_t                       raw_begin = 0;      // of a unique array: where its current item begins in raw_
    std::shared_ptr<const Level> below;
    bool                         keeps_raw = false;  // whether this container or one below is a unique array
};

SchemaGuard::SchemaGuard(std::shared_ptr<const Schema> schema)
    : schema_(std::move(schema)), next_{ schema_->plans().root() } {}

bool SchemaGuard::accept(std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [&](char c) { return step(c); });
}

// Only the end of a name or value can complete a repeated one.
bool SchemaGuard::may_refuse(std::string_view bytes) const {
    if (in_string_ && length_.may_refuse(bytes.size())) {
        return true;
    }
    return bytes.find_first_of(in_string_ ? "\"" : "\",:]} \n\t\r") != std::string_view::npos;
}

bool SchemaGuard::at_risk() const {
    if (in_string_ && length_.at_risk()) {
        return true;
    }
    // An unfinished string can become only those that begin with it. A name with an escape can be
    // spelled in several ways, so it may become any.
    const auto goes_on = [&](const std::string & written, const std::string & seen) {
        return !in_string_ || written.find('\\') != std::string::npos || seen.compare(0, written.size(), written) == 0;
    };
    for (const Level * level = top_.get(); level; level = level->below.get()) {
        const bool innermost = level == top_.get();
        const bool name      = level->is_object && level->at_name && innermost;
        if (!name && !(level->unique && level->in_item)) {
            continue;
        }
        const std::string written = name && in_string_ ? token_.substr(1) : innermost ? token_ : "";
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
        return length_.accept(c);
    }
    const bool structural = c == ',' || c == ':' || c == ']' || c == '}' || is_json_space(c);
    if (scalar_ && structural) {
        scalar_ = false;
        if (!end_value()) {
            return false;
        }
    }
    if (keep && !is_json_space(c)) {
        const bool separates = c == ',' && top_->unique;
        if (!separates) {
            raw_ += c;
        }
    }
    if (c == '"') {
        in_string_ = true;
        token_     = "\"";
        length_    = top_ && top_->at_name ? LengthCount() : LengthCount(schema_->plans(), next_);
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
            next_ = items_of(schema_->plans(), level->plans, level->n_items);
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
    level->unique    = !level->is_object && must_be_unique(schema_->plans(), next_);
    level->below     = top_;
    level->keeps_raw = level->unique || (top_ && top_->keeps_raw);
    level->raw_begin = raw_.size();
    top_             = level;
    if (!level->is_object) {
        next_ = items_of(schema_->plans(), level->plans, 0);
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
        const Json name = try_read_json(token_);
        text            = name.is_string() ? name.get<std::string>() : token_;
        level->at_name  = false;
        next_           = property_of(schema_->plans(), level->plans, text);
    } else if (level->unique) {
        const Json item = try_read_json(raw_.substr(level->raw_begin));
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

}  // namespace luup
