#include "answer/server_calls.h"

#include <algorithm>
#include <cstdlib>

namespace luup {

namespace {

constexpr size_t max_calls = 256;  // of one answer

constexpr const char * blank = " \t\r\n";

bool is_blank(const std::string & text) {
    return text.find_first_not_of(blank) == std::string::npos;
}

bool begins_with(const std::string & text, const std::string & beginning) {
    return text.compare(0, beginning.size(), beginning) == 0;
}

// Whether a piece of arguments may be the first one.
bool begins_object(const std::string & arguments) {
    const size_t first = arguments.find_first_not_of(blank);
    return first == std::string::npos || arguments[first] == '{';
}

bool is_empty_object(const std::string & arguments) {
    std::string text;
    std::copy_if(arguments.begin(), arguments.end(), std::back_inserter(text),
                 [](char c) { return std::string_view(blank).find(c) == std::string_view::npos; });
    return text == "{}";
}

// Returns an index, which some servers write as text.
std::optional<int64_t> index_of(const Json & fragment) {
    const auto found = fragment.find("index");
    if (found == fragment.end()) {
        return std::nullopt;
    }
    if (found->is_number_integer()) {
        return found->get<int64_t>();
    }
    const std::string text = text_of(fragment, "index");
    if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos) {
        return std::nullopt;
    }
    return std::atoll(text.c_str());
}

// Returns the arguments as the JSON text of an object, where one of their forms is: all pieces joined, the last piece
// if each repeated the one before, a text that contains the object. Else returns the pieces.
std::string object_text(const std::string & joined, const std::string & latest) {
    if (is_blank(joined)) {
        return "{}";
    }
    for (const std::string * text : { &joined, &latest }) {
        Json value = try_read_json(*text);
        if (value.is_null() || (value.is_string() && is_blank(value.get_ref<const std::string &>()))) {
            return "{}";
        }
        if (value.is_object()) {
            return *text;
        }
        if (value.is_string()) {
            const std::string inner = value.get<std::string>();
            if (!is_nested_too_deeply(inner) && try_read_json(inner).is_object()) {
                return inner;
            }
        }
    }
    return joined;
}

}  // namespace

void ObjectProgress::push(std::string_view piece) {
    for (const char c : piece) {
        if (escaped_) {
            escaped_ = false;
        } else if (in_text_) {
            escaped_ = c == '\\';
            in_text_ = c != '"';
        } else if (c == '"') {
            in_text_ = true;
        } else if (c == '{' || c == '[') {
            begun_ = true;
            depth_++;
        } else if ((c == '}' || c == ']') && depth_ > 0) {
            depth_--;
        }
    }
}

bool ServerCalls::Call::complete() const {
    if (progress.complete()) {
        return true;
    }
    if (!cumulative || pieces < 2) {
        return false;
    }
    ObjectProgress last;
    last.push(latest);
    return last.complete();
}

std::string ServerCalls::add(const Json & calls, bool whole) {
    const Json   list  = calls.is_object() ? Json::array({ calls }) : Json();
    const Json & items = calls.is_object() ? list : calls;
    for (size_t i = 0; i < items.size(); i++) {
        const Json & item = items[i];
        if (!item.is_object()) {
            return "a tool call that is not an object";
        }
        Fragment fragment = { text_of(item, "id"), "", "", index_of(item) };
        if (is_object(item, "function")) {
            const Json & function = item["function"];
            fragment.name         = text_of(function, "name");
            fragment.arguments =
                is_object(function, "arguments") ? function["arguments"].dump() : text_of(function, "arguments");
        }
        Call *     call = whole ? nullptr : target(fragment, i);
        const Step next = call ? step(*call, fragment) : Step::Begin;
        if (next == Step::Begin) {
            if (calls_.size() >= max_calls || fragment.index.value_or(0) < 0) {
                return "more than " + std::to_string(max_calls) + " tool calls, or one of a negative index";
            }
            calls_.emplace_back();
            call        = &calls_.back();
            call->index = fragment.index;
        }
        if (next != Step::Repeat) {
            extend(*call, fragment);
        }
        Json rest = item;
        for (const char * own : { "id", "index", "type" }) {
            rest.erase(own);
        }
        if (is_object(rest, "function")) {
            rest["function"].erase("name");
            rest["function"].erase("arguments");
        }
        merge_fields(call->extra, rest);
    }
    return "";
}

void ServerCalls::add_function(const Json & function) {
    if (!function_) {
        function_ = calls_.size();
        calls_.emplace_back();
    }
    extend(calls_[*function_],
           { "", text_of(function, "name"),
             is_object(function, "arguments") ? function["arguments"].dump() : text_of(function, "arguments"),
             std::nullopt });
}

// Returns the call that a fragment may continue: the last one of its index or its id; without these the last one of
// all, or the one at its position if several fragments came together. Null if there is none.
ServerCalls::Call * ServerCalls::target(const Fragment & fragment, size_t position) {
    for (auto call = calls_.rbegin(); call != calls_.rend(); ++call) {
        if (fragment.index ? call->index == fragment.index : !fragment.id.empty() && call->id == fragment.id) {
            return &*call;
        }
    }
    if (fragment.index || calls_.empty()) {
        return nullptr;
    }
    const bool nameless = fragment.id.empty() && fragment.name.empty();
    return nameless && position > 0 && position < calls_.size() ? &calls_[position] : &calls_.back();
}

ServerCalls::Step ServerCalls::step(const Call & call, const Fragment & fragment) const {
    const bool other_id = !fragment.id.empty() && !call.id.empty() && fragment.id != call.id;
    if (other_id && !fragment.name.empty()) {
        // A server that makes up an id for every piece continues with something that can't be the first one.
        const bool inside = !is_blank(call.arguments) && !call.complete() && !begins_object(fragment.arguments);
        return inside ? Step::Continue : Step::Begin;
    }
    if (other_id) {
        return call.complete() && !is_blank(fragment.arguments) ? Step::Begin : Step::Continue;
    }
    return fragment.name.empty() ? Step::Continue : step_of_name(call, fragment);
}

// The id says nothing new, but the fragment has a name.
ServerCalls::Step ServerCalls::step_of_name(const Call & call, const Fragment & fragment) const {
    if (call.name.empty()) {
        return Step::Continue;
    }
    if (fragment.name != call.name) {
        const bool open = is_blank(call.arguments);
        if (open &&
            (is_tool(call.name + fragment.name) || (begins_with(fragment.name, call.name) && !is_tool(call.name)))) {
            return Step::Continue;
        }
        return open && !is_tool(call.name) && !is_tool(fragment.name) ? Step::Continue : Step::Begin;
    }
    if (!call.complete() || is_blank(fragment.arguments) || !begins_object(fragment.arguments)) {
        return Step::Continue;
    }
    if (fragment.arguments == call.arguments || fragment.arguments == call.latest) {
        return fragment.id.empty() ? Step::Begin : Step::Repeat;
    }
    return is_empty_object(call.arguments) ? Step::Continue : Step::Begin;
}

void ServerCalls::extend(Call & call, const Fragment & fragment) const {
    if (call.id.empty()) {
        call.id = fragment.id;
    }
    if (begins_with(fragment.name, call.name) && !is_tool(call.name)) {
        call.name = fragment.name.empty() ? call.name : fragment.name;  // all of it so far
    } else if (fragment.name != call.name) {
        call.name += fragment.name;
    }
    append(call, fragment.arguments);
}

void ServerCalls::append(Call & call, const std::string & arguments) {
    if (arguments.empty()) {
        return;
    }
    if (is_empty_object(call.arguments) && !is_blank(arguments) && begins_object(arguments)) {
        call.arguments.clear();  // it was a placeholder of the calls that come now
        call.latest.clear();
        call.progress = {};
        call.pieces   = 0;
    }
    call.cumulative = call.cumulative && begins_with(arguments, call.latest);
    call.latest     = arguments;
    call.arguments += arguments;
    call.progress.push(arguments);
    call.pieces++;
}

void ServerCalls::write(AnswerResult & result) const {
    for (const Call & call : calls_) {
        result.raw += "\n" + call.name + "(" + call.arguments + ")";
        const bool        deep = is_nested_too_deeply(call.arguments);
        const std::string arguments =
            deep ? "" : object_text(call.arguments, call.cumulative ? call.latest : call.arguments);
        if (call.name.empty()) {
            result.problem = "a call has no name";
        } else if (deep) {
            result.problem = "the arguments of " + call.name.substr(0, 80) + " are nested too deeply";
        } else if (!try_read_json(arguments).is_object()) {
            result.problem = "the arguments of " + call.name.substr(0, 80) + " are not a JSON object";
        }
        result.calls.push_back({ call.id, call.name, arguments, call.extra.empty() ? "" : call.extra.dump() });
    }
}

}  // namespace luup
