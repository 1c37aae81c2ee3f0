#include "answer/server_logprobs.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace luup {

namespace {

bool is_byte(const Json & value) {
    return value.is_number_integer() && value >= 0 && value <= 255;
}

Json bytes_of(const Json & entry, const std::string & token) {
    Json       bytes = Json::array();
    const auto given = entry.find("bytes");
    if (given != entry.end() && given->is_array() && std::all_of(given->begin(), given->end(), is_byte)) {
        return *given;
    }
    for (const char c : token) {
        bytes.push_back(static_cast<unsigned char>(c));
    }
    return bytes;
}

std::optional<Json> read_entry(const Json & entry) {
    if (!entry.is_object() || !entry.contains("token") || !entry["token"].is_string() || !entry.contains("logprob") ||
        !entry["logprob"].is_number()) {
        return {};
    }
    const auto token = entry["token"].get<std::string>();
    Json       read  = { { "token", token }, { "logprob", entry["logprob"] }, { "bytes", bytes_of(entry, token) } };
    if (entry.contains("id") && entry["id"].is_number_unsigned() && entry["id"] <= INT32_MAX) {  // llama-server
        read["id"] = entry["id"];
    }
    return read;
}

}  // namespace

std::string read_logprobs(const Json & logprobs) {
    std::string out;
    if (!logprobs.is_object() || !logprobs.contains("content") || !logprobs["content"].is_array()) {
        return out;
    }
    for (const Json & each : logprobs["content"]) {
        auto entry = read_entry(each);
        if (!entry) {
            continue;
        }
        Json top = Json::array();
        if (each.contains("top_logprobs") && each["top_logprobs"].is_array()) {
            for (const Json & other : each["top_logprobs"]) {
                if (const auto read = read_entry(other)) {
                    top.push_back(*read);
                }
            }
        }
        (*entry)["top_logprobs"] = std::move(top);
        out += (out.empty() ? "" : ",") + entry->dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    return out;
}

}  // namespace luup
