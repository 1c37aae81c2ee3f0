// The cache of compiled values: what stays, what goes, and who waits.
#include "base/recent.h"

#include "check.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using luup::Recent;

namespace {

// A cache of numbers that counts how many it made.
struct Numbers {
    Recent<int>      cache{ 4 };
    std::atomic<int> made{ 0 };

    std::shared_ptr<const int> get(int number, const std::weak_ptr<const void> & user = {}) {
        const auto make = [&] {
            made++;
            return std::make_shared<const int>(number);
        };
        return cache.get(std::to_string(number), make, user);
    }

    bool has(int number) {
        const int before = made;
        get(number);
        return made == before;
    }
};

}  // namespace

CASE(a_value_is_made_once) {
    Numbers    numbers;
    const auto first = numbers.get(7);
    CHECK(numbers.get(7) == first && *first == 7 && numbers.made == 1);
    CHECK(numbers.get(8) != first && numbers.made == 2);
}

CASE(idle_values_are_dropped_the_oldest_first) {
    Numbers numbers;
    for (int number = 0; number < 100; number++) {
        numbers.get(number);
        CHECK(numbers.cache.size() <= 8);
    }
    CHECK(numbers.has(96) && numbers.has(97) && numbers.has(98) && numbers.has(99));
    CHECK(!numbers.has(10));
}

CASE(values_in_use_stay) {
    Numbers    numbers;
    const auto held = numbers.get(1);
    auto       user = std::make_shared<const int>(0);
    numbers.get(2, user);
    for (int number = 10; number < 100; number++) {
        numbers.get(number);
    }
    CHECK(numbers.get(1) == held && numbers.has(2));
    user.reset();
    for (int number = 100; number < 200; number++) {
        numbers.get(number);
    }
    CHECK(numbers.get(1) == held && !numbers.has(2));
}

CASE(many_values_in_use_stay) {
    Numbers                                 numbers;
    std::vector<std::shared_ptr<const int>> held;
    for (int number = 0; number < 1000; number++) {
        held.push_back(numbers.get(number));
    }
    for (int number = 0; number < 1000; number++) {
        CHECK(numbers.get(number) == held[static_cast<size_t>(number)]);
    }
    CHECK(numbers.made == 1000);
    held.clear();
    for (int number = 1000; number < 1010; number++) {
        numbers.get(number);
    }
    CHECK(numbers.cache.size() <= 14);
}

CASE(a_failed_value_is_made_again) {
    Recent<int> cache(4);
    const auto  refuse = []() -> std::shared_ptr<const int> { throw std::runtime_error("no"); };
    bool        failed = false;
    try {
        cache.get("a", refuse);
    } catch (const std::runtime_error &) {
        failed = true;
    }
    CHECK(failed && *cache.get("a", [] { return std::make_shared<const int>(3); }) == 3);
}

CASE(threads_that_want_the_same_value_make_it_once) {
    for (int round = 0; round < 20; round++) {
        Numbers                  numbers;
        std::vector<std::thread> threads;
        std::atomic<int>         wrong{ 0 };
        for (int t = 0; t < 4; t++) {
            threads.emplace_back([&] {
                for (int number = 0; number < 3; number++) {
                    wrong += *numbers.get(number) != number;
                }
            });
        }
        for (std::thread & thread : threads) {
            thread.join();
        }
        CHECK(wrong == 0 && numbers.made == 3);
    }
}
