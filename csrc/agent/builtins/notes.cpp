#include "agent/builtins/notes.h"

#include "agent/builtins/store.h"
#include "base/error.h"

#include "src/unicode.h"

#include <algorithm>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr size_t max_content = 16000;  // bytes
constexpr size_t max_tags    = 32;
constexpr size_t max_tag     = 100;  // bytes

constexpr char note_schema[] = R"({"type": "object", "properties": {
    "id": {"type": "integer"}, "content": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
    "created_at": {"type": "string", "format": "date-time"}, "updated_at": {"type": "string", "format": "date-time"}},
    "required": ["id", "content", "tags", "created_at", "updated_at"]})";

constexpr char create_parameters[] = R"({"type": "object", "properties": {
    "content": {"type": "string", "minLength": 1, "description": "The text of the note."},
    "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "Single words to find the note by."}},
    "required": ["content"], "additionalProperties": false})";

constexpr char update_parameters[] = R"({"type": "object", "properties": {
    "id": {"type": "integer", "description": "The id of the note."},
    "content": {"type": "string", "minLength": 1, "description": "The new text, instead of the old one."},
    "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "The new tags, instead of the old ones."}},
    "required": ["id"], "additionalProperties": false})";

constexpr char note_id_parameters[] = R"({"type": "object", "properties": {
    "id": {"type": "integer", "description": "The id of the note."}}, "required": ["id"], "additionalProperties": false})";

constexpr char search_parameters[] = R"({"type": "object", "properties": {
    "query": {"type": "string", "minLength": 1, "description": "Words that the note has in its text or its tags, all of them."}},
    "required": ["query"], "additionalProperties": false})";

// Throws if "content" or "tags" is present and too large.
void check(const json & arguments) {
    if (arguments.contains("content")) {
        const size_t bytes = arguments["content"].get_ref<const std::string &>().size();
        if (bytes > max_content) {
            fail(LUUP_ERROR_INVALID_PARAM, "content has %zu bytes; at most %zu are allowed", bytes, max_content);
        }
    }
    const json tags = arguments.value("tags", json::array());
    if (tags.size() > max_tags) {
        fail(LUUP_ERROR_INVALID_PARAM, "there are %zu tags; at most %zu are allowed", tags.size(), max_tags);
    }
    for (const json & tag : tags) {
        const size_t bytes = tag.get_ref<const std::string &>().size();
        if (bytes > max_tag) {
            fail(LUUP_ERROR_INVALID_PARAM, "a tag has %zu bytes; at most %zu are allowed", bytes, max_tag);
        }
    }
}

json create(Store & store, const json & arguments) {
    check(arguments);
    const std::string now = now_utc();
    return store.add({ { "content", arguments.at("content") },
                       { "tags", arguments.value("tags", json::array()) },
                       { "created_at", now },
                       { "updated_at", now } });
}

json update(Store & store, const json & arguments) {
    check(arguments);
    if (!arguments.contains("content") && !arguments.contains("tags")) {
        fail(LUUP_ERROR_INVALID_PARAM, "content and tags are both missing: give at least one of them");
    }
    return store.change(arguments.at("id").get<int64_t>(), [&](json & item) {
        for (const char * field : { "content", "tags" }) {
            if (arguments.contains(field)) {
                item[field] = arguments[field];
            }
        }
        item["updated_at"] = now_utc();
    });
}

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::vector<std::string> words_of(const std::string & text) {
    std::vector<std::string> words;
    for (size_t i = 0; i < text.size();) {
        const size_t end = static_cast<size_t>(
            std::find_if(text.begin() + static_cast<std::ptrdiff_t>(i), text.end(), is_blank) - text.begin());
        if (end > i) {
            words.push_back(text.substr(i, end - i));
        }
        i = end + 1;
    }
    return words;
}

json search(const Store & store, const json & arguments) {
    const auto words = words_of(folded(arguments.at("query").get<std::string>()));
    if (words.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "query has no words");
    }
    json found = json::array();
    for (const json & note : store.items()) {
        std::string text = note["content"].get<std::string>();
        for (const json & tag : note["tags"]) {
            text += "\n" + tag.get<std::string>();
        }
        text = folded(text);
        if (std::all_of(words.begin(), words.end(),
                        [&](const std::string & word) { return text.find(word) != std::string::npos; })) {
            found.push_back(note);
        }
    }
    return found;
}

}  // namespace

std::string folded(const std::string & text) {
    constexpr uint32_t    final_sigma = 0x3C2, sigma = 0x3C3;
    std::vector<uint32_t> plain;
    for (const uint32_t cpt : unicode_cpts_from_utf8(text)) {
        const uint32_t lower    = unicode_tolower(cpt);
        const bool     accented = lower < 0x530 || (lower >= 0x1E00 && lower < 0x2000);  // Latin, Greek, Cyrillic
        const bool     accent   = lower >= 0x300 && lower < 0x370;
        if (!accent) {
            plain.push_back(lower == final_sigma ? sigma
                            : accented           ? unicode_cpts_normalize_nfd({ lower }).front()
                                                 : lower);
        }
    }
    std::string result;
    for (const uint32_t cpt : plain) {
        result += unicode_cpt_to_utf8(cpt);
    }
    return result;
}

std::vector<Tool> make_note_tools(const std::string & path) {
    const auto store = std::make_shared<Store>("notes", note_schema, path);
    const auto id_of = [](const json & a) { return a.at("id").get<int64_t>(); };
    return {
        make_builtin_tool("note_create", "Writes a note for the user, to be kept.", create_parameters,
                          [store](const json & a) { return create(*store, a); }),
        make_builtin_tool("note_read", "Reads one of the user's notes.", note_id_parameters,
                          [store, id_of](const json & a) { return store->get(id_of(a)); }),
        make_builtin_tool("note_update", "Changes the text or the tags of one of the user's notes.", update_parameters,
                          [store](const json & a) { return update(*store, a); }),
        make_builtin_tool("note_delete", "Deletes one of the user's notes.", note_id_parameters,
                          [store, id_of](const json & a) { return store->remove(id_of(a)); }),
        make_builtin_tool("note_search", "Finds notes of the user by words in their text or their tags.",
                          search_parameters, [store](const json & a) { return search(*store, a); }),
        make_builtin_tool("note_list", "Shows all notes of the user with their ids.", "",
                          [store](const json &) { return store->items(); }),
    };
}

}  // namespace luup
