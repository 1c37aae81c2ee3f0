// Counts the cells of the KV cache in use, and how many sequences hold each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace luup {

// Cell numbers are our own: llama.cpp does not say where it puts a token, only how many cells there are.
class CellTable {
  public:
    // Returns a free cell, now held once.
    uint32_t take() {
        used_++;
        if (free_.empty()) {
            holders_.push_back(1);
            return static_cast<uint32_t>(holders_.size() - 1);
        }
        const uint32_t cell = free_.back();
        free_.pop_back();
        holders_[cell] = 1;
        return cell;
    }

    // One more sequence holds the cell.
    void share(uint32_t cell) { holders_[cell]++; }

    // One sequence fewer holds it.
    void drop(uint32_t cell) {
        if (--holders_[cell] == 0) {
            free_.push_back(cell);
            used_--;
        }
    }

    uint32_t holders(uint32_t cell) const { return holders_[cell]; }
    size_t   used() const { return used_; }

    // All cell numbers are below this.
    size_t size() const { return holders_.size(); }

  private:
    std::vector<uint32_t> holders_;  // of each cell
    std::vector<uint32_t> free_;
    size_t                used_ = 0;
};

}  // namespace luup
