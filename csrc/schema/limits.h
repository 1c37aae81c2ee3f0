// Limits of schemas and of the work that they cause. Values have no limits but those of their schema.
#pragma once

#include <cstddef>
#include <cstdint>

namespace luup::schema_limits {

// The text of a schema.
constexpr size_t schema_bytes = 1 << 20;
constexpr size_t bracket_depth =
    240;  // brackets inside each other: below json_limits::depth, for requests contain schemas
constexpr size_t   schema_depth   = 64;   // schemas inside each other
constexpr size_t   schemas        = 10000;
constexpr size_t   reference_path = 128;  // schemas that apply each other to one value
constexpr size_t   enum_values    = 20000;
constexpr size_t   enum_bytes     = 65536;       // of one value
constexpr uint64_t count          = 1000000000;  // greater lengths and counts are taken as this one

// Regular expressions.
constexpr size_t   pattern_length = 4000;  // characters
constexpr uint64_t repetitions    = 10000;
constexpr size_t   groups         = 100;  // inside each other
constexpr size_t   nfa_states     = 20000;

// Automata of strings.
constexpr size_t excluded_states  = 200000;  // of the texts that a string must not be
constexpr size_t dfa_states       = 2000;    // before lengths are counted
constexpr size_t counted_states   = 6000;    // with lengths
constexpr size_t unguarded_states = 2000;    // with lengths, where a guard can count instead
constexpr size_t determinisation  = 20000000;  // steps
constexpr size_t kept_automata    = 64;        // a thread

// Plans.
constexpr size_t   plans            = 4000;
constexpr size_t   alternatives     = 512;
constexpr size_t   expansion        = 2000000;  // steps
constexpr size_t   excluded_numbers = 16;       // cut out of a range
constexpr int      emptiness_depth  = 3;        // levels that are searched for a contradiction
constexpr size_t   distinct_items   = 256;      // items of an array with schemas of their own
constexpr uint64_t required_entries = 10000;    // items or properties
constexpr uint64_t required_length  = 100000;   // characters

// Numbers.
constexpr size_t  bound_digits   = 18;                   // before the point
constexpr int64_t beyond_bounds  = 9000000000000000000;  // stands for bounds with more digits
constexpr size_t  listed_values  = 64;                   // integers of a range that are listed
constexpr size_t  listed_steps   = 2000;                 // multiples that are listed where no automaton is made
constexpr size_t  multiple_rules = 20000;                // states of an automaton of multiples
constexpr size_t  remainders     = 20000;                // of multiples without a greatest one

// Grammars.
constexpr size_t grammar_bytes = 512 * 1024;
constexpr int    nesting       = 64;     // levels of containers that every value needs

}  // namespace luup::schema_limits
