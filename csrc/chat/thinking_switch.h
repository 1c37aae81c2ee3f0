// The arguments of a chat template that turn a model's thoughts on and off, or limit their length.
#pragma once

#include "chat/reasoning.h"

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace luup {

// Arguments of a chat template: their JSON values by name.
using TemplateArguments = std::map<std::string, std::string>;

// All methods may be called from any thread.
class ThinkingSwitch {
  public:
    // Reads the names and the texts in the source of a template, which has to parse.
    explicit ThinkingSwitch(const std::string & source);

    // Return the arguments for a prompt: those among the usual names that the template reads, and the user's own. Of
    // several values for a level it takes the first with which `renders` returns true. Throws what `renders` throws.
    TemplateArguments arguments(const Reasoning &                                      reasoning,
                                const std::function<bool(const TemplateArguments &)> & renders) const;

  private:
    TemplateArguments find(Reasoning::Level                                       level,
                           const std::function<bool(const TemplateArguments &)> & renders) const;

    std::set<std::string>                                 names_;  // that the template reads
    std::set<std::string>                                 texts_;  // that it compares with, or writes
    mutable std::map<Reasoning::Level, TemplateArguments> found_;
    mutable std::mutex                                    mutex_;  // of found_; not held while a template runs
};

}  // namespace luup
