// Halves of surrogate pairs in JSON escapes: a character outside the basic plane that a server cut in two.
#pragma once

#include <string>

namespace luup {

// Returns the JSON text with every unpaired escape "\uD800" … "\uDFFF", which no JSON parser takes, replaced by a
// character of a private plane that stands for it; the same text if there is none. `json` may be any text.
std::string mark_surrogates(const std::string & json);

// Joins the halves in texts that were parsed from marked JSON, also across pieces of a stream.
class SurrogateJoiner {
  public:
    // Returns the text with joined characters; a half at the end waits for the next piece, and one that finds no other
    // half becomes U+FFFD. `marked`: the piece comes from marked JSON.
    std::string push(std::string piece, bool marked);

    // Returns U+FFFD if a half still waits, else "".
    std::string finish();

  private:
    unsigned high_ = 0;  // the half that waits; 0: none
};

}  // namespace luup
