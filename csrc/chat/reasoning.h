// How much a model thinks before its answer, and the arguments that its chat template gets.
#pragma once

#include <cstdint>
#include <string>

namespace luup {

struct Reasoning {
    enum class Level { Template, Off, On, Low, Medium, High };  // Template: as the chat template does by itself

    Level       level      = Level::Template;
    int32_t     max_tokens = -1;  // of the thoughts of one answer; -1: the default of the level
    std::string options;          // a JSON object of arguments for the chat template; "" for none

    // The most tokens of thoughts.
    int32_t budget() const;

    // Whether the user asked for something that concerns the template.
    bool asks_template() const { return level != Level::Template || !options.empty(); }

    // Throws Error(LUUP_ERROR_INVALID_PARAM) for a value that is out of its range or names an argument that the library
    // sets.
    void check() const;
};

// Return the level that `name` stands for: "on", "off", "low", "medium", "high", or "" for the template's own. Throws
// Error(LUUP_ERROR_INVALID_PARAM).
Reasoning::Level reasoning_level(const std::string & name);

// Return "low", "medium" or "high", or "" for another level.
std::string reasoning_effort(Reasoning::Level level);

}  // namespace luup
