#include "writer.h"

#include <cctype>
#include <iterator>

namespace template_cases {

std::string script_for(const ChatTemplate & chat, const Prompt & prompt, const ToolSet & tools, const Message & answer,
                       bool must) {
    const auto        format = chat.tool_format(tools, true);
    const auto        whole  = chat.render({ user(question), answer }, &tools, false).tokens;
    auto              rest   = whole;
    const std::string before = text_of(prompt.tokens), all = text_of(whole);
    if (all.compare(0, before.size(), before) == 0) {
        rest = chat.marker_tokens(all.substr(before.size()));
    } else {
        rest.erase(rest.begin(),
                   rest.begin() +
                       (std::mismatch(prompt.tokens.begin(), prompt.tokens.end(), whole.begin(), whole.end()).second -
                        whole.begin()));
    }
    const auto ids  = chat.marker_ids(format->markers);
    const auto goes = [&](llama_token token) {
        const std::string text = token_bytes(vocab, token, true);
        const bool blank       = std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); });
        return blank ||
               (vocabulary->trie->bytes(token).empty() && std::find(ids.begin(), ids.end(), token) == ids.end());
    };
    std::string script = text_of(rest);
    script.resize(script.find_last_not_of(" \n") + 1);
    // The end of a message is the model's end token.
    const std::string plain =
        text_of(chat.render({ user(question), Message::assistant("luup_answer") }, &tools, false).tokens);
    std::string end = plain.substr(plain.rfind("luup_answer") + 11);
    end             = trimmed(end);
    if (!end.empty() && script.size() > end.size() &&
        script.compare(script.size() - end.size(), end.size(), end) == 0) {
        script.resize(script.size() - end.size());
    } else {
        while (!rest.empty() && goes(rest.back())) {
            rest.pop_back();
        }
        script = text_of(rest);
    }
    // No model answers with an end of thoughts that never began.
    for (const std::string & mark : prompt.thinking.ends) {
        const size_t at = script.find_first_not_of(" \n");
        if (!prompt.thinking.open && at != std::string::npos && script.compare(at, mark.size(), mark) == 0) {
            script.erase(0, at + mark.size());
        }
    }
    const size_t opens = script.find(format->opening);
    if (must && opens != std::string::npos) {
        script.erase(0, opens); // a call that has to come comes right away
    }
    if (prompt.thinking.open && script.find(trimmed(prompt.thinking.ends.front())) == std::string::npos) {
        script = "I_think" + prompt.thinking.ends.front() + "\n" + script;
    }
    return script;
}

}  // namespace template_cases
