// The C API: runs, and the functions that run one to its end.
#include "api/api.h"

#include "base/text.h"

#include <nlohmann/json.hpp>

using namespace luup;

namespace {

std::vector<std::string> read_choices(const luup_run_params & p) {
    if (p.n_choices > 1024) {
        fail(LUUP_ERROR_INVALID_PARAM, "choices has %zu entries; at most 1024 are allowed", p.n_choices);
    }
    if (p.n_choices > 0) {
        check_pointer("choices", p.choices);
    }
    std::vector<std::string> choices;
    for (size_t i = 0; i < p.n_choices; i++) {
        choices.push_back(checked_text(("choices[" + std::to_string(i) + "]").c_str(), p.choices[i]));
    }
    return choices;
}

// Returns what the output has to be; none for free text.
std::optional<OutputSource> read_output(const luup_run_params & p) {
    using Kind = OutputSource::Kind;
    struct Field {
        const char * name;
        const char * text;
        Kind         kind;
    };
    std::optional<OutputSource> found;
    const char *                name = nullptr;
    for (const Field & field : { Field{ "output_schema", p.output_schema, Kind::Schema },
                                 Field{ "output_pattern", p.output_pattern, Kind::Pattern },
                                 Field{ "output_grammar", p.output_grammar, Kind::Grammar },
                                 Field{ "output_choices", p.output_choices, Kind::Choices } }) {
        if (field.text && found) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s and %s are both set: give one of them", name, field.name);
        }
        if (field.text) {
            found = OutputSource{ field.kind, checked_text(field.name, field.text) };
            name  = field.name;
        }
    }
    return found;
}

// Returns the address of a picture that has one; else checks the fields for the bytes. Messages call it `name`.
std::optional<std::string> check_media(const luup_media & media, const std::string & name) {
    if (media.type != LUUP_MEDIA_IMAGE && media.type != LUUP_MEDIA_AUDIO) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s.type must be a luup_media_type, not %d", name.c_str(),
             static_cast<int>(media.type));
    }
    if (media.url) {
        std::string url = checked_text((name + ".url").c_str(), media.url);
        if (media.data || media.type == LUUP_MEDIA_AUDIO) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s has an address: it must be a picture without data", name.c_str());
        }
        return url;
    }
    if (media.data_size > 0) {
        check_pointer((name + ".data").c_str(), media.data);
    }
    if (media.data_size > media_limits::bytes) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s has %zu bytes; at most %zu are allowed", name.c_str(), media.data_size,
             media_limits::bytes);
    }
    return std::nullopt;
}

MediaKind kind_of(const luup_media & media) {
    return media.type == LUUP_MEDIA_IMAGE ? MediaKind::Image : MediaKind::Audio;
}

std::string_view bytes_of(const luup_media & media) {
    return { static_cast<const char *>(media.data), media.data_size };
}

// Reads a picture or sound; messages call it `name`.
Media read_file(const luup_media & media, const std::string & name) {
    const auto url = check_media(media, name);
    return url ? read_media_url(kind_of(media), *url, name + ".url")
               : read_media(kind_of(media), std::string(bytes_of(media)), name);
}

void read_attachments(const luup_run_params & p, Message & message) {
    if (p.n_media > 256) {
        fail(LUUP_ERROR_INVALID_PARAM, "media has %zu entries; at most 256 are allowed", p.n_media);
    }
    if (p.n_media > 0) {
        check_pointer("media", p.media);
    }
    size_t least = 0;
    for (size_t i = 0; i < p.n_media; i++) {
        const std::string name   = "media[" + std::to_string(i) + "]";
        const size_t      offset = p.media[i].offset;
        if (offset < least || offset > message.content.size() || utf8_prefix(message.content, offset) != offset) {
            fail(LUUP_ERROR_INVALID_PARAM,
                 "%s.offset is %zu: it must be from %zu to the %zu bytes of the message, between two characters",
                 name.c_str(), offset, least, message.content.size());
        }
        message.attachments.push_back({ offset, read_file(p.media[i], name) });
        least = offset;
    }
}

RunRequest read_request(Agent & agent, const std::optional<std::string> & message, const luup_run_params & p) {
    RunRequest request;
    if (message) {
        request.message = Message::user(*message);
        read_attachments(p, *request.message);
    } else if (p.n_media > 0) {
        fail(LUUP_ERROR_INVALID_PARAM, "media is given without a message: pass \"\" for a message without text");
    }
    request.sampling       = p.sampling ? read_sampling(p.sampling) : agent.sampling();
    request.timeout_ms     = p.timeout_ms;
    request.tool_choice    = optional_text("tool_choice", p.tool_choice).value_or("auto");
    request.parallel_calls = p.parallel_calls;
    request.priority       = p.priority;
    request.max_turns      = p.max_turns;
    request.review         = p.review_output;
    request.output_retries = p.output_retries;
    request.confidence     = p.confidence;
    request.keep_on_error  = p.keep_on_error;
    request.record_prompts = p.record_prompts;
    request.raw_prompt     = p.raw_prompt;
    request.choices        = read_choices(p);
    request.system_prompt  = optional_text("system_prompt", p.system_prompt);
    if (p.history) {
        request.history = parse_messages(checked_text("history", p.history));
    }
    const auto in_use = agent.model().use();
    if (p.sampling) {
        agent.model().check(request.sampling);
    }
    if (p.tools) {
        request.tools = agent.parse_tools(checked_text("tools", p.tools));
    }
    if (const auto output = read_output(p)) {
        request.output = agent.parse_output(*output);
    }
    return request;
}

}  // namespace

int luup_media_check(const luup_media * media, luup_media_info * info) {
    return guard([&] {
        check_pointer("media", media);
        const std::string name   = media->type == LUUP_MEDIA_AUDIO ? "the sound" : "the picture";
        const auto        url    = check_media(*media, name);
        luup_media_info   result = {};
        result.format            = "";
        if (url) {
            read_media_url(kind_of(*media), *url, name + ".url");
        } else {
            const MediaFile file = read_media_header(kind_of(*media), bytes_of(*media), name);
            for (const char * format : { "png", "jpeg", "webp", "wav", "mp3", "flac" }) {
                result.format = file.format == format ? format : result.format;
            }
            result.width  = static_cast<int32_t>(file.width);
            result.height = static_cast<int32_t>(file.height);
        }
        if (info) {
            write_result("info", info, result);
        }
    });
}

void luup_run_default_params(luup_run_params * params) {
    if (params) {
        *params      = {};
        params->size = sizeof(*params);
        const RunRequest r;
        params->timeout_ms     = r.timeout_ms;
        params->parallel_calls = r.parallel_calls;
        params->max_turns      = r.max_turns;
        params->output_retries = r.output_retries;
    }
}

int luup_run_start(luup_agent * agent, const char * message, const luup_run_params * params, luup_run ** run) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("run", run);
        const luup_run_params p = read_params("params", params, luup_run_default_params);
        *run =
            new luup_run{ Run::start(agent->agent, read_request(*agent->agent, optional_text("message", message), p)) };
    });
}

int luup_agent_preview_run(luup_agent * agent, const char * message, const luup_run_params * params, char ** text,
                           int32_t * tokens, size_t capacity, size_t * n_tokens) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("text", text);
        const luup_run_params p = read_params("params", params, luup_run_default_params);
        const TurnPrompt      prompt =
            Run::preview(agent->agent, read_request(*agent->agent, optional_text("message", message), p));
        write_tokens(prompt.tokens, tokens, capacity, n_tokens);
        *text = new_string(prompt.text);
    });
}

int luup_run_next(luup_run * run, int32_t timeout_ms, luup_event * event) {
    return guard([&] {
        check_pointer("run", run);
        check_pointer("event", event);
        run->run->agent().model().check_process();
        run->run->next(timeout_ms, event);
        if (event->type == LUUP_EVENT_ERROR) {
            set_last_error(static_cast<luup_error>(event->error), event->text);
        }
    });
}

int luup_run_wait(luup_run * run, int32_t timeout_ms, bool * ended) {
    return guard([&] {
        check_pointer("run", run);
        check_pointer("ended", ended);
        run->run->agent().model().check_process();
        *ended = run->run->wait(timeout_ms);
    });
}

int luup_run_set_wakeup_fd(luup_run * run, intptr_t fd) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->set_wakeup_fd(fd);
    });
}

int luup_waker_create(intptr_t fd, luup_waker ** waker) {
    return guard([&] {
        check_pointer("waker", waker);
        if (fd < 0) {
            fail(LUUP_ERROR_INVALID_PARAM, "fd must be an open descriptor, got %lld", static_cast<long long>(fd));
        }
        *waker = new luup_waker{ std::make_shared<Waker>(fd) };
    });
}

void luup_waker_destroy(luup_waker * waker) {
    if (waker) {
        guard([&] {
            if (waker->generation == fork_generation()) {  // else a thread of the parent may hold its lock for ever
                waker->waker->close();
            }
        });
        delete waker;
    }
}

int luup_run_set_waker(luup_run * run, luup_waker * waker, uint64_t tag, bool for_text) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->set_waker(waker ? waker->waker : nullptr, tag, for_text);
    });
}

int luup_waker_take(luup_waker * waker, uint64_t * tags, size_t capacity, size_t * n_tags) {
    return guard([&] {
        check_pointer("waker", waker);
        check_pointer("tags", tags);
        check_pointer("n_tags", n_tags);
        if (waker->generation != fork_generation()) {
            fail(LUUP_ERROR_FORKED, "the waker belongs to the parent process: make one after the fork");
        }
        *n_tags = waker->waker->take(tags, capacity);
    });
}

int luup_run_submit_tool_result(luup_run * run, const char * call_id, const char * content, bool is_error) {
    return guard([&] {
        check_pointer("run", run);
        const std::string id = checked_text("call_id", call_id), text = checked_text("content", content);
        run->run->agent().model().check_process();
        run->run->submit_tool_result(id, text, is_error);
    });
}

int luup_run_fail_tool_call(luup_run * run, const char * call_id, const char * content) {
    return guard([&] {
        check_pointer("run", run);
        const std::string id = checked_text("call_id", call_id), text = checked_text("content", content);
        run->run->agent().model().check_process();
        run->run->fail_tool_call(id, text);
    });
}

int luup_run_review_output(luup_run * run, const char * problem) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->review_output(optional_text("problem", problem));
    });
}

int luup_run_push_chunk(luup_run * run, const char * chunk, bool * more) {
    return guard([&] {
        check_pointer("run", run);
        const std::string text = checked_text("json", chunk);
        run->run->agent().model().check_process();
        const bool goes_on = run->run->push_chunk(text);
        if (more) {
            *more = goes_on;
        }
    });
}

int luup_run_end_completion(luup_run * run, int status, const char * message) {
    return guard([&] {
        check_pointer("run", run);
        if (status != LUUP_SUCCESS && luup_error_name(status) == luup_error_name(1)) {
            fail(LUUP_ERROR_INVALID_PARAM, "status must be LUUP_SUCCESS or an error code, got %d", status);
        }
        const std::string text = optional_text("message", message).value_or("");
        run->run->agent().model().check_process();
        run->run->end_completion({ static_cast<luup_error>(status), text.empty() ? luup_error_text(status) : text });
    });
}

int luup_run_submit_summary(luup_run * run, const char * summary) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->submit_summary(optional_text("summary", summary));
    });
}

int luup_run_suspend(luup_run * run) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->suspend();
    });
}

int luup_run_get_messages(const luup_run * run, char ** text) {
    return guard([&] {
        check_pointer("run", run);
        check_pointer("json", text);
        run->run->agent().model().check_process();
        *text = new_string(to_json(run->run->messages()).dump());
    });
}

int luup_run_get_turns(const luup_run * run, size_t first, char ** text) {
    return guard([&] {
        check_pointer("run", run);
        check_pointer("json", text);
        run->run->agent().model().check_process();
        *text =
            new_string(run->run->turns(first).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    });
}

int luup_run_stop_thinking(luup_run * run) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->stop_thinking();
    });
}

void luup_run_cancel(luup_run * run) {
    if (run && !run->run->agent().model().forked()) {
        guard([&] { run->run->cancel(); });
    }
}

void luup_run_destroy(luup_run * run) {
    luup_run_cancel(run);
    delete run;
}

// Lets a tool's callback answer its call. If it does not, the model reads that there is no result.
static void call_tool(luup_run * run, const luup_event & event) {
    const std::string id = event.call_id, arguments = event.text;
    const Tool *      tool = run->run->request().tools->find(event.tool_name);
    if (tool && tool->callback) {
        tool->callback(run, id.c_str(), arguments.c_str(), tool->user_data);
    }
    guard([&] {
        if (run->run->waits_for(id)) {
            run->run->submit_tool_result(
                id, tool && tool->callback ? "the tool gave no result" : "the tool has no function here", true);
        }
    });
}

int luup_agent_generate_stream(luup_agent * agent, const char * message, const luup_run_params * params,
                               luup_text_callback callback, void * user_data) {
    luup_run * run   = nullptr;
    int        code  = luup_run_start(agent, message, params, &run);
    luup_event event = {};
    while (code == LUUP_SUCCESS && event.type < LUUP_EVENT_DONE) {
        code = luup_run_next(run, -1, &event);
        if (code == LUUP_SUCCESS && event.type == LUUP_EVENT_TOOL_CALL) {
            call_tool(run, event);
        }
        if (code == LUUP_SUCCESS && event.type == LUUP_EVENT_COMPLETION_REQUEST) {
            code = luup_run_end_completion(
                run, LUUP_ERROR_UNSUPPORTED,
                "luup_agent_generate() can't send the requests of a remote model: use luup_run_next()");
        }
        if (code == LUUP_SUCCESS && event.type == LUUP_EVENT_SUMMARY_REQUEST) {
            code = luup_run_submit_summary(run, nullptr);  // lets the model write it
        }
        if (code == LUUP_SUCCESS && event.type == LUUP_EVENT_TEXT && callback &&
            !callback(event.text, event.text_length, user_data)) {
            luup_run_cancel(run);
        }
    }
    luup_run_destroy(run);
    return code == LUUP_SUCCESS ? event.error : code;
}

int luup_agent_generate(luup_agent * agent, const char * message, const luup_run_params * params, char ** text) {
    std::string whole;
    const auto  append = [](const char * piece, size_t length, void * data) {
        static_cast<std::string *>(data)->append(piece, length);
        return true;
    };
    return guard([&] {
        check_pointer("text", text);
        const int code = luup_agent_generate_stream(agent, message, params, append, &whole);
        if (code != LUUP_SUCCESS) {
            throw Error(static_cast<luup_error>(code), luup_last_error_message());
        }
        *text = new_string(whole);
    });
}
