// Cells of the KV cache that sequences share.
#include "engine/cell_table.h"
#include "check.h"

using namespace luup;

CASE(a_shared_cell_is_in_use_until_all_dropped_it) {
    CellTable      cells;
    const uint32_t first = cells.take(), second = cells.take();
    CHECK(first != second && cells.used() == 2 && cells.size() == 2);
    cells.share(first);
    CHECK(cells.holders(first) == 2 && cells.used() == 2);
    cells.drop(first);
    CHECK(cells.holders(first) == 1 && cells.used() == 2);
    cells.drop(first);
    CHECK(cells.used() == 1);
    CHECK(cells.take() == first); // used again before new ones
    CHECK(cells.holders(first) == 1 && cells.used() == 2 && cells.size() == 2);
}
