// Limits that no grammar can enforce: unique names and items, and lengths of strings that take too many states.
#pragma once

#include "schema/length_count.h"
#include "schema/schema.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

// Follows the text of an instance and refuses what a grammar can't: a repeated property name, and equal items where
// uniqueItems is set, and a string that can't end within its maxLength. Cheap to copy.
class SchemaGuard {
  public:
    explicit SchemaGuard(std::shared_ptr<const Schema> schema);

    // Appends `bytes`, which the grammar must allow. Returns false if they complete a repeated name or item or make a
    // string too long; the guard must not be used any more then.
    bool accept(std::string_view bytes);

    // Whether accept(bytes) can return false. It can't for most tokens.
    bool may_refuse(std::string_view bytes) const;

    // Whether the name or item that is being written, or that begins here, may still become a repeated one, or a string
    // too long.
    bool at_risk() const;

  private:
    struct Seen;   // the names or items of an open container
    struct Level;  // an open container

    bool step(char c);
    bool end_value();
    bool open(char c);

    std::shared_ptr<const Schema> schema_;
    std::shared_ptr<const Level>  top_;
    std::vector<int>              next_;  // ids of the plans that the next value may follow
    std::string                   token_;  // the string or scalar being read
    std::string                   raw_;   // the text since the outermost array of unique items
    LengthCount                   length_;  // of the string being read
    bool                          in_string_ = false, escaped_ = false, scalar_ = false;
};

}  // namespace luup
