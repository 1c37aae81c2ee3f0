#include "answer/call_judge.h"

#include "base/json.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

// Thresholds for the first call of an answer. Its score is the weighted log-probability of its beginning and name, plus
// the mean log-probability of its arguments, less a penalty for values that were made up.
struct Measure {
    double min_start;  // log-probability of the beginning alone
    double weight;     // of beginning and name
    double penalty;    // if all values were made up
    double min_score;
};
constexpr Measure taught_measure = { -2.3, 1, 1.5, -2.3 };

// A model that was not trained to write calls prefers text, and names tools in its own words: its values are better
// evidence than its names.
constexpr Measure untaught_measure = { -5, 0.25, 2.5, -3 };

// Lower log-probabilities count as these, so that one long text does not decide everything.
constexpr double name_floor     = -6;
constexpr double argument_floor = -4;

// The name and values of one more call have to be at least as probable as not.
const double min_next_score = std::log(0.5);

// An optional argument that was not mentioned stays only if its value is at least this probable.
const double sure = std::log(0.9);

bool is_name_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
}

const Measure & measure_of(bool taught) {
    return taught ? taught_measure : untaught_measure;
}

// Whether a piece of text has a letter, a digit, or a part of a character beyond ASCII.
bool has_content(const std::string & text, size_t begin, size_t end) {
    return std::any_of(text.begin() + static_cast<std::ptrdiff_t>(begin),
                       text.begin() + static_cast<std::ptrdiff_t>(std::min(end, text.size())),
                       [](unsigned char c) { return std::isalnum(c) || c >= 0x80; });
}

std::vector<std::string> names_in(const json & object) {
    std::vector<std::string> names;
    for (const auto & member : object.items()) {
        names.push_back(member.key());
    }
    return names;
}

// Whether `all` has every argument of `part` with the same value: it is the same call with more detail.
bool holds(const json & all, const json & part) {
    return std::all_of(part.items().begin(), part.items().end(), [&](const auto & argument) {
        return all.contains(argument.key()) && all[argument.key()] == argument.value();
    });
}

// Returns the enum of an array argument's items, as the schema writes it; null if there is none.
json choices_of(const Tool & tool, const std::string & argument) {
    const json schema = read_json(tool.parameters->text(), "the schema");
    const auto at     = json::json_pointer("/properties") / argument / "items" / "enum";
    return schema.contains(at) ? schema[at] : json();
}

bool contains(const std::vector<std::string> & names, const std::string & name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

bool CallJudge::may_begin(double start, bool taught) {
    return start >= measure_of(taught).min_start;
}

void CallJudge::add(size_t begin, size_t end, double log_probability, bool choice) {
    pieces_.push_back({ begin, end, log_probability, choice });
}

std::string CallJudge::before_name(const std::string & dictated) const {
    if (name_end_ > 0) {
        return dictated;
    }
    size_t end = dictated.size();
    for (const Tool & tool : tools_->tools()) {
        end = std::min(end, dictated.find(tool.name));
    }
    return end == dictated.size() && tools_->tools().size() == 1 ? "" : dictated.substr(0, end);
}

// Finds the first whole name of a tool in the call. Returns whether there is one.
bool CallJudge::find_name(const std::string & text) {
    if (name_end_ > 0) {
        return true;
    }
    size_t best = std::string::npos;
    for (const Tool & tool : tools_->tools()) {
        for (size_t at = text.find(tool.name, begin_); at != std::string::npos && at < best;
             at        = text.find(tool.name, at + 1)) {
            const size_t end    = at + tool.name.size();
            const bool   begins = at == begin_ || !is_name_character(text[at - 1]);
            if (begins && end < text.size() && !is_name_character(text[end])) {
                best        = at;
                name_begin_ = at;
                name_end_   = end;
                break;
            }
        }
    }
    const Tool * tool =
        best == std::string::npos ? nullptr : tools_->find(text.substr(name_begin_, name_end_ - name_begin_));
    if (tool) {
        const json schema = read_json(tool->parameters->text(), "the schema");
        parameters_       = names_in(schema.value("properties", json::object()));
        required_         = schema.value("required", std::vector<std::string>());
    }
    return tool != nullptr;
}

double CallJudge::name_score() const {
    double sum = 0;
    for (const Piece & piece : pieces_) {
        sum += piece.begin < name_end_ && piece.end > name_begin_ ? piece.log_probability : 0;
    }
    return sum;
}

// Returns the arguments called `names`, which are in the order in which they were written.
std::vector<CallJudge::Argument> CallJudge::arguments(const std::string &              text,
                                                      const std::vector<std::string> & names) const {
    std::vector<Argument> list;
    size_t                at = name_end_;
    for (const std::string & name : names) {
        const std::string quoted = json(name).dump();
        size_t            key    = text.find(quoted, at);
        size_t            length = quoted.size();
        if (key == std::string::npos) {
            key    = text.find(name, at);
            length = name.size();
        }
        if (key == std::string::npos) {
            continue;
        }
        if (!list.empty()) {
            list.back().end = key;
        }
        at = key + length;
        list.push_back({ name, at, text.size(), 0 });
    }
    for (Argument & argument : list) {
        for (const Piece & piece : pieces_) {
            if (piece.choice && piece.begin >= argument.begin && piece.end <= argument.end &&
                has_content(text, piece.begin, piece.end)) {
                argument.log_probability += piece.log_probability;
            }
        }
    }
    return list;
}

double CallJudge::begin_score() const {
    return measure_of(taught_).weight * (start_ + std::max(name_floor, name_score()));
}

// Returns the mean log-probability of the `count` required arguments, or of all if none is required.
double CallJudge::arguments_score(const std::vector<Argument> & all, size_t count) const {
    double sum = 0;
    for (const Argument & argument : all) {
        sum += required_.empty() || contains(required_, argument.name)
                   ? std::max(argument_floor, argument.log_probability)
                   : 0;
    }
    return count > 0 ? sum / static_cast<double>(count) : 0;
}

// Returns the parameters that the call names so far, in their order in the text.
std::vector<std::string> CallJudge::named(const std::string & text) const {
    std::vector<std::pair<size_t, std::string>> places;
    for (const std::string & name : parameters_) {
        const size_t at = text.find(json(name).dump(), name_end_);
        if (at != std::string::npos) {
            places.emplace_back(at, name);
        }
    }
    std::sort(places.begin(), places.end());
    std::vector<std::string> names;
    for (auto & place : places) {
        names.push_back(std::move(place.second));
    }
    return names;
}

bool CallJudge::may_be_meant(const std::string & text) {
    if (!find_name(text)) {
        return true;
    }
    if (!first_) {
        return name_score() >= min_next_score;
    }
    const double least = measure_of(taught_).min_score;
    const double begun = begin_score();
    if (begun < least || !pieces_.back().choice) {  // dictated text changes nothing
        return begun >= least;
    }
    return begun + arguments_score(arguments(text, named(text)),
                                   required_.empty() ? parameters_.size() : required_.size()) >=
           least;
}

bool CallJudge::is_meant(const std::string & text, const ToolCall & call, const std::vector<ToolCall> & earlier) {
    const Tool * tool   = tools_->find(call.name);
    const json   values = try_read_json(call.arguments);
    if (!tool || !values.is_object() || !find_name(text)) {
        return false;
    }
    const auto all = arguments(text, names_in(values));
    if (!first_) {
        // One more call of the same tool needs a value of its own.
        const double      sum = std::accumulate(all.begin(), all.end(), name_score(),
                                                [](double s, const Argument & a) { return s + a.log_probability; });
        std::vector<json> used;
        for (const ToolCall & other : earlier) {
            const json before = try_read_json(other.arguments);
            if (other.name == call.name && (holds(before, values) || holds(values, before))) {
                return false;
            }
            const auto more = leaves(before);
            used.insert(used.end(), more.begin(), more.end());
        }
        const auto mine = leaves(values);
        return sum >= min_next_score && (mine.empty() || std::any_of(mine.begin(), mine.end(), [&](const json & leaf) {
                                             return given_->mentions_anew(leaf, used);
                                         }));
    }
    const Measure & measure = measure_of(taught_);
    return begin_score() + arguments_score(all, required_.empty() ? all.size() : required_.size()) -
               measure.penalty * given_->missing(values) >=
           measure.min_score;
}

// Returns an array without the texts that were not mentioned, where the model was unsure of them or `copied` all values
// that the schema allows: small models continue a list with whatever else could be in it. The array stays as it is if
// nothing would be left.
json CallJudge::without_guesses(const std::string & text, const Argument & argument, const json & items,
                                bool copied) const {
    json   kept = json::array();
    size_t at   = argument.begin;
    for (const json & item : items) {
        const std::string quoted = item.dump();
        const size_t      begin  = text.find(quoted, at);
        if (!item.is_string() || begin == std::string::npos || begin >= argument.end) {
            return items;
        }
        const size_t end = begin + quoted.size();
        double       sum = 0;
        for (const Piece & piece : pieces_) {
            sum += piece.choice && piece.end > at && piece.begin < end ? piece.log_probability : 0;
        }
        if ((sum >= sure && !copied) || given_->mentions(item)) {
            kept.push_back(item);
        }
        at = end;
    }
    return kept.empty() ? items : kept;
}

ToolCall CallJudge::without_guesses(const std::string & text, const ToolCall & call) {
    const Tool * tool   = tools_->find(call.name);
    const json   whole  = read_json(call.arguments, "the arguments of a call");
    json         values = whole;
    if (!tool || !find_name(text)) {
        return call;
    }
    for (const Argument & argument : arguments(text, names_in(values))) {
        const json & value = values[argument.name];
        const bool   guess = argument.log_probability < sure && !value.is_boolean() && given_->missing(value) == 1;
        if (guess && !contains(required_, argument.name)) {
            values.erase(argument.name);
        } else if (value.is_array()) {
            json shorter           = values;
            shorter[argument.name] = without_guesses(text, argument, value, value == choices_of(*tool, argument.name));
            if (tool->parameters->validate(shorter).empty()) {
                values = std::move(shorter);
            }
        }
    }
    return values == whole ? call : ToolCall{ call.id, call.name, values.dump() };
}

}  // namespace luup
