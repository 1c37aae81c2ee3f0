// Waking an event loop for many sources with few bytes.
#include "base/wakeup.h"

#include "check.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

using luup::Waker;

namespace {

// A waker, and the other end of its socket.
class Host {
  public:
    Host() {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()) == 0);
        waker.emplace(ends_[1]);
    }

    ~Host() {
        close(ends_[0]);
        close(ends_[1]);
    }

    // Reads the bytes that came, and returns their number.
    long bytes() const {
        std::array<char, 64> buffer{};
        const auto           n = recv(ends_[0], buffer.data(), buffer.size(), 0);
        return n < 0 ? 0 : n;
    }

    std::vector<uint64_t> take(size_t capacity = 8) {
        std::vector<uint64_t> tags(capacity);
        tags.resize(waker->take(tags.data(), capacity));
        return tags;
    }

    std::optional<Waker> waker;

  private:
    std::array<int, 2> ends_{};
};

} // namespace

CASE(many_sources_write_one_byte) {
    Host host;
    for (const uint64_t tag : { 3, 1, 2, 1 }) {
        host.waker->signal(tag, true);
    }
    host.waker->signal(4, false);
    CHECK(host.bytes() == 1);
    CHECK((host.take() == std::vector<uint64_t>{ 3, 1, 2, 4 }));
    CHECK(host.take().empty());
}

CASE(what_can_wait_writes_no_byte_until_the_host_looks) {
    Host host;
    host.waker->signal(1, true);
    CHECK(host.bytes() == 1);
    CHECK(host.take().size() == 1);
    host.waker->signal(1, true);
    host.waker->signal(2, true);
    CHECK(host.bytes() == 0);
    host.waker->signal(3, false);
    CHECK(host.bytes() == 1);
    CHECK((host.take() == std::vector<uint64_t>{ 1, 2, 3 }));
    CHECK(host.take().empty()); // nothing came while the host waited: the next one wakes it
    host.waker->signal(2, true);
    CHECK(host.bytes() == 1);
}

CASE(tags_beyond_the_capacity_stay) {
    Host host;
    for (const uint64_t tag : { 1, 2, 3 }) {
        host.waker->signal(tag, true);
    }
    CHECK((host.take(2) == std::vector<uint64_t>{ 1, 2 }));
    host.waker->signal(1, true);
    CHECK((host.take(2) == std::vector<uint64_t>{ 3, 1 }));
    CHECK(host.take(2).empty());
}

CASE(a_closed_waker_writes_nothing) {
    Host host;
    host.waker->close();
    host.waker->signal(1, false);
    CHECK(host.bytes() == 0);
    CHECK(host.take().size() == 1);
}
